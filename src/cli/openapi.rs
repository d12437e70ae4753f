//! `openapi`: the description of the HTTP API, made from its routes. Needs no server.

use super::Console;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline openapi > openapi.json";

pub(super) fn run(console: &Console) -> anyhow::Result<()> {
    Ok(console.out.line(&api::openapi())?)
}
