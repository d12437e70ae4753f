//! `schedule next`: the next times of a schedule, or of one that need not be.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::spec::SpecArgs;
use crate::cli::client::query::Moment;
use crate::cli::client::{self, Query};
use crate::cli::failure::Failure;
use crate::cli::out::{cell, rendered};
use crate::cli::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline schedule next 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline schedule next --cron '30 2 * * *' --time-zone Europe/Berlin --after 2026-03-27 --count 3
  ledgerline schedule next --from-file report.json";

/// Which schedule, and how many of its times.
#[derive(Debug, Args)]
pub(super) struct NextArgs {
    /// Id of the schedule; without it, the options say when
    id: Option<Uuid>,
    /// How many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,
    /// Times later than this; than now if not given
    #[arg(long, value_name = "TIME")]
    after: Option<Moment>,
    #[command(flatten)]
    spec: SpecArgs,
}

pub(super) async fn run(args: &NextArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let query = Query::default()
        .with("count", args.count)
        .with("after", args.after);
    let answer = match (args.id, args.spec.is_given()) {
        (Some(id), false) => {
            let id = id.to_string();
            let path = ["v1", "schedules", &id, "next"];
            client.get(&path, &query).await?
        }
        (None, true) => {
            let placeholders =
                json!({"name": "preview", "job": {"queue": "preview", "kind": "preview"}});
            let body = Value::Object(args.spec.body(placeholders)?);
            let sent = client::Order {
                body: &body,
                key: None,
                expected_version: None,
            };
            let path = ["v1", "schedules", "next"];
            client.order(Method::POST, &path, &query, &sent).await?
        }
        _ => {
            let either = "give either the id of a schedule, or when it would be due";
            return Err(Failure::Usage(either.to_owned()).into());
        }
    };
    console.out.document(&answer.body, |body| {
        let zone = show::text(body, "/time_zone");
        let mut table = console.out.new_table(&["at", &zone]);
        for time in body["items"].as_array().into_iter().flatten() {
            table.add_row(["/at", "/local"].map(|pointer| cell(show::text(time, pointer))));
        }
        rendered(&table)
    })?;
    Ok(())
}
