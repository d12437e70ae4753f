//! `assignment list`: the filters of `GET /v1/assignments` as flags.

use clap::Args;
use domain::assignment::Status;

use super::{Label, Reading};
use crate::cli::client::Query;
use crate::cli::client::pages::{self, ITEMS_MAX, Items};
use crate::cli::client::query::Moment;
use crate::cli::out::{Out, cell, rendered};
use crate::cli::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline assignment list
  ledgerline assignment list --status queued,assigned --group workshop --sort priority
  ledgerline assignment list --label site=north --priority 1..2 --limit 500
  ledgerline assignment list --unassigned --requested-from 2026-03-01 -o json
  ledgerline assignment list --status completed --count";

/// Filters; all that are given must fit.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
struct Filters {
    /// Of this id
    #[arg(long)]
    id: Option<String>,
    /// With this text in the title
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Of this kind
    #[arg(long)]
    kind: Option<String>,
    /// In one of these states; separate several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<Status>,
    /// In this group
    #[arg(long)]
    group: Option<String>,
    /// Asked for by this person
    #[arg(long, value_name = "PERSON")]
    requester: Option<String>,
    /// Held by this person
    #[arg(long, value_name = "PERSON", conflicts_with = "unassigned")]
    assignee: Option<String>,
    /// Held by nobody
    #[arg(long)]
    unassigned: bool,
    /// Of this priority, or of one in a range such as `1..2`
    #[arg(long, value_name = "N|A..B")]
    priority: Option<String>,
    /// With this label; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// With this name in another system
    #[arg(long, value_name = "NAME")]
    external_ref: Option<String>,
    /// Ended with this outcome
    #[arg(long)]
    outcome: Option<String>,
    /// On hold for this reason
    #[arg(long, value_name = "REASON")]
    hold_reason: Option<String>,
    /// With a window that reaches beyond this time
    #[arg(long, value_name = "TIME")]
    window_from: Option<Moment>,
    /// With a window that begins before this time
    #[arg(long, value_name = "TIME")]
    window_to: Option<Moment>,
    /// Of at least this effort
    #[arg(long, value_name = "MINUTES")]
    effort_min: Option<u32>,
    /// Of at most this effort
    #[arg(long, value_name = "MINUTES")]
    effort_max: Option<u32>,
    /// Requested at this time or later
    #[arg(long, value_name = "TIME")]
    requested_from: Option<Moment>,
    /// Requested before this time
    #[arg(long, value_name = "TIME")]
    requested_to: Option<Moment>,
    /// Last changed at this time or later
    #[arg(long, value_name = "TIME")]
    updated_from: Option<Moment>,
    /// Last changed before this time
    #[arg(long, value_name = "TIME")]
    updated_to: Option<Moment>,
}

/// What to list, and how much of it.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filters: Filters,
    /// Order, with `-` before it the other way round
    #[arg(
        long,
        value_name = "[-]FIELD",
        default_value = "-requested_at",
        allow_hyphen_values = true,
        value_parser = SORTS
    )]
    sort: String,
    /// The most to list; more than 500 are fetched page by page
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(ITEMS_MAX)))]
    limit: u32,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    /// Print only how many there are
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    count: bool,
    #[command(flatten)]
    reading: Reading,
}

/// The orders that the server knows.
const SORTS: [&str; 12] = [
    "requested_at",
    "-requested_at",
    "updated_at",
    "-updated_at",
    "priority",
    "-priority",
    "status",
    "-status",
    "title",
    "-title",
    "position",
    "-position",
];

pub(super) async fn run(args: &ListArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let path = ["v1", "assignments"];
    let query = args
        .filters
        .query()
        .with("min_position", args.reading.min_position);
    if args.count {
        return pages::count(&client, &path, query, &console.out).await;
    }
    let query = query.with("sort", Some(&args.sort));
    let items = pages::read(&client, &path, &query, args.limit, args.cursor.as_deref()).await?;
    console
        .out
        .document(&items, |items| table(items, &console.out))?;
    pages::remark(&items, &console.out);
    Ok(())
}

