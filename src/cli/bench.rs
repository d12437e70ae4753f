//! `ledgerline bench`: figures beside their ceilings. What is measured, and how, is in
//! [`crate::bench`]; here are the flags and the table.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{Cell, CellAlignment};

use super::Console;
use super::failure::Failure;
use super::out::{Out, cell, rendered};
use crate::bench::{self, Figure, Options, Progress, Subject};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline bench
  ledgerline bench --quick
  ledgerline bench rebuild --events 200000
  ledgerline bench all -o json

Starts a program and servers of its own in a new folder, and removes them afterwards. Nothing else
should run on the machine meanwhile. What each figure means: docs/performance.md.";

/// What `bench` takes.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    subject: Subject,
    /// Less of everything: for a look, not for the record
    #[arg(long)]
    quick: bool,
    /// Events in the journal before a rebuild, and before memory is looked at [default: 1000000, with `--quick` 50000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1_000..))]
    events: Option<u64>,
    /// Folder for the data of the run, on a disk that is meant; else the system's folder for temporary files
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
    /// Measure the `up` that runs on `--data-dir` instead; what is written there for it stays there
    #[arg(long)]
    running: bool,
}

pub(super) async fn run(args: BenchArgs, console: &Console) -> anyhow::Result<()> {
    if args.running && matches!(args.subject, Subject::Memory | Subject::All) {
        let problem = "`--running` cannot measure memory: name one of the other figures";
        return Err(Failure::Usage(problem.to_owned()).into());
    }
    let endpoints = console.global.data_dir.join("endpoints.json");
    let options = Options {
        subject: args.subject,
        quick: args.quick,
        events: args.events,
        folder: args.scratch.unwrap_or_else(std::env::temp_dir),
        endpoints: args.running.then_some(endpoints),
    };
    let figures = bench::run(&options, &Remarks(&console.out)).await?;
    Ok(console
        .out
        .document(&figures, |figures| table(&console.out, figures))?)
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
            Cell::new(figure.name),
            right(number(figure.value)),
            spread(figure.spread),
            right(number(figure.ceiling)),
            spread(figure.ceiling_spread),
            Cell::new(figure.unit),
            right(format!("{:.2}", figure.ratio)),
            right(format!("{:.1}", figure.floor)),
            Cell::new(verdict),
            cell(&figure.note),
        ]);
    }
    rendered(&table)
}

/// As many digits as mean something.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    #[test]
    fn a_figure_below_its_floor_is_called_so() {
        let figure = Figure {
            name: "commands_64",
            value: 2_345.6,
            ceiling: 9_876.5,
            ratio: 0.2375,
            unit: "commands/s",
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
        let expected = "commands_64 2346 4 % 9876 10 % commands/s 0.24 0.5 below why";
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        assert_eq!(number(0.2345), "0.234");
        assert_eq!(number(12.345), "12.35");
        assert_eq!(number(170_000.4), "170000");
    }
}
