//! `job watch`: one job as it goes, from its public events, until the server says that no more will come.
//!
//! Invariant: it follows the events from the first on, so it also ends on a job that has ended long ago.

use anyhow::Context as _;
use clap::Args;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::StatusCode;
use serde_json::Value;
use std::io::IsTerminal as _;
use uuid::Uuid;

use crate::cli::client::sse::{Message, Parser};
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

/// One job that is followed.
struct Watch<'a> {
    client: &'a Client,
    console: &'a Console,
    id: String,
    bar: ProgressBar,
    last_id: Option<String>,
    waits: Waits,
}

/// How one connection ended.
enum Followed {
    /// There is nothing more to come.
    ToTheEnd,
    /// The server ended it, or it broke: the next one tells which.
    Broken,
}

pub(super) async fn run(args: &WatchArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let mut watch = Watch {
        client: &client,
        console,
        id: args.id.to_string(),
        bar: bar(console),
        last_id: None,
        waits: Waits::patient(),
    };
    while let Followed::Broken = watch.follow_patiently().await? {
        let wait = watch.waits.next(None).context("the server is away")?;
        tokio::time::sleep(wait).await;
    }
    watch.bar.finish();
    Ok(())
}

impl Watch<'_> {
    /// A server that is away may come back; whatever else it says stays true.
    async fn follow_patiently(&mut self) -> anyhow::Result<Followed> {
        match self.follow().await {
            Ok(followed) => Ok(followed),
            Err(error) => match error.downcast::<Failure>() {
                Ok(Failure::Unreachable { .. }) => Ok(Followed::Broken),
                Ok(failure) => Err(failure.into()),
                Err(error) => Err(error),
            },
        }
    }

    async fn follow(&mut self) -> anyhow::Result<Followed> {
        let path = ["v1", "jobs", &self.id, "watch"];
        let beginning = self.last_id.is_none().then_some("0");
        let query = Query::default().with("after", beginning);
        let response = self
            .client
            .events(&path, &query, self.last_id.as_deref())
            .await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Followed::ToTheEnd);
        }
        let mut parser = Parser::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.client.unreachable(&error))?;
            for message in parser.push(&chunk)? {
                self.waits.reset();
                self.tell(message)?;
            }
        }
        Ok(Followed::Broken)
    }

    fn tell(&mut self, message: Message) -> anyhow::Result<()> {
        let event: Value = serde_json::from_str(&message.data).context("read an event")?;
        self.last_id = Some(message.id);
        let name = name_of(&event);
        if let Some(percent) = event["data"]["percent"].as_u64() {
            self.bar.set_position(percent);
        }
        if name == "completed" {
            self.bar.set_position(100);
        }
        self.bar.set_message(said(&name, &event));
        self.console.out.stream_line(&event, |event| {
            format!("{}  {}", show::text(event, "/time"), said(&name, event))
        })?;
        Ok(())
    }
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
