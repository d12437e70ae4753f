//! `openapi`: the description of the HTTP API, made from its routes. Needs no server.

use super::Console;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline openapi > openapi.json";

pub(super) fn run(console: &Console) -> anyhow::Result<()> {
    let document = api::openapi();
    let text = serde_json::to_string_pretty(&document)?;
    console.out.line(&text)?;
    Ok(())
}
