//! `worker-protocol`: the protocol of workers over NATS, made from the routes of the API. Needs no server.

use super::Console;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline worker-protocol > worker-protocol.json";

pub(super) fn run(console: &Console) -> anyhow::Result<()> {
    Ok(console.out.line(&api::gateway::document())?)
}
