//! `batch list`, `batch show`.

use clap::Args;
use domain::batch::Status;
use uuid::Uuid;

use crate::cli::client::Query;
use crate::cli::client::pages::{self, ITEMS_MAX, Items};
use crate::cli::client::query::Moment;
use crate::cli::label::Label;
use crate::cli::out::{Out, cell, rendered};
use crate::cli::{Console, show};

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  ledgerline batch list
  ledgerline batch list --sort opened_at
  ledgerline batch list --status open,closed --label month=may -o json";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  ledgerline batch show 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline batch show 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b -o json";

/// What to list, and how much of it. All filters that are given must fit.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Of this name
    #[arg(long)]
    name: Option<String>,
    /// In one of these states; separate several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<Status>,
    /// With this label; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Opened at this time or later
    #[arg(long, value_name = "TIME")]
    opened_from: Option<Moment>,
    /// Opened before this time
    #[arg(long, value_name = "TIME")]
    opened_to: Option<Moment>,
    /// Order: `opened_at`, or `-opened_at`, the newest first, as it is if nothing is said
    #[arg(long, value_name = "[-]FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// The most to list; more than 500 are fetched page by page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(ITEMS_MAX)))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    /// Wait until the read side has reached this position, such as that of a receipt
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

/// Which batch.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id of the batch
    id: Uuid,
    /// Wait until the read side has reached this position, such as that of a receipt
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

pub(super) async fn list(args: &ListArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let (path, query) = (["v1", "batches"], args.query());
    let items = pages::read(&client, &path, &query, args.limit, args.cursor.as_deref()).await?;
    console
        .out
        .document(&items, |items| batches(items, &console.out))?;
    if let Some(next) = &items.next {
        console
            .out
            .remark(&format!("there are more: go on with --cursor {next}"));
    }
    Ok(())
}

pub(super) async fn show(args: &ShowArgs, console: &Console) -> anyhow::Result<()> {
    let query = Query::default().with("min_position", args.min_position);
    let id = args.id.to_string();
    let path = ["v1", "batches", &id];
    let answer = console.client()?.get(&path, &query).await?;
    console.out.document(&answer.body, |body| {
        show::fields(console.out.new_table(&[]), body)
    })?;
    Ok(())
}

impl ListArgs {
    fn query(&self) -> Query {
        let status: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        let mut query = Query::default()
            .with("name", self.name.as_ref())
            .with("status", (!status.is_empty()).then(|| status.join(",")))
            .with("opened_from", self.opened_from)
            .with("opened_to", self.opened_to)
            .with("sort", self.sort.as_ref())
            .with("min_position", self.min_position);
        for Label { key, value } in &self.label {
            query.set(&format!("label.{key}"), value);
        }
        query
    }
}

fn batches(items: &Items, out: &Out) -> String {
    const COLUMNS: [(&str, &str); 8] = [
        ("id", "/id"),
        ("name", "/name"),
        ("status", "/status"),
        ("jobs", "/jobs"),
        ("succeeded", "/completed/succeeded"),
        ("dead", "/completed/dead"),
        ("cancelled", "/completed/cancelled"),
        ("opened at", "/opened_at"),
    ];
    if items.items.is_empty() {
        return String::new();
    }
    let mut table = out.new_table(&COLUMNS.map(|(name, _)| name));
    for item in &items.items {
        table.add_row(COLUMNS.map(|(_, pointer)| cell(show::text(item, pointer))));
    }
    rendered(&table)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        list: ListArgs,
    }

    #[test]
    fn every_filter_reaches_the_query_under_its_name() {
        let line = "list --name May --status open,closed --label x=y --opened-from 2026-03-01 \
                    --opened-to 2026-04-01 --min-position 7";
        let args = Only::try_parse_from(line.split_whitespace()).expect("a command");
        let query = args.list.query();
        let pairs: Vec<_> = query
            .pairs()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            pairs.join(" "),
            "name=May status=open,closed opened_from=2026-03-01T00:00:00Z \
             opened_to=2026-04-01T00:00:00Z min_position=7 label.x=y"
        );
    }
}
