//! `rebuild`: has a read model filled anew, and follows until it is swapped in.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, Order, Query};
use super::out::Unit;
use super::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline rebuild assignment
  ledgerline rebuild workload --no-wait";

/// How often progress is asked for: a rebuild takes seconds to minutes.
pub(super) const POLL: Duration = Duration::from_millis(250);

/// Which model.
#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// The read model, by the name that `positions` shows
    #[arg(value_name = "MODEL")]
    model: domain::Token,
    /// Only start it
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn run(args: &RebuildArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let model = args.model.as_str();
    let order = Order {
        body: &json!({}),
        key: None,
        expected_version: None,
    };
    let answer = client
        .post(&["v1", "models", model, "rebuild"], &order)
        .await?;
    if args.no_wait {
        console.out.document(&answer.body, |_| {
            format!("the rebuild of `{model}` has begun")
        })?;
        return Ok(());
    }
    let ended = follow(&client, model, console).await?;
    console.out.document(&ended, |ended| {
        let position = show::text(ended, "/position");
        format!("`{model}` was rebuilt and is live at position {position}")
    })?;
    Ok(())
}

/// Follows until the model is no longer rebuilding; an error if it then is not live.
async fn follow(client: &Client, model: &str, console: &Console) -> anyhow::Result<Value> {
    let bar = console.out.progress("rebuilding", Unit::Items, None);
    loop {
        let answer = client.get(&["v1", "positions"], &Query::default()).await?;
        let Some(found) = find(&answer.body, model) else {
            anyhow::bail!("follow the rebuild: `positions` shows no model `{model}`");
        };
        if let Some(head) = answer.body["journal"].as_u64() {
            bar.set_length(head);
        }
        bar.set_position(found["rebuilt_to"].as_u64().unwrap_or_default());
        match found["status"].as_str() {
            Some("rebuilding") => tokio::time::sleep(POLL).await,
            Some("live") => {
                bar.finish_and_clear();
                return Ok(found.clone());
            }
            Some(_) | None => {
                let (status, error) = (show::text(found, "/status"), show::text(found, "/error"));
                anyhow::bail!("rebuild `{model}`: it is `{status}`: {error}");
            }
        }
    }
}

/// The model of this name; it is `rebuilding` from the order on until the new table serves.
fn find<'a>(positions: &'a Value, model: &str) -> Option<&'a Value> {
    let mut models = positions["models"].as_array()?.iter();
    models.find(|found| found["name"] == model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_followed_by_its_name() {
        let positions = json!({"models": [
            {"name": "workload", "status": "live", "position": 1},
            {"name": "assignment", "status": "rebuilding", "position": 9, "rebuilt_to": 4}]});
        assert_eq!(
            find(&positions, "assignment").expect("listed")["rebuilt_to"],
            4
        );
        assert_eq!(find(&positions, "nothing"), None);
    }
}
