//! `ledgerline bench`: figures beside their ceilings. What is measured, and how, is in
//! [`crate::bench`]; here are the flags and the table.

mod report;
mod soak;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{Cell, CellAlignment};

use self::report::ReportArgs;
use self::soak::SoakArgs;
use super::Console;
use super::failure::Failure;
use super::out::{Out, cell, rendered};
use crate::bench::record::{self, Recording};
use crate::bench::report::number;
use crate::bench::{self, Figure, Options, Progress, Subject, Work};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline bench
  ledgerline bench --quick
  ledgerline bench rebuild --events 200000
  ledgerline bench all -o json
  ledgerline bench all --record docs/benchmarks.json

Starts a program and servers of its own in a new folder, and removes them afterwards. Nothing else
should run on the machine meanwhile. What each figure means: docs/performance.md.";

/// What `bench` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    #[command(flatten)]
    measure: MeasureArgs,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Keep a steady load up for some minutes, and watch memory and lag
    #[command(after_help = soak::EXAMPLES)]
    Soak(SoakArgs),
    /// Make the tables of a page from a record
    #[command(after_help = report::EXAMPLES)]
    Report(ReportArgs),
}

/// What measuring takes.
#[derive(Debug, Args)]
struct MeasureArgs {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    subject: Subject,
    /// Less of everything: for a look; a record says so
    #[arg(long)]
    quick: bool,
    /// Events in the journal before a rebuild, and before memory is looked at [default: 1000000, with `--quick` 50000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1_000..))]
    events: Option<u64>,
    /// Measure the `up` that runs on `--data-dir` instead; what is written there for it stays there
    #[arg(long, conflicts_with = "record")]
    running: bool,
    #[command(flatten)]
    places: Places,
}

/// Where the data of a run goes, and what comes of it.
#[derive(Debug, Args)]
struct Places {
    /// Folder for the data of the run, on a disk that is meant; else the system's folder for temporary files
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
    /// File that keeps the newest figure of each name with its commit and machine; `bench report` reads it
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

impl Places {
    /// The folder, and the record if one is kept.
    fn open(self) -> anyhow::Result<(PathBuf, Option<Recording>)> {
        let record = self.record.as_deref().map(Recording::open).transpose();
        let record = record.map_err(as_failure)?;
        Ok((self.scratch.unwrap_or_else(std::env::temp_dir), record))
    }
}

pub(super) async fn run(args: BenchArgs, console: &Console) -> anyhow::Result<()> {
    match args.command {
        None => measure(args.measure, console).await,
        Some(BenchCommand::Soak(args)) => soak::run(args, console).await,
        Some(BenchCommand::Report(args)) => report::run(&args, console),
    }
}

async fn measure(args: MeasureArgs, console: &Console) -> anyhow::Result<()> {
    if args.running && matches!(args.subject, Subject::Memory | Subject::All) {
        let problem = "`--running` cannot measure memory: name one of the other figures";
        return Err(Failure::Usage(problem.to_owned()).into());
    }
    let endpoints = console.global.data_dir.join("endpoints.json");
    let (folder, record) = args.places.open()?;
    let options = Options {
        work: Work::Measure(args.subject),
        quick: args.quick,
        events: args.events,
        folder,
        endpoints: args.running.then_some(endpoints),
        record,
    };
    show(&options, console).await
}

/// Does it, and shows the figures.
async fn show(options: &Options, console: &Console) -> anyhow::Result<()> {
    let figures = bench::run(options, &Remarks(&console.out)).await?;
    Ok(console
        .out
        .document(&figures, |figures| table(&console.out, figures))?)
}

/// What is no record was named by mistake; that a file cannot be read or written is another matter.
fn as_failure(error: record::Error) -> anyhow::Error {
    match error {
        record::Error::Io { .. } => error.into(),
        record::Error::Form { .. } | record::Error::Schema { .. } => {
            Failure::Usage(error.to_string()).into()
        }
    }
}

struct Remarks<'a>(&'a Out);

impl Progress for Remarks<'_> {
    fn step(&self, what: &str) {
        self.0.remark(what);
    }
}

fn table(out: &Out, figures: &[Figure]) -> String {
    let mut table = out.new_table(&[
        "figure", "value", "±", "ceiling", "±", "unit", "ratio", "floor", "", "note",
    ]);
    let right = |text: String| cell(text).set_alignment(CellAlignment::Right);
    let spread = |part: f64| right(format!("{:.0} %", part * 100.0));
    for figure in figures {
        let verdict = if figure.ok { "ok" } else { "below" };
        table.add_row([
            Cell::new(&figure.name),
            right(number(figure.value)),
            spread(figure.spread),
            right(number(figure.ceiling)),
            spread(figure.ceiling_spread),
            Cell::new(&figure.unit),
            right(format!("{:.2}", figure.ratio)),
            right(format!("{:.1}", figure.floor)),
            Cell::new(verdict),
            cell(&figure.note),
        ]);
    }
    rendered(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    #[test]
    fn a_figure_below_its_floor_is_called_so() {
        let figure = Figure {
            name: "commands_64".into(),
            value: 2_345.6,
            ceiling: 9_876.5,
            ratio: 0.2375,
            unit: "commands/s".into(),
            floor: 0.5,
            ok: false,
            spread: 0.04,
            ceiling_spread: 0.1,
            note: "why".to_owned(),
        };
        let (out, _) = captured(Format::Table);
        let text = table(&out, &[figure]);
        let words: Vec<&str> = text
            .lines()
            .nth(1)
            .expect("a row")
            .split_whitespace()
            .collect();
        let expected = "commands_64 2,346 4 % 9,876 10 % commands/s 0.24 0.5 below why";
        assert_eq!(words.join(" "), expected);
    }
}
