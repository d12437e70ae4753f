//! The feed and replays, as a plain NATS client meets them: nothing here uses the program's code.

#[path = "../support/mod.rs"]
mod support;

mod refill;
mod replay;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use async_nats::Client;
use async_nats::jetstream::consumer::{self, DeliverPolicy, pull};
use async_nats::jetstream::{self, stream::Stream};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use support::http::Receipt;
use support::nats::{self, Stored};
use support::sse::Events;
use support::{Api, TestResult, Up, fresh_tenant, until, within};

/// The feed, as subscribers are let in.
async fn feed(up: &Up) -> TestResult<(Client, Stream)> {
    let client = nats::connect(&up.endpoints.nats_subscriber).await?;
    let stream = jetstream::new(client.clone()).get_stream("FEED").await?;
    Ok((client, stream))
}

/// Three assignments with 2, 3 and 1 events; their receipts in the order of the journal.
async fn some(api: &Api) -> TestResult<Vec<Receipt>> {
    let one = api.any().await?;
    let two = api.any().await?;
    let started = api
        .act(&two.id, "start", &json!({"assignee": "Jürgen \"100 %\""}))
        .await?;
    let noted = api.act(&one.id, "note", &json!({"text": "ü"})).await?;
    let three = api.any().await?;
    Ok(vec![one, two, started, noted, three])
}

/// The events of receipts: id, type and aggregate.
fn events(receipts: &[Receipt]) -> Vec<(String, String, String)> {
    let of = |receipt: &Receipt| -> Vec<_> {
        let events = receipt.events.iter().enumerate();
        let of_event = |(index, event): (usize, &String)| {
            let id = format!("{}.{index}", receipt.position);
            (
                id,
                format!("ledgerline.assignment.{event}.v1"),
                receipt.id.clone(),
            )
        };
        events.map(of_event).collect()
    };
    receipts.iter().flat_map(of).collect()
}

fn seen(messages: &[Stored]) -> Vec<(String, String, String)> {
    let triple = |message: &Stored| {
        let of = |name| message.attribute(name);
        (of("id"), of("type"), of("subject"))
    };
    messages.iter().map(triple).collect()
}

/// Waits until the feed has every event of a receipt.
async fn until_fed(api: &Api, receipt: &Receipt) -> TestResult {
    let wanted = (receipt.position, receipt.events.len() as u64 - 1);
    until("the feed is there", async || {
        let feed = api.get("/v1/positions").await?.is(200).json()?["feed"].clone();
        let last = feed.as_str().and_then(|last| last.split_once('.'));
        let last =
            last.and_then(|(position, index)| Some((position.parse().ok()?, index.parse().ok()?)));
        Ok((last >= Some(wanted)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_subscriber_reads_a_category_an_event_or_one_assignment() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "member")?;
    let receipts = some(&api).await?;
    until_fed(&api, &receipts[4]).await?;
    let all = events(&receipts);
    let (_, stream) = feed(up).await?;
    let read = async |filter: String| {
        let config = pull::OrderedConfig {
            filter_subject: filter,
            ..Default::default()
        };
        TestResult::Ok(seen(&nats::read(&stream, config).await?))
    };
    assert_eq!(read(format!("feed.{tenant}.assignment.>")).await?, all);
    assert_eq!(read(format!("feed.{tenant}.other.>")).await?, []);
    let requested: Vec<_> = all
        .iter()
        .filter(|event| event.1.contains(".requested."))
        .cloned()
        .collect();
    assert_eq!(
        read(format!("feed.{tenant}.assignment.requested.*")).await?,
        requested
    );
    let one: Vec<_> = all
        .iter()
        .filter(|event| event.2 == receipts[0].id)
        .cloned()
        .collect();
    assert_eq!(one.len(), 2);
    assert_eq!(
        read(format!("feed.{tenant}.assignment.*.{}", receipts[0].id)).await?,
        one
    );
    Ok(())
}

#[tokio::test]
async fn a_subscriber_begins_at_the_start_behind_what_it_has_or_now() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "member")?;
    let receipts = some(&api).await?;
    until_fed(&api, &receipts[4]).await?;
    let (_, stream) = feed(up).await?;
    let from = |deliver_policy| pull::OrderedConfig {
        filter_subject: format!("feed.{tenant}.>"),
        deliver_policy,
        ..Default::default()
    };
    let all = nats::read(&stream, from(DeliverPolicy::All)).await?;
    assert_eq!(seen(&all), events(&receipts));
    for (index, message) in all.iter().enumerate() {
        let start_sequence = message.sequence + 1;
        let rest = nats::read(
            &stream,
            from(DeliverPolicy::ByStartSequence { start_sequence }),
        )
        .await?;
        assert_eq!(seen(&rest), seen(&all[index + 1..]));
    }
    let now = stream.create_consumer(from(DeliverPolicy::New)).await?;
    let mut now = now.messages().await?;
    let late = api.any().await?;
    let message = within("the new event", now.next())
        .await?
        .context("it goes on")??;
    let event: Value = serde_json::from_slice(&message.payload)?;
    assert_eq!(event["id"], format!("{}.0", late.position));
    Ok(())
}

#[tokio::test]
async fn every_message_is_a_cloud_event_in_structured_mode() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "operator")?;
    let mut receipts = some(&api).await?;
    let body =
        json!({"text": "now", "occurred_at": "2026-01-01T00:00:00Z", "on_behalf_of": "Änne"});
    let path = format!("/v1/assignments/{}/note", receipts[0].id);
    let errand = [("X-Correlation-Id", "errand 7")];
    receipts.push(
        api.post_with(&path, &body, &errand)
            .await?
            .is(200)
            .receipt()?,
    );
    until_fed(&api, &receipts[5]).await?;
    let (_, stream) = feed(up).await?;
    let filter_subject = format!("feed.{tenant}.>");
    let config = pull::OrderedConfig {
        filter_subject,
        ..Default::default()
    };
    let messages = nats::read(&stream, config).await?;
    let mut ids = HashSet::new();
    for message in &messages {
        assert_eq!(
            message.header("content-type"),
            "application/cloudevents+json"
        );
        let of = |name| message.attribute(name);
        assert_eq!(of("specversion"), "1.0");
        assert!(ids.insert(of("id")), "ids are unique");
        assert_eq!(of("source"), format!("/ledgerline/{tenant}"));
        assert_eq!(of("datacontenttype"), "application/json");
        let (_, last) = message
            .subject
            .split_once("assignment.")
            .context("of an assignment")?;
        let (event, id) = last.split_once('.').context("with an event and an id")?;
        assert_eq!(of("type"), format!("ledgerline.assignment.{event}.v1"));
        assert_eq!((of("subject").as_str(), of("tenant")), (id, tenant.clone()));
        for time in ["time", "recordedat"] {
            of(time)
                .parse::<jiff::Timestamp>()
                .context(time.to_owned())?;
        }
        for (name, _) in message.json()?.as_object().context("an object")? {
            let is_plain = name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            assert!(is_plain, "`{name}` is no name of an attribute");
        }
    }
    let last = messages.last().context("there are some")?.json()?;
    assert_eq!(last["time"], "2026-01-01T00:00:00Z");
    assert_eq!(last["data"]["text"], "now");
    assert_eq!(last["correlation"], "errand 7");
    assert_eq!(last["onbehalfof"], "Änne");
    assert_eq!(last["principal"], "tester");
    assert_eq!(last["version"], 3);
    // Whoever follows over HTTP is told the same.
    let mut followed = Events::follow(&api, "?from=start", None).await?;
    for event in followed.take(messages.len()).await?.iter().zip(&messages) {
        let (over_http, message) = event;
        assert_eq!(over_http.data, message.json()?);
    }
    Ok(())
}

