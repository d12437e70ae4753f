//! `schedule list`, `schedule show`, `schedule history`.

use clap::Args;
use domain::schedule::Status;
use uuid::Uuid;

use crate::cli::client::Query;
use crate::cli::client::pages::{self, ITEMS_MAX, Items};
use crate::cli::client::query::Moment;
use crate::cli::label::Label;
use crate::cli::out::{Out, cell, rendered};
use crate::cli::{Console, history, show};

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  ledgerline schedule list
  ledgerline schedule list --status active --sort next_at
  ledgerline schedule list --queue report --next-to 2026-03-02 -o json
  ledgerline schedule list --status paused --count";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  ledgerline schedule show 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b -o json";

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  ledgerline schedule history 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// What to list, and how much of it. All filters that are given must fit.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// In one of these states; separate several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<Status>,
    /// Of this name
    #[arg(long)]
    name: Option<String>,
    /// Whose jobs are of this queue
    #[arg(long)]
    queue: Option<String>,
    /// Whose jobs are of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Whose jobs have this label; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Next due at this time or later
    #[arg(long, value_name = "TIME")]
    next_from: Option<Moment>,
    /// Next due before this time
    #[arg(long, value_name = "TIME")]
    next_to: Option<Moment>,
    /// Order, as `created_at`, `next_at` or `name`, with `-` before it the other way round
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

/// Which schedule.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id of the schedule
    id: Uuid,
    /// Wait until the read side has reached this position, such as that of a receipt
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

/// Which schedule.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Id of the schedule
    id: Uuid,
}

pub(super) async fn list(args: &ListArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let path = ["v1", "schedules"];
    let query = args.query();
    if args.count {
        return pages::count(&client, &path, query, &console.out).await;
    }
    let query = query.with("sort", args.sort.as_ref());
    let items = pages::read(&client, &path, &query, args.limit, args.cursor.as_deref()).await?;
    console
        .out
        .document(&items, |items| schedules(items, &console.out))?;
    pages::remark(&items, &console.out);
    Ok(())
}

pub(super) async fn show(args: &ShowArgs, console: &Console) -> anyhow::Result<()> {
    let query = Query::default().with("min_position", args.min_position);
    let id = args.id.to_string();
    let path = ["v1", "schedules", &id];
    let answer = console.client()?.get(&path, &query).await?;
    console.out.document(&answer.body, |body| {
        show::fields(console.out.new_table(&[]), body)
    })?;
    Ok(())
}

pub(super) async fn events(args: &HistoryArgs, console: &Console) -> anyhow::Result<()> {
    history::print(console, "schedules", args.id).await
}

impl ListArgs {
    fn query(&self) -> Query {
        let status: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        let mut query = Query::default()
            .with("status", (!status.is_empty()).then(|| status.join(",")))
            .with("name", self.name.as_ref())
            .with("queue", self.queue.as_ref())
            .with("kind", self.kind.as_ref())
            .with("next_from", self.next_from)
            .with("next_to", self.next_to)
            .with("min_position", self.min_position);
        for Label { key, value } in &self.label {
            query.set(&format!("label.{key}"), value);
        }
        query
    }
}

fn schedules(items: &Items, out: &Out) -> String {
    const COLUMNS: [(&str, &str); 8] = [
        ("id", "/id"),
        ("name", "/name"),
        ("status", "/status"),
        ("queue", "/job/queue"),
        ("kind", "/job/kind"),
        ("next at", "/next_at"),
        ("last fired at", "/last_fired_at"),
        ("last run", "/last_run/outcome"),
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
