//! Commands on jobs: each becomes one request with an idempotency key.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use domain::job::Priority;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cli::client::query::Moment;
use crate::cli::client::{self, Answer};
use crate::cli::label::Label;
use crate::cli::{Console, show};

const ENQUEUE_EXAMPLES: &str = "\
Examples:
  ledgerline job enqueue --queue mail --kind send --payload '{\"to\":\"ann\"}'
  ledgerline job enqueue --queue report --kind nightly --run-after 2026-03-01T02:00:00Z --priority low";

const CANCEL_EXAMPLES: &str = "\
Examples:
  ledgerline job cancel 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --reason 'not wanted'";

const REQUEUE_EXAMPLES: &str = "\
Examples:
  ledgerline job requeue 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// Put a job into its queue
    #[command(after_help = ENQUEUE_EXAMPLES)]
    Enqueue(Box<Enqueue>),
    /// End a job undone
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel {
        /// Id of the job
        id: Uuid,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        key: Key,
    },
    /// Let a dead job wait again
    #[command(after_help = REQUEUE_EXAMPLES)]
    Requeue {
        /// Id of the job
        id: Uuid,
        #[command(flatten)]
        key: Key,
    },
}

/// Any JSON.
fn json_text(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// By which a retry is known.
#[derive(Debug, Args)]
pub(super) struct Key {
    /// Idempotency key; a fresh one if not given
    #[arg(long = "key", value_name = "KEY")]
    key: Option<String>,
}

/// A new job.
#[derive(Debug, Args)]
pub(super) struct Enqueue {
    /// In which queue it waits
    #[arg(long)]
    queue: String,
    /// By which a worker knows what to do
    #[arg(long)]
    kind: String,
    /// What the worker needs, as JSON
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    payload: Option<Value>,
    /// What comes first
    #[arg(long)]
    priority: Option<Priority>,
    /// Not handed out before
    #[arg(long, value_name = "TIME")]
    run_after: Option<Moment>,
    /// Given up at
    #[arg(long, value_name = "TIME")]
    deadline: Option<Moment>,
    /// How long one attempt may run
    #[arg(long, value_name = "SECONDS")]
    timeout_s: Option<u32>,
    /// After how many failures it is dead
    #[arg(long, value_name = "N")]
    attempts_max: Option<u32>,
    /// Jobs of one key take turns with those of others
    #[arg(long, value_name = "KEY")]
    fairness_key: Option<String>,
    /// A label; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Its id, a UUID; one made from the key if not given
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    #[command(flatten)]
    key: Key,
}

pub(super) async fn run(order: &Order, console: &Console) -> anyhow::Result<()> {
    let (path, body, key) = order.wire()?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let fresh = format!("cli-{}", console.clock.fresh_id());
    let sent = client::Order {
        body: &body,
        key: Some(key.key.as_deref().unwrap_or(&fresh)),
        expected_version: None,
    };
    let Answer { body, .. } = console.client()?.post(&path, &sent).await?;
    console.out.document(&body, |receipt| {
        show::fields(console.out.new_table(&[]), receipt)
    })?;
    Ok(())
}

impl Order {
    /// The path, the body and the key of the request.
    fn wire(&self) -> anyhow::Result<(Vec<String>, Value, &Key)> {
        let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        match self {
            Self::Enqueue(enqueue) => Ok((path(&["v1", "jobs"]), enqueue.body()?, &enqueue.key)),
            Self::Cancel { id, reason, key } => {
                let body = reason
                    .as_ref()
                    .map_or_else(|| json!({}), |reason| json!({"reason": reason}));
                Ok((path(&["v1", "jobs", &id.to_string(), "cancel"]), body, key))
            }
            Self::Requeue { id, key } => {
                let path = path(&["v1", "jobs", &id.to_string(), "requeue"]);
                Ok((path, json!({}), key))
            }
        }
    }
}

impl Enqueue {
    fn body(&self) -> anyhow::Result<Value> {
        let labels: Map<_, _> = self
            .label
            .iter()
            .map(|label| (label.key.clone(), label.value.clone().into()))
            .collect();
        let all = json!({
            "id": self.id, "queue": self.queue, "kind": self.kind, "payload": self.payload,
            "priority": self.priority, "run_after": self.run_after.map(|time| time.to_string()),
            "deadline": self.deadline.map(|time| time.to_string()), "timeout_s": self.timeout_s,
            "attempts_max": self.attempts_max, "fairness_key": self.fairness_key,
            "labels": (!labels.is_empty()).then_some(labels),
        });
        let Value::Object(all) = all else {
            anyhow::bail!("write the request");
        };
        let said = all.into_iter().filter(|(_, value)| !value.is_null());
        serde_json::to_value(said.collect::<Map<_, _>>()).context("write the request")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(subcommand)]
        order: Order,
    }

    #[test]
    fn a_job_has_the_fields_that_were_given_and_no_others() {
        let line = [
            "job",
            "enqueue",
            "--queue",
            "q",
            "--kind",
            "k",
            "--payload",
            r#"{"n":1}"#,
            "--priority",
            "low",
            "--label",
            "a=b",
        ];
        let only = Only::try_parse_from(line).expect("a command");
        let (path, body, _) = only.order.wire().expect("a request");
        assert_eq!(path, ["v1", "jobs"]);
        assert_eq!(
            body,
            json!({"queue": "q", "kind": "k", "payload": {"n": 1}, "priority": "low", "labels": {"a": "b"}})
        );
    }
}
