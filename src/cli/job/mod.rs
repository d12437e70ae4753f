//! `job …`: queries in [`look`], commands in [`order`], and one job as it goes in [`watch`].

mod look;
mod order;
mod watch;

use clap::{Args, Subcommand};

use super::Console;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline job enqueue --queue mail --kind send --payload '{\"to\":\"ann\"}'
  ledgerline job list --queue mail --status waiting,running
  ledgerline job watch 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline job requeue 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// Work with jobs.
#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, filtered by any field
    #[command(after_help = look::LIST_EXAMPLES)]
    List(Box<look::ListArgs>),
    /// Show one job
    #[command(after_help = look::SHOW_EXAMPLES)]
    Show(look::ShowArgs),
    /// List every event of one job: who, when, what
    #[command(after_help = look::HISTORY_EXAMPLES)]
    History(look::HistoryArgs),
    /// Follow one job with a progress bar until it ends
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::WatchArgs),
    #[command(flatten)]
    Order(order::Order),
}

pub(super) async fn run(args: JobArgs, console: &Console) -> anyhow::Result<()> {
    match args.command {
        Command::List(args) => look::list(&args, console).await,
        Command::Show(args) => look::show(&args, console).await,
        Command::History(args) => look::events(&args, console).await,
        Command::Watch(args) => watch::run(&args, console).await,
        Command::Order(order) => order::run(&order, console).await,
    }
}
