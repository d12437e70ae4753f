//! `bench soak`: a steady load for some minutes.

use std::path::PathBuf;

use clap::Args;

use super::super::Console;
use super::Places;
use crate::bench::soak::{Files, MINUTES_MAX, MINUTES_MIN, RATE, RATE_MAX, Soak};
use crate::bench::{Options, Work};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline bench soak --minutes 60
  ledgerline bench soak --minutes 30 --out docs --record docs/benchmarks.json

Fills the journal of a program of its own until its caches are full, then keeps the rate up, whether or
not earlier commands are done, and looks at memory and lag each second: `soak.csv` has a line for each,
`soak.svg` shows them. The figures are those of the last two thirds.";

/// What `bench soak` takes.
#[derive(Debug, Args)]
pub(super) struct SoakArgs {
    /// How long the load lasts, from 0.05 to 1440; half an hour and more tells a leak from what settles
    #[arg(long, value_name = "MINUTES", default_value = "30", value_parser = minutes)]
    minutes: f64,
    /// Commands a second; beside ten of them comes one job
    #[arg(long, value_name = "COUNT", default_value_t = RATE, value_parser = rate)]
    rate: usize,
    /// Folder for `soak.csv` and `soak.svg`; it is made if it is not there
    #[arg(long, value_name = "FOLDER", default_value = "soak")]
    out: PathBuf,
    /// Events in the journal before [default: 250000, which fills the caches]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1_000..))]
    events: Option<u64>,
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(args: SoakArgs, console: &Console) -> anyhow::Result<()> {
    let (folder, record) = args.places.open()?;
    let options = Options {
        work: Work::Soak(Soak {
            minutes: args.minutes,
            rate: args.rate,
            // Last, for it replaces what an earlier soak wrote.
            files: Files::create(&args.out)?,
        }),
        quick: false,
        events: args.events,
        folder,
        endpoints: None,
        record,
    };
    super::show(&options, console).await
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: Option<f64> = text.parse().ok();
    let minutes = minutes.filter(|minutes| (MINUTES_MIN..=MINUTES_MAX).contains(minutes));
    minutes.ok_or_else(|| format!("must be minutes from {MINUTES_MIN} to {MINUTES_MAX}"))
}

fn rate(text: &str) -> Result<usize, String> {
    let rate: Option<usize> = text.parse().ok();
    let rate = rate.filter(|rate| (1..=RATE_MAX).contains(rate));
    rate.ok_or_else(|| format!("must be commands a second, from 1 to {RATE_MAX}"))
}
