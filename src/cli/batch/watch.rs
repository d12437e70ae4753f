//! `batch watch`: one batch until it is completed, looked at now and then.
//!
//! A batch has up to 10,000 jobs with some three events each: to ask how far it is costs less than to follow
//! them all.

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::Value;
use uuid::Uuid;

use crate::cli::client::Query;
use crate::cli::out::Unit;
use crate::cli::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline batch watch 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline batch watch 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b -o json";

/// How often it is looked at: as often as a person sees a change, and some milliseconds of a query.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which batch.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Id of the batch
    id: Uuid,
}

pub(super) async fn run(args: &WatchArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let id = args.id.to_string();
    let bar = console.out.progress("jobs", Unit::Items, Some(0));
    let mut shown = Value::Null;
    loop {
        let path = ["v1", "batches", &id];
        let batch = client.get(&path, &Query::default()).await?.body;
        move_to(&bar, &batch);
        let is_completed = batch["status"] == "completed";
        if batch["progress"] != shown || is_completed {
            console.out.stream_line(&batch, said)?;
            shown = batch["progress"].clone();
        }
        if is_completed {
            bar.finish();
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn move_to(bar: &ProgressBar, batch: &Value) {
    let number = |pointer: &str| batch.pointer(pointer).and_then(Value::as_u64);
    let ended = ["succeeded", "dead", "cancelled"]
        .iter()
        .filter_map(|way| batch["progress"][way].as_u64());
    bar.set_length(number("/jobs").max(number("/progress/seen")).unwrap_or(0));
    bar.set_position(ended.sum());
}

fn said(batch: &Value) -> String {
    let counts = ["waiting", "running", "succeeded", "dead", "cancelled"];
    let counts = counts.map(|name| format!("{name} {}", batch["progress"][name]));
    let status = show::text(batch, "/status");
    let percent = show::text(batch, "/progress/percent");
    format!("{status}  {percent} %  {}", counts.join("  "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_is_said_in_one_line() {
        let batch = json!({"status": "closed", "jobs": 4, "progress": {
            "percent": 50, "seen": 4, "waiting": 1, "running": 1, "succeeded": 1, "dead": 1, "cancelled": 0,
        }});
        assert_eq!(
            said(&batch),
            "closed  50 %  waiting 1  running 1  succeeded 1  dead 1  cancelled 0"
        );
    }
}
