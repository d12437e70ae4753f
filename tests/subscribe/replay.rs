//! Replays: a slice of the journal again, for whoever listens on its subject.

use anyhow::Context as _;
use async_nats::Client;
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::nats::{self, Stored};
use crate::support::{Api, TestResult, Up, fresh_tenant, until, within};
use crate::{events, feed, seen, some, until_fed};

/// Asks for a replay and listens to its end.
async fn slice(
    api: &Api,
    client: &Client,
    tenant: &str,
    name: &str,
    mut body: Value,
) -> TestResult<Vec<Stored>> {
    let subject = format!("replay.{tenant}.{name}.>");
    let mut heard = client.subscribe(subject.clone()).await?;
    client.flush().await?;
    body["name"] = json!(name);
    let begun = api.post("/v1/replays", &body).await?.is(202);
    assert_eq!(begun.json()?["subject"], subject);
    let mut messages = Vec::new();
    loop {
        let message = within("the replay", heard.next())
            .await?
            .context("it goes on")?;
        if message.subject.ends_with(".end") {
            break;
        }
        messages.push(Stored {
            sequence: 0,
            subject: message.subject.to_string(),
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
        });
    }
    let state = until("it has ended", async || {
        let state = api
            .get(&format!("/v1/replays/{name}"))
            .await?
            .is(200)
            .json()?;
        Ok((state["ended"] == true).then_some(state))
    })
    .await?;
    assert_eq!(state["events"], messages.len(), "{state}");
    Ok(messages)
}

#[tokio::test]
async fn a_replay_brings_a_slice_again_on_a_subject_of_its_own() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "auditor,member")?;
    let receipts = some(&api).await?;
    let (client, _) = feed(up).await?;
    let slice = async |name: &str, body: Value| slice(&api, &client, &tenant, name, body).await;
    assert_eq!(seen(&slice("all", json!({})).await?), events(&receipts));
    let (from, to) = (receipts[1].position, receipts[2].position);
    let part = json!({"from_position": from, "to_position": to});
    assert_eq!(seen(&slice("part", part).await?), events(&receipts[1..3]));
    let noted = json!({"event": "noted", "pace": 1_000_000.0});
    assert_eq!(seen(&slice("noted", noted).await?), events(&receipts[3..4]));
    let one = json!({"id": receipts[4].id});
    assert_eq!(seen(&slice("one", one).await?), events(&receipts[4..]));
    let member = up.api(&tenant, "member")?;
    let body = json!({"name": "x"});
    member
        .post("/v1/replays", &body)
        .await?
        .refused(403, "forbidden");
    api.get("/v1/replays/unknown")
        .await?
        .refused(404, "not-found");
    Ok(())
}

#[tokio::test]
async fn a_replay_brings_the_same_cloud_events_as_the_feed() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "auditor,member")?;
    let receipts = some(&api).await?;
    until_fed(&api, &receipts[4]).await?;
    let (client, stream) = feed(up).await?;
    let again = slice(&api, &client, &tenant, "again", json!({})).await?;
    let config = pull::OrderedConfig {
        filter_subject: format!("feed.{tenant}.>"),
        ..Default::default()
    };
    let fed = nats::read(&stream, config).await?;
    assert_eq!(fed.len(), again.len());
    for (fed, again) in fed.iter().zip(&again) {
        assert_eq!(fed.payload, again.payload);
        let content_type = |message: &Stored| message.header("content-type").to_owned();
        assert_eq!(content_type(fed), content_type(again));
    }
    Ok(())
}
