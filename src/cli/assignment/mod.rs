//! `assignment …`: queries in [`list`], [`single`]; commands in [`order`].

mod list;
mod order;
mod single;

use std::str::FromStr;

use clap::{Args, Subcommand};

use super::Console;
use super::label::Label;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline assignment list --status queued,assigned --group workshop
  ledgerline assignment request --title 'Replace the pump' --kind repair --group workshop
  ledgerline assignment start 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline assignment history 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// Work with assignments.
#[derive(Debug, Args)]
pub(super) struct AssignmentArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List assignments, filtered by any field
    #[command(after_help = list::EXAMPLES)]
    List(Box<list::ListArgs>),
    /// Show one assignment, as it is or as it was
    #[command(after_help = single::SHOW_EXAMPLES)]
    Show(single::ShowArgs),
    /// List every event of one assignment: who, when, what
    #[command(after_help = single::HISTORY_EXAMPLES)]
    History(single::HistoryArgs),
    #[command(flatten)]
    Order(order::Order),
}

/// The id of an assignment.
#[derive(Debug, Clone)]
struct Id(domain::Token);

impl Id {
    fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Id {
    type Err = domain::InvalidId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        domain::Token::new(id).map(Self)
    }
}

/// What every query of the read side takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Reading {
    /// Wait until the read side has reached this position, such as that of a receipt
    #[arg(long, value_name = "POSITION")]
    pub(super) min_position: Option<u64>,
}

pub(super) async fn run(args: AssignmentArgs, console: &Console) -> anyhow::Result<()> {
    match args.command {
        Command::List(args) => list::run(&args, console).await,
        Command::Show(args) => single::show(&args, console).await,
        Command::History(args) => single::history(&args, console).await,
        Command::Order(order) => order::run(&order, console).await,
    }
}
