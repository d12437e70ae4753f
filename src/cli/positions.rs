//! `positions`: how far everything is.

use clap::Args;
use serde_json::Value;

use super::client::Query;
use super::out::{Out, cell, rendered};
use super::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline positions
  ledgerline positions -o json";

/// Takes nothing of its own.
#[derive(Debug, Args)]
pub(super) struct PositionsArgs {}

pub(super) async fn run(_args: &PositionsArgs, console: &Console) -> anyhow::Result<()> {
    let answer = console
        .client()?
        .get(&["v1", "positions"], &Query::default())
        .await?;
    console
        .out
        .document(&answer.body, |body| table(body, &console.out))?;
    Ok(())
}

fn table(body: &Value, out: &Out) -> String {
    let mut table = out.new_table(&["what", "version", "position", "status", "lag", "error"]);
    for (name, pointer) in [
        ("journal", "/journal"),
        ("read side", "/read_side"),
        ("feed", "/feed"),
    ] {
        table.add_row([cell(name), cell(""), cell(show::text(body, pointer))]);
    }
    for model in body["models"].as_array().into_iter().flatten() {
        let name = format!("model {}", show::text(model, "/name"));
        let rest = ["/version", "/position", "/status", "/lag", "/error"];
        let rest = rest.map(|pointer| cell(show::text(model, pointer)));
        table.add_row([cell(name)].into_iter().chain(rest).collect::<Vec<_>>());
    }
    rendered(&table)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    #[test]
    fn journal_read_side_feed_and_models_have_a_line_each() {
        let body = json!({"journal": 12, "read_side": 11, "feed": null, "models": [
            {"name": "assignment", "version": 1, "position": 11, "status": "live", "lag": 1}]});
        let (out, _) = captured(Format::Table);
        let text = table(&body, &out);
        let lines: Vec<String> = text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "journal 12",
                "read side 11",
                "feed",
                "model assignment 1 11 live 1"
            ]
        );
    }
}
