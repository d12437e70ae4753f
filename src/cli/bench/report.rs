//! `bench report`: the tables of a page, from a record.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::super::Console;
use super::super::failure::Failure;
use crate::bench::record::Record;
use crate::bench::report;

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline bench report
  ledgerline bench report --record figures.json --page figures.md

Writes what stands between the two marks of the page anew, and nothing else of it.";

/// What `bench report` takes.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The record that `bench --record` wrote
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.json")]
    record: PathBuf,
    /// The page, with the two marks around its figures
    #[arg(long, value_name = "FILE", default_value = "docs/performance.md")]
    page: PathBuf,
}

pub(super) fn run(args: &ReportArgs, console: &Console) -> anyhow::Result<()> {
    let record = Record::read(&args.record).map_err(super::as_failure)?;
    let name = args.page.display();
    let page = fs::read_to_string(&args.page).with_context(|| format!("read `{name}`"))?;
    let filled = report::filled(&page, &record);
    let filled = filled.map_err(|problem| Failure::Usage(format!("`{name}`: {problem}")))?;
    if filled == page {
        console
            .out
            .remark(&format!("`{name}` has these figures already"));
        return Ok(());
    }
    fs::write(&args.page, filled).with_context(|| format!("write `{name}`"))?;
    console
        .out
        .remark(&format!("wrote the figures into `{name}`"));
    Ok(())
}
