//! `audit`: whether the journal is what it was when it was written, and how somebody else can tell.
//!
//! It reads what is stored on NATS, not what the service says of it.

mod new_key;
mod prove;
mod seals;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Console, endpoints};
use crate::compose;
use crate::compose::audit::Audit;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline audit verify
  ledgerline audit prove 17 --out proof.json";

/// What is to be shown.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare every commit with its chain and its seal, and say what differs and where
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// List the seals, or write them to keep them elsewhere
    #[command(after_help = seals::EXAMPLES)]
    Seals(seals::SealsArgs),
    /// Prove to somebody else that a commit stands in the journal as it was sealed
    #[command(after_help = prove::EXAMPLES)]
    Prove(prove::ProveArgs),
    /// Make a new key that signs seals from now on
    #[command(after_help = new_key::EXAMPLES)]
    NewKey(new_key::NewKeyArgs),
}

/// Whose journal.
#[derive(Debug, Args)]
struct Source {
    /// Address of NATS with a user of the journal's account, instead of the one of the `up` that runs on
    /// the data folder
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS",
        hide_env_values = true
    )]
    nats: Option<String>,
}

impl Source {
    async fn open(&self, console: &Console) -> anyhow::Result<Audit> {
        match &self.nats {
            Some(nats) => Audit::open(nats).await,
            None => Audit::open(&endpoints::read(&console.global.data_dir)?.nats).await,
        }
    }
}

/// The folder of the keys of seals: the one that was given, or that of the data folder.
fn key_folder(given: Option<&PathBuf>, console: &Console) -> PathBuf {
    let own = || compose::key_folder(&console.global.data_dir.join("keys"));
    given.cloned().unwrap_or_else(own)
}

pub(super) async fn run(args: &AuditArgs, console: &Console) -> anyhow::Result<()> {
    match &args.command {
        Command::Verify(args) => verify::run(args, console).await,
        Command::Seals(args) => seals::run(args, console).await,
        Command::Prove(args) => prove::run(args, console).await,
        Command::NewKey(args) => new_key::run(args, console),
    }
}
