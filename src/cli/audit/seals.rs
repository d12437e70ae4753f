//! `audit seals`: every seal, as a table or as the lines that are to be kept elsewhere.

use clap::Args;
use commands::seal::Seal;
use futures_util::TryStreamExt as _;

use super::super::out::Format;
use super::{Console, Source};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline audit seals
  ledgerline audit seals -o json > seals.ndjson";

/// Which seals.
#[derive(Debug, Args)]
pub(super) struct SealsArgs {
    #[command(flatten)]
    source: Source,
}

pub(super) async fn run(args: &SealsArgs, console: &Console) -> anyhow::Result<()> {
    let audit = args.source.open(console).await?;
    let mut seals = audit.seals();
    match console.global.output {
        Format::Json => {
            while let Some(seal) = seals.try_next().await? {
                console.out.stream_line(&seal, Seal::text)?;
            }
        }
        Format::Table => {
            let mut rows = Vec::new();
            while let Some(seal) = seals.try_next().await? {
                rows.push([
                    seal.number.to_string(),
                    seal.first.to_string(),
                    seal.last.to_string(),
                    seal.at.to_string(),
                    seal.key.to_string(),
                    seal.root.to_string(),
                ]);
            }
            let header = ["seal", "first", "last", "made at", "key", "root"];
            console.out.table(header, rows)?;
        }
    }
    Ok(())
}
