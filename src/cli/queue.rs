//! `queue …`: what queues have, and how they are handed out.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{self, Answer, Query};
use super::out::{cell, rendered};
use super::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline queue list
  ledgerline queue pause mail --reason 'the mail server is away'
  ledgerline queue resume mail
  ledgerline queue configure mail --running-max 10 --rate 100/1000";

const LIST_EXAMPLES: &str = "\
Examples:
  ledgerline queue list
  ledgerline queue list -o json";

const PAUSE_EXAMPLES: &str = "\
Examples:
  ledgerline queue pause mail --reason 'the mail server is away'";

const RESUME_EXAMPLES: &str = "\
Examples:
  ledgerline queue resume mail";

const CONFIGURE_EXAMPLES: &str = "\
Examples:
  ledgerline queue configure mail --running-max 10 --running-per-key-max 2 --rate 100/1000
  ledgerline queue configure mail";

/// Work with queues.
#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the queues: what waits, runs and has ended
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Hand out nothing
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause {
        /// Name of the queue
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Hand out again
    #[command(after_help = RESUME_EXAMPLES)]
    Resume {
        /// Name of the queue
        name: String,
    },
    /// Replace its limits; what is not given is not limited
    #[command(after_help = CONFIGURE_EXAMPLES)]
    Configure {
        /// Name of the queue
        name: String,
        /// How many jobs run at once
        #[arg(long, value_name = "N")]
        running_max: Option<u32>,
        /// How many jobs of one fairness key run at once
        #[arg(long, value_name = "N")]
        running_per_key_max: Option<u32>,
        /// How many jobs begin in how many milliseconds
        #[arg(long, value_name = "JOBS/MS", value_parser = rate)]
        rate: Option<(u32, u32)>,
    },
}

fn rate(text: &str) -> Result<(u32, u32), &'static str> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(jobs, ms)| Some((jobs.parse().ok()?, ms.parse().ok()?)));
    parts.ok_or("must be `<jobs>/<milliseconds>`")
}

pub(super) async fn run(args: &QueueArgs, console: &Console) -> anyhow::Result<()> {
    let (name, verb, body) = match &args.command {
        Command::List => return list(console).await,
        Command::Pause { name, reason } => {
            let body = reason
                .as_ref()
                .map_or_else(|| json!({}), |reason| json!({"reason": reason}));
            (name, "pause", body)
        }
        Command::Resume { name } => (name, "resume", json!({})),
        Command::Configure {
            name,
            running_max,
            running_per_key_max,
            rate,
        } => {
            let mut limits = Map::new();
            let mut set = |name: &str, value: Option<Value>| {
                if let Some(value) = value {
                    limits.insert(name.to_owned(), value);
                }
            };
            set("running_max", running_max.map(Value::from));
            set("running_per_key_max", running_per_key_max.map(Value::from));
            let rate = rate.map(|(jobs, ms)| json!({"jobs": jobs, "period_ms": ms}));
            set("rate", rate);
            (name, "configure", Value::Object(limits))
        }
    };
    let key = format!("cli-{}", console.clock.fresh_id());
    let sent = client::Order {
        body: &body,
        key: Some(&key),
        expected_version: None,
    };
    let path = ["v1", "queues", name, verb];
    let Answer { body, .. } = console.client()?.post(&path, &sent).await?;
    console.out.document(&body, |receipt| {
        show::fields(console.out.new_table(&[]), receipt)
    })?;
    Ok(())
}

async fn list(console: &Console) -> anyhow::Result<()> {
    const COLUMNS: [(&str, &str); 8] = [
        ("queue", "/name"),
        ("ready", "/ready"),
        ("delayed", "/delayed"),
        ("running", "/running"),
        ("completed", "/completed"),
        ("dead", "/dead"),
        ("paused", "/paused"),
        ("wait p99 ms", "/wait_ms/p99"),
    ];
    let answer = console
        .client()?
        .get(&["v1", "queues"], &Query::default())
        .await?;
    console.out.document(&answer.body, |body| {
        let mut table = console.out.new_table(&COLUMNS.map(|(name, _)| name));
        for queue in body["queues"].as_array().into_iter().flatten() {
            table.add_row(COLUMNS.map(|(_, pointer)| cell(show::text(queue, pointer))));
        }
        rendered(&table)
    })?;
    Ok(())
}
