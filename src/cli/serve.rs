//! `ledgerline serve`: the same service on servers of one's own.

use anyhow::Context as _;
use clap::Args;

use super::Console;
use crate::compose::{self, ServeSettings};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline serve --nats nats://user:secret@nats:4222 --database postgres://user:secret@db/ledgerline --keys keys
  ledgerline serve --roles api --nats … --database … --keys keys
  ledgerline serve --roles projector,reactor --nats … --database …

Run `ledgerline migrate` before the first start and after every upgrade. Several projectors and
reactors may run: one works, the others stand by.";

/// What `serve` takes.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: ServeSettings,
}

pub(super) async fn run(args: ServeArgs, console: &Console) -> anyhow::Result<()> {
    let settings = args.settings;
    settings.service.start_logs()?;
    let running = compose::serve(&settings).await.context("start")?;
    if let Some(address) = running.address() {
        console.out.line(&format!("serving http://{address}"))?;
    }
    compose::until_told_to_stop().await?;
    running.stop().await;
    Ok(())
}
