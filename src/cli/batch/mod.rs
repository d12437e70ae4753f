//! `batch …`: jobs that belong together. [`submit`] sends them, [`look`] shows how far they are, [`order`] tells
//! all of them something, and [`watch`] follows them to their end.

mod look;
mod order;
mod submit;
mod watch;

use clap::{Args, Subcommand};

use super::Console;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline batch submit mails.ndjson --queue mail --kind send --name 'invoices of May'
  ledgerline batch list --status closed
  ledgerline batch watch 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline batch retry 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// Work with batches of jobs.
#[derive(Debug, Args)]
pub(super) struct BatchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send jobs, one a line of a file or of standard input
    #[command(after_help = submit::EXAMPLES)]
    Submit(Box<submit::SubmitArgs>),
    /// List batches
    #[command(after_help = look::LIST_EXAMPLES)]
    List(look::ListArgs),
    /// Show one batch, and how far its jobs are
    #[command(after_help = look::SHOW_EXAMPLES)]
    Show(look::ShowArgs),
    /// Follow one batch with a progress bar until all of its jobs have ended
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::WatchArgs),
    #[command(flatten)]
    Order(order::Order),
}

pub(super) async fn run(args: BatchArgs, console: &Console) -> anyhow::Result<()> {
    match args.command {
        Command::Submit(args) => submit::run(&args, console).await,
        Command::List(args) => look::list(&args, console).await,
        Command::Show(args) => look::show(&args, console).await,
        Command::Watch(args) => watch::run(&args, console).await,
        Command::Order(order) => order::run(&order, console).await,
    }
}
