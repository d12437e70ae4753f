//! `audit prove`: a document that shows, to whoever has the public key, that a commit was sealed.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use domain::Position;

use super::super::failure::Failure;
use super::{Console, Source};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline audit prove 17
  ledgerline audit prove 17 --out proof.json

`scripts/check-proof --key PUBLIC.pem proof.json` checks it without any code of Ledgerline.";

/// Which commit.
#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    #[command(flatten)]
    source: Source,
    /// Where the commit stands
    #[arg(value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    position: u64,
    /// Where to write the proof, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: &ProveArgs, console: &Console) -> anyhow::Result<()> {
    let audit = args.source.open(console).await?;
    let Some(proof) = audit.prove(Position(args.position)).await? else {
        let problem = format!("position `{}` is not sealed, or not yet", args.position);
        return Err(Failure::NotFound(problem).into());
    };
    let Some(file) = &args.out else {
        return Ok(console.out.json(&proof)?);
    };
    let text = serde_json::to_vec_pretty(&proof)?;
    fs::write(file, text).with_context(|| format!("write `{}`", file.display()))?;
    let (position, seal) = (args.position, proof.seal.number);
    console
        .out
        .remark(&format!("proved position {position} by seal {seal}"));
    Ok(())
}