impl Filters {
    fn query(&self) -> Query {
        let status: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        let mut query = Query::default()
            .with("id", self.id.as_ref())
            .with("title", self.title.as_ref())
            .with("kind", self.kind.as_ref())
            .with("status", (!status.is_empty()).then(|| status.join(",")))
            .with("group", self.group.as_ref())
            .with("requester", self.requester.as_ref())
            // An empty name means nobody.
            .with(
                "assignee",
                if self.unassigned {
                    Some("")
                } else {
                    self.assignee.as_deref()
                },
            )
            .with("priority", self.priority.as_ref())
            .with("external_ref", self.external_ref.as_ref())
            .with("outcome", self.outcome.as_ref())
            .with("hold_reason", self.hold_reason.as_ref())
            .with("window_from", self.window_from)
            .with("window_to", self.window_to)
            .with("effort_min", self.effort_min)
            .with("effort_max", self.effort_max)
            .with("requested_from", self.requested_from)
            .with("requested_to", self.requested_to)
            .with("updated_from", self.updated_from)
            .with("updated_to", self.updated_to);
        for Label { key, value } in &self.label {
            query.set(&format!("label.{key}"), value);
        }
        query
    }
}

fn table(items: &Items, out: &Out) -> String {
    const COLUMNS: [(&str, &str); 8] = [
        ("id", "/id"),
        ("status", "/status"),
        ("pri", "/priority"),
        ("kind", "/kind"),
        ("group", "/group"),
        ("assignee", "/assignee"),
        ("requested at", "/requested_at"),
        ("title", "/title"),
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
    use serde_json::json;

    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        list: ListArgs,
    }

    fn parse(args: &[&str]) -> Result<ListArgs, clap::Error> {
        Only::try_parse_from([&["list"], args].concat()).map(|only| only.list)
    }

    #[test]
    fn every_filter_reaches_the_query_under_its_name() {
        let args = [
            "--id",
            "i",
            "--title",
            "t",
            "--kind",
            "k",
            "--status",
            "queued,on_hold",
            "--group",
            "g",
            "--requester",
            "r",
            "--assignee",
            "a",
            "--priority",
            "1..2",
            "--label",
            "x=y=z",
            "--label",
            "v=",
            "--external-ref",
            "e",
            "--outcome",
            "o",
            "--hold-reason",
            "h",
            "--window-from",
            "2026-01-01",
            "--window-to",
            "2026-01-02",
            "--effort-min",
            "1",
            "--effort-max",
            "2",
            "--requested-from",
            "2026-01-03",
            "--requested-to",
            "2026-01-04",
            "--updated-from",
            "2026-01-05",
            "--updated-to",
            "2026-01-06",
        ];
        let query = parse(&args).expect("all are flags").filters.query();
        let text: Vec<String> = query
            .pairs()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            text.join(" "),
            "id=i title=t kind=k status=queued,on_hold group=g requester=r assignee=a priority=1..2 \
             external_ref=e outcome=o hold_reason=h window_from=2026-01-01T00:00:00Z \
             window_to=2026-01-02T00:00:00Z effort_min=1 effort_max=2 \
             requested_from=2026-01-03T00:00:00Z requested_to=2026-01-04T00:00:00Z \
             updated_from=2026-01-05T00:00:00Z updated_to=2026-01-06T00:00:00Z label.x=y=z label.v="
        );
    }

    #[test]
    fn nobody_is_an_empty_assignee() {
        let query = parse(&["--unassigned"]).expect("a flag").filters.query();
        assert_eq!(query.pairs(), [("assignee".to_owned(), String::new())]);
    }

    #[test]
    fn an_order_may_begin_with_a_hyphen_and_must_exist() {
        assert_eq!(
            parse(&["--sort", "-updated_at"]).expect("an order").sort,
            "-updated_at"
        );
        for bad in [
            vec!["--sort", "colour"],
            vec!["--status", "lost"],
            vec!["--limit", "0"],
            vec!["--label", "=x"],
            vec!["--count", "--limit", "3"],
            vec!["--updated-to", "soon"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_table_has_one_line_an_assignment() {
        let (out, _) = captured(Format::Table);
        let item = json!({"id": "i-1", "status": "queued", "priority": 3, "kind": "repair",
            "group": "workshop", "assignee": null, "requested_at": "2026-01-01T00:00:00Z",
            "title": "Replace\nthe pump"});
        let items = Items {
            items: vec![item],
            next: None,
            position: None,
        };
        let text = table(&items, &out);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with(" ID") && lines[0].ends_with("TITLE"),
            "{text}"
        );
        assert!(lines[1].ends_with("Replace the pump"), "{text}");
        let none = Items {
            items: vec![],
            next: None,
            position: None,
        };
        assert_eq!(table(&none, &out), "");
    }
}
