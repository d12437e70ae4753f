//! `events tail`: the public events as they come, over Server-Sent Events.
//!
//! Invariant: after a break it goes on behind the last event that it printed, so that none is
//! missing and none comes twice.

use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use serde_json::Value;
use std::str::FromStr;

use super::Console;
use super::client::sse::{Message, Parser};
use super::client::{Client, Query, Waits};
use super::failure::Failure;
use super::show;

pub(super) const EXAMPLES: &str = TAIL_EXAMPLES;

const TAIL_EXAMPLES: &str = "\
Examples:
  ledgerline events tail
  ledgerline events tail --from start --event completed -o json
  ledgerline events tail --category assignment --id 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline events tail --from 1200.0 --limit 100 -o json";

/// What of the events.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print events as they come, until Ctrl-C; goes on by itself after a break
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(TailArgs),
}

/// Which events, and from where on.
#[derive(Debug, Args)]
struct TailArgs {
    /// Only events of this category, such as `assignment`
    #[arg(long)]
    category: Option<String>,
    /// Only events of this name, such as `completed`
    #[arg(long)]
    event: Option<String>,
    /// Only events of the aggregate with this id
    #[arg(long)]
    id: Option<String>,
    /// `start`, `now`, or the position behind which to begin, as `1200` or `1200.0`
    #[arg(long, value_name = "start|now|POSITION", default_value = "now")]
    from: From,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Start,
    Now,
    Behind(String),
}

impl FromStr for From {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_number = |part: &str| part.parse::<u64>().is_ok() && !part.starts_with('+');
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            position if position.splitn(2, '.').all(is_number) => {
                Ok(Self::Behind(position.to_owned()))
            }
            _ => Err("must be `start`, `now` or a position as `1200` or `1200.0`"),
        }
    }
}

pub(super) async fn run(args: &EventsArgs, console: &Console) -> anyhow::Result<()> {
    let Command::Tail(args) = &args.command;
    let client = console.client()?;
    let mut tail = Tail {
        last_id: None,
        missing: args.limit,
        waits: Waits::patient(),
    };
    loop {
        let failure = match tail.follow(args, &client, console).await {
            Ok(Followed::Enough) => return Ok(()),
            Ok(Followed::Broken(failure)) => failure,
            Err(error) => return Err(error),
        };
        let Some(wait) = tail.waits.next(None) else {
            return Err(failure.into());
        };
        if tail.last_id.is_none() && args.from == From::Now {
            console
                .out
                .remark("the connection broke before the first event: some may be missing");
        }
        tokio::time::sleep(wait).await;
    }
}

struct Tail {
    last_id: Option<String>,
    missing: Option<u64>,
    waits: Waits,
}

/// How one connection ended.
enum Followed {
    /// As many events as were asked for have come.
    Enough,
    /// It broke: a new one may do better.
    Broken(Failure),
}

impl Tail {
    async fn follow(
        &mut self,
        args: &TailArgs,
        client: &Client,
        console: &Console,
    ) -> anyhow::Result<Followed> {
        let query = query(args, self.last_id.is_some());
        let path = ["v1", "events"];
        let response = match client.events(&path, &query, self.last_id.as_deref()).await {
            Ok(response) => response,
            Err(error) => return broken_or(error),
        };
        let mut parser = Parser::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return Ok(Followed::Broken(client.unreachable(&error))),
            };
            for message in parser.push(&chunk)? {
                self.waits.reset();
                self.print(&message, console)?;
                if self.missing == Some(0) {
                    return Ok(Followed::Enough);
                }
            }
        }
        if let Some(wait) = parser.retry() {
            tokio::time::sleep(wait).await;
        }
        Ok(Followed::Broken(Failure::Unreachable {
            url: client.base().to_string(),
            reason: "the stream of events ended".to_owned(),
        }))
    }

    fn print(&mut self, message: &Message, console: &Console) -> anyhow::Result<()> {
        if !message.id.is_empty() {
            self.last_id = Some(message.id.clone());
        }
        let event: Value = serde_json::from_str(&message.data)
            .map_err(|error| anyhow::anyhow!("read event `{}`: {error}", message.id))?;
        console.out.stream_line(&event, line)?;
        self.missing = self.missing.map(|missing| missing.saturating_sub(1));
        Ok(())
    }
}

/// A server that is away may come back; whatever else it says stays true.
fn broken_or(error: anyhow::Error) -> anyhow::Result<Followed> {
    match error.downcast::<Failure>() {
        Ok(failure @ Failure::Unreachable { .. }) => Ok(Followed::Broken(failure)),
        Ok(Failure::Problem(problem)) if matches!(problem.status, 429 | 503) => {
            Ok(Followed::Broken(Failure::Problem(problem)))
        }
        Ok(failure) => Err(failure.into()),
        Err(error) => Err(error),
    }
}

/// The filters, and the beginning unless the last id says it.
fn query(args: &TailArgs, resumed: bool) -> Query {
    let query = Query::default()
        .with("category", args.category.as_ref())
        .with("event", args.event.as_ref())
        .with("id", args.id.as_ref());
    match &args.from {
        _ if resumed => query,
        From::Start => query.with("from", Some("start")),
        From::Now => query.with("from", Some("now")),
        From::Behind(position) => query.with("after", Some(position)),
    }
}

fn line(event: &Value) -> String {
    let parts = ["/id", "/time", "/type", "/subject"].map(|pointer| show::text(event, pointer));
    let by = match (
        show::text(event, "/principal"),
        show::text(event, "/onbehalfof"),
    ) {
        (principal, _) if principal.is_empty() => String::new(),
        (principal, other) if other.is_empty() => format!("  by {principal}"),
        (principal, other) => format!("  by {other} (through {principal})"),
    };
    super::out::clean(&format!("{}{by}", parts.join("  ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_beginning_is_a_word_or_a_position() {
        assert_eq!("start".parse(), Ok(From::Start));
        assert_eq!("12.3".parse(), Ok(From::Behind("12.3".to_owned())));
        assert_eq!("12".parse(), Ok(From::Behind("12".to_owned())));
        for bad in ["", "end", "1.", ".1", "1.2.3", "-1", "+1"] {
            assert!(bad.parse::<From>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_resumed_stream_is_asked_by_its_last_id_alone() {
        let args = TailArgs {
            category: Some("assignment".to_owned()),
            event: None,
            id: None,
            from: From::Start,
            limit: None,
        };
        assert_eq!(query(&args, false).pairs().len(), 2);
        assert_eq!(
            query(&args, true).pairs(),
            [("category".to_owned(), "assignment".to_owned())]
        );
    }

    #[test]
    fn an_event_is_one_line() {
        let event = json!({"id": "12.0", "time": "2026-01-01T00:00:00Z",
            "type": "ledgerline.assignment.noted.v1", "subject": "a1", "principal": "anne"});
        assert_eq!(
            line(&event),
            "12.0  2026-01-01T00:00:00Z  ledgerline.assignment.noted.v1  a1  by anne"
        );
    }
}
