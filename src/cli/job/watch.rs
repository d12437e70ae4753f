//! `job watch`: one job as it goes, from its public events, until it ends.
//!
//! Invariant: it follows the events from the first on, so it also ends on a job that has ended long ago.

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::io::IsTerminal as _;
use uuid::Uuid;

use crate::cli::client::sse::Parser;
use crate::cli::client::{Client, Query, Waits};
use crate::cli::failure::Failure;
use crate::cli::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline job watch 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline job watch 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b -o json";

/// Which job.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Id of the job
    id: Uuid,
}

/// How the job ended.
const ENDS: [&str; 3] = ["completed", "dead_lettered", "cancelled"];

pub(super) async fn run(args: &WatchArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let id = args.id.to_string();
    // An unknown id is told at once; its events would never come.
    let path = ["v1", "jobs", &id, "history"];
    client.get(&path, &Query::default()).await?;
    let bar = bar(console);
    let mut waits = Waits::patient();
    let mut last_id = None;
    loop {
        match follow(&client, &id, &mut last_id, &bar, console).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => match error.downcast::<Failure>() {
                Ok(Failure::Unreachable { .. }) => {}
                Ok(failure) => return Err(failure.into()),
                Err(error) => return Err(error),
            },
        }
        let wait = waits.next(None).context("the server is away")?;
        tokio::time::sleep(wait).await;
    }
    bar.finish();
    Ok(())
}

/// Whether the job has ended; else the stream of events broke.
async fn follow(
    client: &Client,
    id: &str,
    last_id: &mut Option<String>,
    bar: &ProgressBar,
    console: &Console,
) -> anyhow::Result<bool> {
    let query = Query::default()
        .with("category", Some("job"))
        .with("id", Some(id));
    let query = match last_id {
        Some(_) => query,
        None => query.with("from", Some("start")),
    };
    let response = client.events(&query, last_id.as_deref()).await?;
    let mut parser = Parser::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| client.unreachable(&error))?;
        for message in parser.push(&chunk)? {
            if !message.id.is_empty() {
                *last_id = Some(message.id.clone());
            }
            let event: Value = serde_json::from_str(&message.data).context("read an event")?;
            let name = name_of(&event);
            if let Some(percent) = event["data"]["percent"].as_u64() {
                bar.set_position(percent);
            }
            if name == "completed" {
                bar.set_position(100);
            }
            bar.set_message(said(&name, &event));
            console.out.stream_line(&event, |event| {
                format!("{}  {}", show::text(event, "/time"), said(&name, event))
            })?;
            if ENDS.contains(&name.as_str()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The name within `ledgerline.job.<name>.v<n>`.
fn name_of(event: &Value) -> String {
    let of_type = show::text(event, "/type");
    of_type.split('.').nth(2).unwrap_or_default().to_owned()
}

fn said(name: &str, event: &Value) -> String {
    let more = [
        "/data/message",
        "/data/error",
        "/data/worker",
        "/data/cause",
    ];
    let more = more.iter().map(|pointer| show::text(event, pointer));
    let more = more.filter(|text| !text.is_empty()).collect::<Vec<_>>();
    format!("{name} {}", more.join(" ")).trim().to_owned()
}

fn bar(console: &Console) -> ProgressBar {
    if console.global.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("[{bar:30}] {pos} % {msg}");
    bar.set_style(
        style
            .expect("the template is our own")
            .progress_chars("=> "),
    );
    bar
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_said_in_one_line() {
        let event = json!({"type": "ledgerline.job.failed.v1", "data": {"attempt": 1, "error": "no paper"}});
        assert_eq!(said(&name_of(&event), &event), "failed no paper");
    }
}
