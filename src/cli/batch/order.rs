//! What is told to a batch, or to all of its jobs.

use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::client::{self, Answer};
use crate::cli::{Console, show};

const CLOSE_EXAMPLES: &str = "\
Examples:
  ledgerline batch close 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --jobs 250";

const CANCEL_EXAMPLES: &str = "\
Examples:
  ledgerline batch cancel 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --reason 'wrong prices'";

const RETRY_EXAMPLES: &str = "\
Examples:
  ledgerline batch retry 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";

/// The commands. Each changes nothing the second time, so it needs no key.
#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// Say how many jobs it has; it completes when as many have ended
    #[command(after_help = CLOSE_EXAMPLES)]
    Close {
        /// Id of the batch
        id: Uuid,
        /// How many jobs it has
        #[arg(long, value_name = "N")]
        jobs: u32,
    },
    /// Cancel all of its jobs that have not ended
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel {
        /// Id of the batch
        id: Uuid,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let all of its dead jobs wait again
    #[command(after_help = RETRY_EXAMPLES)]
    Retry {
        /// Id of the batch
        id: Uuid,
    },
}

pub(super) async fn run(order: &Order, console: &Console) -> anyhow::Result<()> {
    let (id, verb, body) = order.wire();
    let sent = client::Order {
        body: &body,
        key: None,
        expected_version: None,
    };
    let path = ["v1", "batches", &id.to_string(), verb];
    let Answer { body, .. } = console.client()?.post(&path, &sent).await?;
    console
        .out
        .document(&body, |told| show::fields(console.out.new_table(&[]), told))?;
    Ok(())
}

impl Order {
    /// The batch, the last part of the path, and the body of the request.
    fn wire(&self) -> (Uuid, &'static str, Value) {
        match self {
            Self::Close { id, jobs } => (*id, "close", json!({"jobs": jobs})),
            Self::Cancel {
                id,
                reason: Some(reason),
            } => (*id, "cancel", json!({"reason": reason})),
            Self::Cancel { id, reason: None } => (*id, "cancel", json!({})),
            Self::Retry { id } => (*id, "retry", json!({})),
        }
    }
}
