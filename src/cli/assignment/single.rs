//! `assignment show` and `assignment history`: one assignment, now, then, and all the way.

use clap::Args;
use serde_json::Value;

use super::{Id, Reading};
use crate::cli::client::Query;
use crate::cli::client::pages::{self, ITEMS_MAX, Items};
use crate::cli::client::query::Moment;
use crate::cli::out::{Out, cell, rendered};
use crate::cli::{Console, show};

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  ledgerline assignment show 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline assignment show 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --at 2026-03-01T12:00:00Z
  ledgerline assignment show 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --position 1200 -o json";

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  ledgerline assignment history 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline assignment history 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --limit 20000 -o json";

/// Which assignment, and as of when.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id of the assignment
    id: Id,
    /// As it was at this time, by when things happened
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// As it was recorded up to this position
    #[arg(long)]
    position: Option<u64>,
    #[command(flatten)]
    reading: Reading,
}

/// Which assignment, and how much of its history.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Id of the assignment
    id: Id,
    /// The most events to list, from the first on
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=i64::from(ITEMS_MAX)))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

pub(super) async fn show(args: &ShowArgs, console: &Console) -> anyhow::Result<()> {
    let query = Query::default()
        .with("at", args.at)
        .with("position", args.position)
        .with("min_position", args.reading.min_position);
    let path = ["v1", "assignments", args.id.as_str()];
    let answer = console.client()?.get(&path, &query).await?;
    console.out.document(&answer.body, |body| {
        show::fields(console.out.new_table(&[]), body)
    })?;
    Ok(())
}

pub(super) async fn history(args: &HistoryArgs, console: &Console) -> anyhow::Result<()> {
    let query = Query::default().with("min_position", args.reading.min_position);
    let path = ["v1", "assignments", args.id.as_str(), "history"];
    let client = console.client()?;
    let items = pages::read(&client, &path, &query, args.limit, args.cursor.as_deref()).await?;
    console
        .out
        .document(&items, |items| table(items, &console.out))?;
    if let Some(next) = &items.next {
        console
            .out
            .remark(&format!("there are more: go on with --cursor {next}"));
    }
    Ok(())
}

fn table(items: &Items, out: &Out) -> String {
    let mut table = out.new_table(&["position", "happened at", "event", "by", "what"]);
    for item in &items.items {
        table.add_row([
            cell(show::text(item, "/position")),
            cell(happened_at(item)),
            cell(show::text(item, "/type")),
            cell(by(item)),
            cell(what(item)),
        ]);
    }
    rendered(&table)
}

/// When it happened is more to a reader than when it was recorded.
fn happened_at(item: &Value) -> String {
    match show::text(item, "/occurred_at") {
        none if none.is_empty() => show::text(item, "/at"),
        occurred => occurred,
    }
}

fn by(item: &Value) -> String {
    match (
        show::text(item, "/principal"),
        show::text(item, "/on_behalf_of"),
    ) {
        (principal, other) if other.is_empty() => principal,
        (principal, other) => format!("{other} (through {principal})"),
    }
}

/// Where a move led, and whatever else the event says.
fn what(item: &Value) -> String {
    let mut said = Vec::new();
    if let Some(to) = item.pointer("/data/change/to") {
        let standing = ["/status", "/group", "/assignee"].map(|pointer| show::text(to, pointer));
        said.push(format!("→ {}", standing.join(" ").trim_end()));
    }
    for name in ["title", "reason", "outcome", "text"] {
        let text = show::text(&item["data"], &format!("/{name}"));
        if !text.is_empty() {
            said.push(text);
        }
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    #[test]
    fn a_line_of_the_history_says_when_who_and_what() {
        let item = json!({"position": "12.0", "type": "put_on_hold", "v": 1, "at": "2026-01-02T00:00:00Z",
            "occurred_at": "2012-05-01T00:00:00Z", "principal": "importer", "on_behalf_of": "Anne",
            "data": {"reason": "Wait - User", "change": {
                "from": {"status": "in_progress", "group": "g", "since": "2012-04-30T00:00:00Z"},
                "to": {"status": "on_hold", "group": "g", "assignee": "Anne"}}}});
        let (out, _) = captured(Format::Table);
        let text = table(
            &Items {
                items: vec![item],
                next: None,
                position: None,
            },
            &out,
        );
        let line = text.lines().nth(1).expect("one event");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "12.0 2012-05-01T00:00:00Z put_on_hold Anne (through importer) → on_hold g Anne: Wait - User"
        );
    }
}
