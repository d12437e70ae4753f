//! A feed that was lost: purged while the program is away, or deleted while it runs.

use std::process::{Command, Stdio};

use anyhow::Context as _;
use async_nats::jetstream;
use infra::embedded::locate::{self, Search};
use serde_json::{Value, json};

use crate::support::http::Receipt;
use crate::support::nats::{self, Stored};
use crate::support::{TestResult, Up, until};
use crate::{events, seen, until_fed};

/// What a reader of the whole feed sees.
async fn whole(up: &Up) -> TestResult<Vec<(String, Value)>> {
    let messages = nats::read_all(&up.endpoints.nats_feed, "FEED").await?;
    let of = |message: &Stored| {
        Ok((
            format!(
                "{} {:?}",
                message.subject,
                seen(std::slice::from_ref(message))
            ),
            message.json()?,
        ))
    };
    messages.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_was_lost_is_filled_again_once_and_in_order() -> TestResult {
    let up = Up::start("refill")?;
    let api = up.api("default", "member")?;
    let lines: Vec<_> = (0..3_000)
        .map(|number| {
            let data =
                json!({"title": format!("{number}"), "kind": "k", "group": "g", "assignee": "a"});
            json!({"command": "assignment.request", "data": data}).to_string()
        })
        .collect();
    let answers = api.batch(lines.join("\n")).await?;
    let receipts = answers
        .iter()
        .map(|answer| serde_json::from_value(answer["receipt"].clone()));
    let receipts = receipts.collect::<Result<Vec<Receipt>, _>>()?;
    let mut receipts = receipts;
    receipts.sort_by_key(|receipt| receipt.position);
    let head = receipts.last().context("there are some")?;
    // It is asked all the time how far the feed is: that must not disturb whoever fills it.
    until_fed(&api, head).await?;
    let messages = nats::read_all(&up.endpoints.nats_feed, "FEED").await?;
    assert_eq!(messages.len(), 6_000);
    let differs = seen(&messages)
        .into_iter()
        .zip(events(&receipts))
        .find(|(has, wanted)| has != wanted);
    assert_eq!(differs, None, "the feed is not what happened");
    let before = whole(&up).await?;
    // Purged while the program is away, but NATS is not.
    let folder = up.kill()?;
    purge_feed_of(&folder.data()).await?;
    let up = Up::on(folder)?;
    let api = up.api("default", "member")?;
    until_fed(&api, head).await?;
    assert_same(&whole(&up).await?, &before, "after a purge");
    // Deleted while the program runs: the next event finds it gone.
    let client = nats::connect(&up.endpoints.nats_feed).await?;
    jetstream::new(client).delete_stream("FEED").await?;
    let late = api.any().await?;
    until("the feed is filled again", async || {
        let positions = api.get("/v1/positions").await?;
        // Without a stream there is no position of it to tell.
        let feed = positions.json()?["feed"].clone();
        Ok((feed == format!("{}.0", late.position)).then_some(()))
    })
    .await?;
    let after = whole(&up).await?;
    assert_eq!(after.len(), before.len() + 1);
    assert_same(&after[..before.len()], &before, "after it was deleted");
    Ok(())
}

/// Says where two feeds begin to differ, not all that is in them.
#[track_caller]
fn assert_same(has: &[(String, Value)], wanted: &[(String, Value)], when: &str) {
    let differs = has
        .iter()
        .zip(wanted)
        .position(|(has, wanted)| has != wanted);
    let at = differs.map(|at| (&has[at], &wanted[at]));
    assert!(at.is_none(), "{when}, event {differs:?} differs: {at:?}");
    assert_eq!(has.len(), wanted.len(), "{when}");
}

/// Purges the feed with NATS alone running on the data folder.
async fn purge_feed_of(data: &std::path::Path) -> TestResult {
    let endpoints = crate::support::program::Endpoints::read(data)?;
    let program = locate::nats_server(&Search::of_environment())?.path;
    let mut server = Command::new(program)
        .arg("--config")
        .arg(data.join("nats/server.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let purged = async {
        let stream = until("NATS answers", async || {
            let Ok(client) = nats::connect(&endpoints.nats_feed).await else {
                return Ok(None);
            };
            Ok(jetstream::new(client).get_stream("FEED").await.ok())
        })
        .await?;
        stream.purge().await?;
        TestResult::Ok(())
    };
    let purged = purged.await;
    server.kill()?;
    server.wait()?;
    purged
}
