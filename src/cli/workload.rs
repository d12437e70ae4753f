//! `workload`: `GET /v1/workload` as a table.

use clap::{Args, ValueEnum};

use super::Console;
use super::client::Query;
use super::client::pages::{self, ITEMS_MAX, Items};
use super::out::{Out, cell, rendered};
use super::show;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline workload
  ledgerline workload --dimension group --sort -open
  ledgerline workload --dimension person --name anne -o json";

/// Whose workload.
#[derive(Debug, Args)]
pub(super) struct WorkloadArgs {
    /// Of persons or of groups
    #[arg(long, value_enum, default_value = "person")]
    dimension: Dimension,
    /// Of this one only
    #[arg(long)]
    name: Option<String>,
    /// Order, as `name` or `-open`; the server's own if not given
    #[arg(long, value_name = "[-]FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// The most to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(ITEMS_MAX)))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    /// Wait until the read side has reached this position, such as that of a receipt
    #[arg(long, value_name = "POSITION")]
    min_position: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dimension {
    /// Whoever holds work
    Person,
    /// Wherever work lies
    Group,
}

pub(super) async fn run(args: &WorkloadArgs, console: &Console) -> anyhow::Result<()> {
    let dimension = match args.dimension {
        Dimension::Person => "person",
        Dimension::Group => "group",
    };
    let query = Query::default()
        .with("dimension", Some(dimension))
        .with("name", args.name.as_ref())
        .with("sort", args.sort.as_ref())
        .with("min_position", args.min_position);
    let client = console.client()?;
    let path = ["v1", "workload"];
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
    const COUNTS: [&str; 6] = [
        "open",
        "in_progress",
        "on_hold",
        "completed",
        "cancelled",
        "hand_overs",
    ];
    const TIMES: [&str; 4] = ["queued", "assigned", "in_progress", "on_hold"];
    if items.items.is_empty() {
        return String::new();
    }
    let counts = COUNTS.iter().map(|name| name.replace('_', " "));
    let times = TIMES
        .iter()
        .map(|name| format!("time {}", name.replace('_', " ")));
    let header: Vec<String> = ["name".to_owned()]
        .into_iter()
        .chain(counts)
        .chain(times)
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = out.new_table(&header);
    for item in &items.items {
        let name = cell(show::text(item, "/name"));
        let counts = COUNTS
            .iter()
            .map(|count| cell(show::text(item, &format!("/{count}"))));
        let times = TIMES.iter().map(|state| {
            let seconds = item["seconds"][state].as_f64().unwrap_or_default();
            cell(show::duration(seconds))
        });
        table.add_row(
            [name]
                .into_iter()
                .chain(counts)
                .chain(times)
                .collect::<Vec<_>>(),
        );
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
    fn a_line_has_counts_and_times_in_the_order_of_the_heading() {
        let item = json!({"dimension": "person", "name": "anne", "open": 3, "in_progress": 1,
            "on_hold": 1, "completed": 7, "cancelled": 0, "hand_overs": 2,
            "seconds": {"queued": 0, "assigned": 60, "in_progress": 3600.5, "on_hold": 86400}});
        let (out, _) = captured(Format::Table);
        let text = table(
            &Items {
                items: vec![item],
                next: None,
                position: None,
            },
            &out,
        );
        let words = |line: usize| -> String {
            let line = text.lines().nth(line).expect("two lines");
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            words(0),
            "NAME OPEN IN PROGRESS ON HOLD COMPLETED CANCELLED HAND OVERS \
             TIME QUEUED TIME ASSIGNED TIME IN PROGRESS TIME ON HOLD"
        );
        assert_eq!(words(1), "anne 3 1 1 7 0 2 0s 1m 1h 1d");
    }
}
