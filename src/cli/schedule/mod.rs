//! `schedule …`: queries in [`look`], commands in [`order`], what a schedule is in [`spec`], and its next
//! times in [`next`].

mod look;
mod next;
mod order;
mod spec;

use clap::{Args, Subcommand};

use super::Console;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline schedule create --name report --cron '0 7 * * 1-5' --time-zone Europe/Berlin --queue report --kind sum
  ledgerline schedule next 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --count 5
  ledgerline schedule list --status active --sort next_at
  ledgerline schedule trigger 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// Work with schedules.
#[derive(Debug, Args)]
pub(super) struct ScheduleArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List schedules, filtered by any field
    #[command(after_help = look::LIST_EXAMPLES)]
    List(Box<look::ListArgs>),
    /// Show one schedule
    #[command(after_help = look::SHOW_EXAMPLES)]
    Show(look::ShowArgs),
    /// List every event of one schedule: who, when, what
    #[command(after_help = look::HISTORY_EXAMPLES)]
    History(look::HistoryArgs),
    /// The next times of a schedule, or of one that need not be
    #[command(after_help = next::EXAMPLES)]
    Next(Box<next::NextArgs>),
    #[command(flatten)]
    Order(order::Order),
}

pub(super) async fn run(args: ScheduleArgs, console: &Console) -> anyhow::Result<()> {
    match args.command {
        Command::List(args) => look::list(&args, console).await,
        Command::Show(args) => look::show(&args, console).await,
        Command::History(args) => look::events(&args, console).await,
        Command::Next(args) => next::run(&args, console).await,
        Command::Order(order) => order::run(&order, console).await,
    }
}
