//! Commands on schedules: each becomes one request with an idempotency key.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::spec::SpecArgs;
use crate::cli::client::query::Moment;
use crate::cli::client::{self, Answer, Query};
use crate::cli::{Console, show};

const CREATE_EXAMPLES: &str = "\
Examples:
  ledgerline schedule create --name report --cron '0 7 * * 1-5' --time-zone Europe/Berlin --queue report --kind sum
  ledgerline schedule create --name poll --every 15m --overlap skip --queue poll --kind fetch --payload '{\"url\":\"x\"}'
  ledgerline schedule create --name once --at 2026-12-24T18:00:00Z --queue mail --kind send
  ledgerline schedule create --from-file report.json --business-days after --holiday 2026-12-25";

const CHANGE_EXAMPLES: &str = "\
Examples:
  ledgerline schedule change 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --from-file report.json --overlap queue
  ledgerline schedule change 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --from-file report.json --expected-version 3";

const PAUSE_EXAMPLES: &str = "\
Examples:
  ledgerline schedule pause 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --reason 'the source is away'";

const RESUME_EXAMPLES: &str = "\
Examples:
  ledgerline schedule resume 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

const TRIGGER_EXAMPLES: &str = "\
Examples:
  ledgerline schedule trigger 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

const BACKFILL_EXAMPLES: &str = "\
Examples:
  ledgerline schedule backfill 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --from 2026-03-01 --to 2026-03-08";

const DELETE_EXAMPLES: &str = "\
Examples:
  ledgerline schedule delete 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// Begin a schedule
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        #[command(flatten)]
        spec: Box<SpecArgs>,
        /// Its id, a UUID; one made from the key if not given
        #[arg(long, value_name = "UUID")]
        id: Option<Uuid>,
        #[command(flatten)]
        key: Key,
    },
    /// Replace what a schedule is; what is not given is as if it had never been said
    #[command(after_help = CHANGE_EXAMPLES)]
    Change {
        /// Id of the schedule
        id: Uuid,
        #[command(flatten)]
        spec: Box<SpecArgs>,
        /// The version that it must have
        #[arg(long, value_name = "VERSION")]
        expected_version: Option<u64>,
        #[command(flatten)]
        key: Key,
    },
    /// Let a schedule decide on nothing
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause {
        /// Id of the schedule
        id: Uuid,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        key: Key,
    },
    /// Let a schedule go on
    #[command(after_help = RESUME_EXAMPLES)]
    Resume {
        /// Id of the schedule
        id: Uuid,
        #[command(flatten)]
        key: Key,
    },
    /// Enqueue one job now
    #[command(after_help = TRIGGER_EXAMPLES)]
    Trigger {
        /// Id of the schedule
        id: Uuid,
        #[command(flatten)]
        key: Key,
    },
    /// Enqueue a job for each time of a range
    #[command(after_help = BACKFILL_EXAMPLES)]
    Backfill {
        /// Id of the schedule
        id: Uuid,
        /// The first moment of the range
        #[arg(long, value_name = "TIME")]
        from: Moment,
        /// The first moment behind it
        #[arg(long, value_name = "TIME")]
        to: Moment,
        #[command(flatten)]
        key: Key,
    },
    /// End a schedule; its jobs stay
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        /// Id of the schedule
        id: Uuid,
        #[command(flatten)]
        key: Key,
    },
}

/// By which a retry is known.
#[derive(Debug, Args)]
pub(super) struct Key {
    /// Idempotency key; a fresh one if not given
    #[arg(long = "key", value_name = "KEY")]
    key: Option<String>,
}

/// An order as it is sent.
#[derive(Debug)]
struct Wire<'a> {
    method: Method,
    path: Vec<String>,
    body: Value,
    key: &'a Key,
    expected_version: Option<u64>,
}

pub(super) async fn run(order: &Order, console: &Console) -> anyhow::Result<()> {
    let wire = order.wire()?;
    let path: Vec<&str> = wire.path.iter().map(String::as_str).collect();
    let fresh = format!("cli-{}", console.clock.fresh_id());
    let sent = client::Order {
        body: &wire.body,
        key: Some(wire.key.key.as_deref().unwrap_or(&fresh)),
        expected_version: wire.expected_version,
    };
    let (client, nothing) = (console.client()?, Query::default());
    let Answer { body, .. } = client.order(wire.method, &path, &nothing, &sent).await?;
    console.out.document(&body, |receipt| {
        show::fields(console.out.new_table(&[]), receipt)
    })?;
    Ok(())
}

impl Order {
    fn wire(&self) -> anyhow::Result<Wire<'_>> {
        Ok(match self {
            Self::Create { spec, id, key } => {
                let mut body = spec.body(json!({}))?;
                if let Some(id) = id {
                    body.insert("id".to_owned(), json!(id));
                }
                let path = vec!["v1".to_owned(), "schedules".to_owned()];
                wire(Method::POST, path, Value::Object(body), key)
            }
            Self::Change {
                id,
                spec,
                expected_version,
                key,
            } => Wire {
                expected_version: *expected_version,
                ..wire(
                    Method::PUT,
                    path(*id),
                    Value::Object(spec.body(json!({}))?),
                    key,
                )
            },
            Self::Pause { id, reason, key } => {
                let body = reason
                    .as_ref()
                    .map_or_else(|| json!({}), |reason| json!({"reason": reason}));
                verb(*id, "pause", body, key)
            }
            Self::Resume { id, key } => verb(*id, "resume", json!({}), key),
            Self::Trigger { id, key } => verb(*id, "trigger", json!({}), key),
            Self::Backfill { id, from, to, key } => {
                let body = json!({"from": from.to_string(), "to": to.to_string()});
                verb(*id, "backfill", body, key)
            }
            Self::Delete { id, key } => wire(Method::DELETE, path(*id), json!({}), key),
        })
    }
}

fn path(id: Uuid) -> Vec<String> {
    vec!["v1".to_owned(), "schedules".to_owned(), id.to_string()]
}

fn verb<'a>(id: Uuid, verb: &str, body: Value, key: &'a Key) -> Wire<'a> {
    let mut path = path(id);
    path.push(verb.to_owned());
    wire(Method::POST, path, body, key)
}

fn wire(method: Method, path: Vec<String>, body: Value, key: &Key) -> Wire<'_> {
    Wire {
        method,
        path,
        body,
        key,
        expected_version: None,
    }
}
