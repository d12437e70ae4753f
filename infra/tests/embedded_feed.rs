//! What a subscriber of the embedded NATS can do, and what it cannot, with a plain client.

mod embedded_rig;

use async_nats::jetstream::{self, consumer};
use embedded_rig::{Folder, TestResult, nats_as, options, own_arguments, within};
use futures_util::StreamExt;
use infra::embedded::{Endpoints, Servers, child_main};
use tokio::sync::mpsc;

/// What the feed holds in these tests.
const MESSAGES: usize = 3;

#[test]
fn a_process_becomes_a_server_when_told_to() {
    if let Some(arguments) = own_arguments() {
        let error = child_main(arguments);
        panic!("becoming a server failed: {error}");
    }
}

#[tokio::test]
async fn a_subscriber_reads_the_feed_from_the_start_in_every_way() -> TestResult {
    let folder = Folder::new("reads")?;
    let servers = Servers::start(options(folder.path())?).await?;
    fill_feed(servers.endpoints()).await?;
    let subscriber = nats_as(&servers.endpoints().nats_subscriber).await?;
    let stream = jetstream::new(subscriber.clone())
        .get_stream("FEED")
        .await?;

    let ordered_pull = stream
        .create_consumer(consumer::pull::OrderedConfig::default())
        .await?;
    let read: Vec<_> = within(ordered_pull.messages().await?.take(MESSAGES).collect()).await;
    assert!(read.len() == MESSAGES && read.iter().all(Result::is_ok));

    let ordered_push = stream
        .create_consumer(consumer::push::OrderedConfig {
            deliver_subject: subscriber.new_inbox(),
            ..Default::default()
        })
        .await?;
    let read: Vec<_> = within(ordered_push.messages().await?.take(MESSAGES).collect()).await;
    assert!(read.len() == MESSAGES && read.iter().all(Result::is_ok));

    let durable = stream
        .create_consumer(consumer::pull::Config {
            durable_name: Some("reader".to_owned()),
            filter_subject: "feed.acme.assignment.>".to_owned(),
            ..Default::default()
        })
        .await?;
    let mut messages = durable.messages().await?.take(MESSAGES);
    while let Some(message) = within(messages.next()).await {
        message?.double_ack().await?;
    }
    stream.delete_consumer("reader").await?;
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_subscriber_hears_the_feed_as_it_happens() -> TestResult {
    let folder = Folder::new("hears")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let subscriber = nats_as(&servers.endpoints().nats_subscriber).await?;
    let mut live = subscriber.subscribe("feed.acme.>").await?;
    subscriber.flush().await?;
    fill_feed(servers.endpoints()).await?;
    let first = within(live.next()).await.expect("the feed goes on");
    assert_eq!(first.subject.as_str(), "feed.acme.assignment.requested.0");
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_subscriber_writes_nothing_and_sees_nothing_else() -> TestResult {
    let folder = Folder::new("refused")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let endpoints = servers.endpoints();
    fill_feed(endpoints).await?;
    let ledger = jetstream::new(nats_as(&endpoints.nats).await?);
    ledger.create_stream("JOURNAL").await?;

    let (refusals, mut refused) = mpsc::unbounded_channel();
    let user = &endpoints.nats_subscriber;
    let subscriber = async_nats::ConnectOptions::with_user_and_password(
        user.user.clone(),
        user.password.clone(),
    )
    .event_callback(move |event| {
        let refusals = refusals.clone();
        // The test has ended when nobody listens any more.
        async move { drop(refusals.send(event.to_string())) }
    })
    .connect(&user.address)
    .await?;

    for subject in [
        "feed.acme.assignment.requested.forged",
        "replay.acme.forged",
        "journal.acme.assignment.forged",
        "$JS.API.STREAM.CREATE.FORGED",
        "$JS.API.STREAM.UPDATE.FEED",
        "$JS.API.STREAM.PURGE.FEED",
        "$JS.API.STREAM.DELETE.FEED",
        "$JS.API.STREAM.MSG.DELETE.FEED",
        "$JS.API.STREAM.INFO.JOURNAL",
        "$JS.API.CONSUMER.CREATE.JOURNAL",
        "$JS.API.DIRECT.GET.JOURNAL",
        "$SYS.REQ.SERVER.PING.VARZ",
        "_INBOX.of.another",
    ] {
        subscriber.publish(subject, "{}".into()).await?;
        wait_for_refusal(&mut refused, &format!("publish to \"{subject}\"")).await;
    }
    for subject in ["journal.>", ">", "$JS.>"] {
        let subscription = subscriber.subscribe(subject).await?;
        wait_for_refusal(&mut refused, &format!("subscription to \"{subject}\"")).await;
        drop(subscription);
    }
    let feed = jetstream::new(nats_as(&endpoints.nats_feed).await?);
    let state = feed.get_stream("FEED").await?.cached_info().state.clone();
    assert_eq!(usize::try_from(state.messages), Ok(MESSAGES));
    let mut streams = feed.stream_names();
    assert_eq!(streams.next().await.transpose()?.as_deref(), Some("FEED"));
    assert!(streams.next().await.is_none());
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_subscriber_cannot_have_the_feed_delivered_into_itself() -> TestResult {
    let folder = Folder::new("cycle")?;
    let servers = Servers::start(options(folder.path())?).await?;
    fill_feed(servers.endpoints()).await?;
    let subscriber = nats_as(&servers.endpoints().nats_subscriber).await?;
    let stream = jetstream::new(subscriber).get_stream("FEED").await?;
    let looped = consumer::push::Config {
        deliver_subject: "feed.acme.assignment.requested.forged".to_owned(),
        ..Default::default()
    };
    assert!(stream.create_consumer(looped).await.is_err());
    servers.stop().await;
    Ok(())
}

async fn fill_feed(endpoints: &Endpoints) -> TestResult {
    let feed = jetstream::new(nats_as(&endpoints.nats_feed).await?);
    feed.create_stream(jetstream::stream::Config {
        name: "FEED".to_owned(),
        subjects: vec!["feed.>".to_owned()],
        ..Default::default()
    })
    .await?;
    for id in 0..MESSAGES {
        let subject = format!("feed.acme.assignment.requested.{id}");
        feed.publish(subject, "{}".into()).await?.await?;
    }
    Ok(())
}

/// The server tells a client of each refusal, in order.
async fn wait_for_refusal(refused: &mut mpsc::UnboundedReceiver<String>, what: &str) {
    let what = what.to_lowercase();
    loop {
        let event = within(refused.recv()).await.expect("the client lives");
        if event.to_lowercase().contains(&what) {
            return;
        }
    }
}
