//! `replay`: has a slice of the journal played again, and follows until it is done.

use std::str::FromStr;

use clap::Args;
use serde_json::{Map, Value};

use super::client::query::Moment;
use super::client::{Client, Order, Query};
use super::out::Unit;
use super::rebuild::POLL;
use super::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline replay --name audit-march --from 2026-03-01 --to 2026-04-01
  ledgerline replay --name one --category assignment --id 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b
  ledgerline replay --name fast --from 1 --to 5000 --event completed --no-wait
  ledgerline replay --name live --from 2026-03-01 --to 2026-03-02 --pace 60

The events go to replay.<tenant>.<name>.> as the CloudEvents of the feed; --pace 60 plays an hour in
a minute, without it they come at full speed. Subscribe first: see docs/guides/subscribe.md.";

/// Which slice, under which name.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Name of the replay, part of its subject
    #[arg(long)]
    name: domain::Token,
    /// The first position, or the time from which on
    #[arg(long, value_name = "POSITION|TIME")]
    from: Option<Edge>,
    /// The last position, or the time up to which
    #[arg(long, value_name = "POSITION|TIME")]
    to: Option<Edge>,
    /// Only events of this category
    #[arg(long)]
    category: Option<String>,
    /// Only events of this name
    #[arg(long)]
    event: Option<String>,
    /// Only events of the aggregate with this id
    #[arg(long)]
    id: Option<String>,
    /// So many times as fast as it happened; full speed if not given
    #[arg(long, value_name = "FACTOR", value_parser = pace)]
    pace: Option<f64>,
    /// Only start it
    #[arg(long)]
    no_wait: bool,
}

/// One end of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Position(u64),
    Time(Moment),
}

impl FromStr for Edge {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        let time = text.parse().map(Self::Time);
        time.map_err(|_| "must be a position as `1200` or a time as `2026-03-01T09:00:00Z`")
    }
}

fn pace(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(factor) if f64::is_finite(factor) && factor > 0.0 => Ok(factor),
        Ok(_) | Err(_) => Err("must be a number above `0`"),
    }
}

pub(super) async fn run(args: &ReplayArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let body = body(args);
    let order = Order {
        body: &body,
        key: None,
        expected_version: None,
    };
    let started = client.post(&["v1", "replays"], &order).await?.body;
    if args.no_wait {
        console.out.document(&started, |started| {
            show::fields(console.out.new_table(&[]), started)
        })?;
        return Ok(());
    }
    console.out.remark(&format!(
        "replaying onto {}",
        show::text(&started, "/subject")
    ));
    let ended = follow(&client, args.name.as_str(), console).await?;
    console.out.document(&ended, |ended| {
        show::fields(console.out.new_table(&[]), ended)
    })?;
    Ok(())
}

async fn follow(client: &Client, name: &str, console: &Console) -> anyhow::Result<Value> {
    let bar = console.out.progress("replaying", Unit::Items, None);
    loop {
        let replay = client
            .get(&["v1", "replays", name], &Query::default())
            .await?
            .body;
        // The end of the slice is known once the first commit was looked for.
        if let Some(until) = replay["until"].as_u64().filter(|until| *until > 0) {
            bar.set_length(until);
        }
        bar.set_position(replay["position"].as_u64().unwrap_or_default());
        match (&replay["error"], &replay["ended"]) {
            (Value::String(error), _) => anyhow::bail!("replay `{name}`: it broke off: {error}"),
            (_, Value::Bool(true)) => {
                bar.finish_and_clear();
                return Ok(replay);
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

fn body(args: &ReplayArgs) -> Value {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    set("name", Some(args.name.as_str().into()));
    for (end, edge) in [("from", args.from), ("to", args.to)] {
        match edge {
            Some(Edge::Position(position)) => {
                set(&format!("{end}_position"), Some(position.into()))
            }
            Some(Edge::Time(time)) => set(&format!("{end}_time"), Some(time.to_string().into())),
            None => {}
        }
    }
    set("category", args.category.clone().map(Value::from));
    set("event", args.event.clone().map(Value::from));
    set("id", args.id.clone().map(Value::from));
    set("pace", args.pace.map(Value::from));
    body.into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    #[test]
    fn an_edge_is_a_position_or_a_time() {
        let line = [
            "replay",
            "--name",
            "n",
            "--from",
            "12",
            "--to",
            "2026-03-01",
            "--pace",
            "1.5",
        ];
        let only = Only::try_parse_from(line).expect("a replay");
        assert_eq!(
            body(&only.replay),
            json!({"name": "n", "from_position": 12, "to_time": "2026-03-01T00:00:00Z", "pace": 1.5})
        );
        for bad in [
            ["--name", "a.b"],
            ["--from", "soon"],
            ["--pace", "0"],
            ["--pace", "NaN"],
        ] {
            assert!(Only::try_parse_from([&["replay", "--name", "n"], &bad[..]].concat()).is_err());
        }
    }
}