/// A subscriber's connection, and what the server has refused it.
async fn watched(up: &Up) -> TestResult<(Client, Arc<Mutex<Vec<String>>>)> {
    let refused = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&refused);
    let (options, address) = nats::options(&up.endpoints.nats_subscriber)?;
    let options = options.event_callback(move |event| {
        let told = Arc::clone(&told);
        async move {
            if let Ok(mut told) = told.lock() {
                told.push(event.to_string().to_lowercase());
            }
        }
    });
    Ok((options.connect(address).await?, refused))
}

#[tokio::test]
async fn a_subscriber_writes_nothing_and_reads_nothing_but_the_feed_and_replays() -> TestResult {
    let up = Up::start("confined")?;
    let api = up.api("default", "member")?;
    let receipt = api.any().await?;
    until_fed(&api, &receipt).await?;
    let (client, refused) = watched(&up).await?;
    let until_refused = async |what: String| {
        let what = what.to_lowercase();
        until(&format!("`{what}` is refused"), async || {
            let refused = refused
                .lock()
                .map_err(|_| anyhow::anyhow!("a callback failed"))?;
            Ok(refused
                .iter()
                .any(|event| event.contains(&what))
                .then_some(()))
        })
        .await
    };
    for subject in [
        "feed.default.assignment.requested.forged",
        "replay.default.forged",
        "journal.default.assignment.forged",
        "$JS.API.STREAM.INFO.JOURNAL",
        "$JS.API.STREAM.PURGE.FEED",
        "$JS.API.STREAM.DELETE.FEED",
        "$JS.API.STREAM.UPDATE.FEED",
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.MSG.DELETE.FEED",
        "$JS.API.CONSUMER.CREATE.JOURNAL",
        "$JS.API.DIRECT.GET.JOURNAL",
        "$SYS.REQ.SERVER.PING",
    ] {
        client.publish(subject, "{}".into()).await?;
        until_refused(format!("publish to \"{subject}\"")).await?;
    }
    for subject in ["journal.>", ">", "$JS.>", "$SYS.>"] {
        let subscription = client.subscribe(subject).await?;
        until_refused(format!("subscription to \"{subject}\"")).await?;
        drop(subscription);
    }
    assert!(
        jetstream::new(client.clone())
            .get_stream("JOURNAL")
            .await
            .is_err()
    );
    // A consumer that delivers into the streams: refused, or without any effect on them.
    let stream = jetstream::new(client).get_stream("FEED").await?;
    let mut refusals = 0;
    for into in [
        "feed.default.assignment.requested.forged",
        "journal.default.assignment.forged",
    ] {
        let config = consumer::push::Config {
            deliver_subject: into.to_owned(),
            ..Default::default()
        };
        refusals += usize::from(stream.create_consumer(config).await.is_err());
    }
    assert!(refusals >= 1, "the feed is not delivered into itself");
    let last = api.any().await?;
    until_fed(&api, &last).await?;
    let journal = nats::read_all(&up.endpoints.nats, "JOURNAL").await?;
    assert_eq!(journal.len(), 2, "nothing but the two commands");
    let feed = nats::read_all(&up.endpoints.nats_feed, "FEED").await?;
    assert_eq!(seen(&feed), events(&[receipt, last]));
    Ok(())
}
