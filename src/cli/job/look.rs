//! `job list`, `job show`, `job history`.

use clap::Args;
use domain::job::{Priority, Status};
use uuid::Uuid;

use crate::cli::client::Query;
use crate::cli::client::pages::{self, ITEMS_MAX, Items};
use crate::cli::client::query::Moment;
use crate::cli::label::Label;
use crate::cli::out::{Out, cell, rendered};
use crate::cli::{Console, history, show};

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  ledgerline job list
  ledgerline job list --queue mail --status dead --sort -ended_at
  ledgerline job list --worker w1 --status running -o json
  ledgerline job list --label site=north --count";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  ledgerline job show 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b -o json";

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  ledgerline job history 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// What to list, and how much of it. All filters that are given must fit.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// In this queue
    #[arg(long)]
    queue: Option<String>,
    /// Of this kind
    #[arg(long)]
    kind: Option<String>,
    /// In one of these states; separate several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<Status>,
    /// Of this priority
    #[arg(long)]
    priority: Option<Priority>,
    /// Held by this worker
    #[arg(long)]
    worker: Option<String>,
    /// With this fairness key
    #[arg(long, value_name = "KEY")]
    fairness_key: Option<String>,
    /// Part of this, as `batch:<id>`
    #[arg(long, value_name = "KIND:ID")]
    parent: Option<String>,
    /// With this label; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Enqueued at this time or later
    #[arg(long, value_name = "TIME")]
    enqueued_from: Option<Moment>,
    /// Enqueued before this time
    #[arg(long, value_name = "TIME")]
    enqueued_to: Option<Moment>,
    /// Order, as `enqueued_at`, `ended_at` or `priority`, with `-` before it the other way round
    #[arg(long, value_name = "[-]FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// The most to list; more than 500 are fetched page by page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(ITEMS_MAX)))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    /// Print only how many there are
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    count: bool,
    /// Wait until the read side has reached this position, such as that of a receipt
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

/// Which job.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id of the job
    id: Uuid,
    /// Wait until the read side has reached this position, such as that of a receipt
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

/// Which job.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Id of the job
    id: Uuid,
}

pub(super) async fn list(args: &ListArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let path = ["v1", "jobs"];
    let query = args.query();
    if args.count {
        return pages::count(&client, &path, query, &console.out).await;
    }
    let query = query.with("sort", args.sort.as_ref());
    let items = pages::read(&client, &path, &query, args.limit, args.cursor.as_deref()).await?;
    console
        .out
        .document(&items, |items| jobs(items, &console.out))?;
    pages::remark(&items, &console.out);
    Ok(())
}

pub(super) async fn show(args: &ShowArgs, console: &Console) -> anyhow::Result<()> {
    let query = Query::default().with("min_position", args.min_position);
    let id = args.id.to_string();
    let answer = console.client()?.get(&["v1", "jobs", &id], &query).await?;
    console.out.document(&answer.body, |body| {
        show::fields(console.out.new_table(&[]), body)
    })?;
    Ok(())
}

pub(super) async fn events(args: &HistoryArgs, console: &Console) -> anyhow::Result<()> {
    history::print(console, "jobs", args.id).await
}

impl ListArgs {
    fn query(&self) -> Query {
        let status: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        let mut query = Query::default()
            .with("queue", self.queue.as_ref())
            .with("kind", self.kind.as_ref())
            .with("status", (!status.is_empty()).then(|| status.join(",")))
            .with("priority", self.priority)
            .with("worker", self.worker.as_ref())
            .with("fairness_key", self.fairness_key.as_ref())
            .with("parent", self.parent.as_ref())
            .with("enqueued_from", self.enqueued_from)
            .with("enqueued_to", self.enqueued_to)
            .with("min_position", self.min_position);
        for Label { key, value } in &self.label {
            query.set(&format!("label.{key}"), value);
        }
        query
    }
}

fn jobs(items: &Items, out: &Out) -> String {
    const COLUMNS: [(&str, &str); 8] = [
        ("id", "/id"),
        ("status", "/status"),
        ("queue", "/queue"),
        ("kind", "/kind"),
        ("priority", "/priority"),
        ("attempt", "/attempt"),
        ("worker", "/worker"),
        ("enqueued at", "/enqueued_at"),
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
        let line = "list --queue q --kind k --status dead,running --priority high --worker w \
                    --fairness-key f --parent batch:b --label x=y --min-position 7";
        let args = Only::try_parse_from(line.split_whitespace()).expect("a command");
        let query = args.list.query();
        let pairs: Vec<_> = query
            .pairs()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            pairs.join(" "),
            "queue=q kind=k status=dead,running priority=high worker=w fairness_key=f parent=batch:b \
             min_position=7 label.x=y"
        );
    }
}
