//! The feed and replays on JetStream.

use std::sync::Arc;

use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use commands::Feed;
use commands::feed::pump::{Pump, PumpState};
use commands::feed::replay::{Pace, Progress, Replay};
use commands::feed::{FeedEvent, FeedFilter, FeedStart, PublishError};
use commands::journal::contract::Fixture;
use domain::{EventPosition, Position, Tenant, Token};
use futures_util::stream::StreamExt;
use infra::nats::feed::Settings;
use infra::nats::{JetStreamFeed, NatsReplays};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::Server;

struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn feed(server: &Server) -> JetStreamFeed {
    let feed = JetStreamFeed::open(server.client().await, Settings::default()).await;
    feed.expect("the server takes it")
}

async fn pump(server: &Server, fixture: &Fixture) -> (Running, watch::Receiver<PumpState>) {
    let feed = Arc::new(feed(server).await);
    let (pump, state) = Pump::new(fixture.journal.clone(), feed);
    (Running(tokio::spawn(pump.run())), state)
}

async fn write(fixture: &Fixture, commands: std::ops::Range<u64>) {
    for command in commands {
        let id = format!("s{command}");
        fixture.appended(&id, Position::START, command).await;
    }
}

/// Waits until the feed holds the event of the commit at `position`.
async fn published(state: &mut watch::Receiver<PumpState>, position: u64) {
    let is_there = |state: &PumpState| {
        let PumpState::Publishing { last: Some(last) } = state else {
            return false;
        };
        last.position.0 >= position
    };
    let waited = state.wait_for(is_there).await;
    waited.expect("the pump runs");
}

/// The ids of everything in the stream, in its order.
async fn ids(client: &Client) -> Vec<String> {
    let context = async_nats::jetstream::new(client.clone());
    let stream = context.get_stream("FEED").await.expect("it is there");
    let mut ids = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream
            .get_raw_message(sequence)
            .await
            .expect("it has no gaps");
        let id = commands::feed::cloud_event::position(&message.payload);
        ids.push(id.expect("it is a CloudEvent").to_string());
    }
    ids
}

fn first_ids(count: u64) -> Vec<String> {
    (1..=count)
        .map(|position| format!("{position}.0"))
        .collect()
}

fn place(position: u64) -> EventPosition {
    EventPosition {
        position: Position(position),
        index: 0,
    }
}

async fn read(feed: &dyn Feed, filter: &FeedFilter, start: FeedStart, count: usize) -> Vec<u64> {
    let events = feed.subscribe(filter.clone(), start).take(count);
    let positions = events.map(|event| event.expect("it is readable").position.position.0);
    positions.collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_holds_every_event_once_and_in_order_over_kills() {
    let server = Server::start().await;
    let fixture = server.fixture("feed_kills").await;
    write(&fixture, 0..100).await;
    let (running, mut state) = pump(&server, &fixture).await;
    published(&mut state, 50).await;
    server.kill();
    server.start_again().await;
    published(&mut state, 100).await;
    drop(running);
    // On a new connection: the old one may not have found the server again yet.
    let fixture = server.fixture("feed_kills").await;
    write(&fixture, 100..150).await;
    let (_running, mut state) = pump(&server, &fixture).await;
    published(&mut state, 150).await;
    assert_eq!(ids(&server.client().await).await, first_ids(150));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_was_lost_is_filled_from_empty() {
    let server = Server::start().await;
    let fixture = server.fixture("feed_lost").await;
    write(&fixture, 0..20).await;
    let (_running, mut state) = pump(&server, &fixture).await;
    published(&mut state, 20).await;
    let client = server.client().await;
    let context = async_nats::jetstream::new(client.clone());
    context.delete_stream("FEED").await.expect("it is there");
    // It is found out with the next event.
    write(&fixture, 20..25).await;
    published(&mut state, 25).await;
    assert_eq!(ids(&client).await, first_ids(25));
}

/// An event as builds published it that had CloudEvents in binary mode: attributes in headers, data as payload.
fn binary(event: &FeedEvent) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    let id = event.position.to_string();
    for (name, value) in [
        ("Nats-Msg-Id", id.clone()),
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", id),
        ("ce-source", format!("/ledgerline/{}", event.tenant)),
        ("ce-type", event.cloud_event_type()),
        ("ce-subject", event.id.to_string()),
        ("ce-time", event.time.to_string()),
        ("content-type", "application/json".to_owned()),
        ("ce-tenant", event.tenant.to_string()),
        ("ce-recordedat", event.recorded_at.to_string()),
        ("ce-version", event.version.to_string()),
        ("ce-command", event.command.to_string()),
        ("ce-principal", event.actor.principal.to_string()),
    ] {
        headers.insert(name, value);
    }
    (headers, event.data.get().to_owned().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_an_earlier_build_has_begun_goes_on_and_is_read_as_one() {
    let server = Server::start().await;
    let fixture = server.fixture("feed_old").await;
    write(&fixture, 0..6).await;
    let feed = feed(&server).await;
    let context = async_nats::jetstream::new(server.client().await);
    for commit in fixture.read_all(Position::START, 3).await {
        for event in FeedEvent::of_commit(&commit).expect("plain names") {
            let (headers, payload) = binary(&event);
            let subject = format!(
                "feed.feed_old.{}.{}.{}",
                event.category, event.event, event.id
            );
            let sent = context
                .publish_with_headers(subject, headers, payload)
                .await;
            sent.expect("it is sent").await.expect("it is stored");
        }
    }
    assert_eq!(feed.last().await.expect("it answers"), Some(place(3)));
    let (_running, mut state) = pump(&server, &fixture).await;
    published(&mut state, 6).await;
    let filter = FeedFilter::of(fixture.tenant.clone());
    for behind in 0..6 {
        let start = FeedStart::AfterCommit(Position(behind));
        let rest: Vec<u64> = (behind + 1..=6).collect();
        assert_eq!(read(&feed, &filter, start, rest.len()).await, rest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_publisher_is_overtaken_and_nothing_is_doubled() {
    let server = Server::start().await;
    let fixture = server.fixture("feed_overtaken").await;
    write(&fixture, 0..3).await;
    let commits = fixture.read_all(Position::START, 3).await;
    let events: Vec<Vec<FeedEvent>> = commits
        .iter()
        .map(|commit| FeedEvent::of_commit(commit).expect("it has a plain name"))
        .collect();
    let (one, other) = (feed(&server).await, feed(&server).await);
    assert_eq!(one.last().await.expect("the server answers"), None);
    assert_eq!(other.last().await.expect("the server answers"), None);
    one.publish(events[0].clone())
        .await
        .expect("nobody was first");
    one.publish(events[1].clone())
        .await
        .expect("nobody was first");
    let late = other.publish(events[0].clone()).await;
    assert!(matches!(late, Err(PublishError::Overtaken)), "{late:?}");
    // Without having looked where the feed ends, nothing is sent.
    let blind = other.publish(events[2].clone()).await;
    assert!(
        matches!(blind, Err(PublishError::Unavailable(_))),
        "{blind:?}"
    );
    assert_eq!(
        other.last().await.expect("the server answers"),
        Some(place(2))
    );
    other
        .publish(events[2].clone())
        .await
        .expect("nobody was first");
    assert_eq!(ids(&server.client().await).await, first_ids(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_reads_from_any_place_what_it_asked_for() {
    let server = Server::start().await;
    let fixture = server.fixture("feed_places").await;
    let stranger = server.fixture("feed_stranger").await;
    write(&fixture, 0..20).await;
    write(&stranger, 0..20).await;
    let (_running, mut state) = pump(&server, &fixture).await;
    published(&mut state, 40).await;
    let feed = feed(&server).await;
    let mut filter = FeedFilter::of(fixture.tenant.clone());
    for after in 0..20 {
        let start = FeedStart::AfterCommit(Position(after));
        assert_eq!(read(&feed, &filter, start, 1).await, [after + 1]);
        let start = FeedStart::After(place(after));
        assert_eq!(read(&feed, &filter, start, 1).await, [after + 1]);
    }
    let others = FeedFilter::of(stranger.tenant.clone());
    let start = FeedStart::AfterCommit(Position(3));
    assert_eq!(read(&feed, &others, start, 2).await, [21, 22]);
    filter.id = Some(Token::new("s7").expect("a plain word is a token"));
    assert_eq!(read(&feed, &filter, start, 1).await, [8]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_from_now_and_one_from_a_place_not_reached_meet_only_what_comes() {
    let server = Server::start().await;
    let fixture = server.fixture("feed_now").await;
    write(&fixture, 0..10).await;
    let (_running, mut state) = pump(&server, &fixture).await;
    published(&mut state, 10).await;
    let feed = feed(&server).await;
    let filter = FeedFilter::of(fixture.tenant.clone());
    let mut now = feed.subscribe(filter.clone(), FeedStart::Now);
    let mut later = feed.subscribe(filter, FeedStart::AfterCommit(Position(12)));
    // When the first subscriber has begun is known only by what it meets, so the writing goes on.
    let both = async { tokio::join!(now.next(), later.next()) };
    let (first, third) = tokio::select! {
        both = both => both,
        () = write(&fixture, 10..u64::MAX) => unreachable!("there is always one more"),
    };
    let position = |event: Option<Result<FeedEvent, _>>| {
        let event = event.expect("it never ends").expect("it is readable");
        event.position.position.0
    };
    assert!(position(first) > 10);
    assert_eq!(position(third), 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_goes_on_after_the_server_was_killed() {
    let server = Server::start().await;
    let fixture = server.fixture("feed_reconnect").await;
    write(&fixture, 0..10).await;
    let (_running, mut state) = pump(&server, &fixture).await;
    published(&mut state, 10).await;
    let feed = feed(&server).await;
    let filter = FeedFilter::of(fixture.tenant.clone());
    let start = FeedStart::AfterCommit(Position::START);
    let mut events = feed.subscribe(filter, start).map(|event| {
        let event = event.expect("it is readable");
        event.position.position.0
    });
    let mut read: Vec<u64> = events.by_ref().take(5).collect().await;
    server.kill();
    server.start_again().await;
    let journal = server.fixture("feed_reconnect").await;
    write(&journal, 10..15).await;
    read.extend(events.take(10).collect::<Vec<_>>().await);
    assert_eq!(read, (1..=15).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_client_reads_a_replay_and_its_end() {
    let server = Server::start().await;
    let fixture = server.fixture("replayed").await;
    write(&fixture, 0..10).await;
    let listener = server.client().await;
    let mut heard = listener
        .subscribe("replay.replayed.audit.>")
        .await
        .expect("it listens");
    listener.flush().await.expect("the server answers");
    let replay = Replay {
        name: Token::new("audit").expect("a plain word is a token"),
        filter: FeedFilter::of(Tenant::new("replayed").expect("a plain word is a token")),
        after: Position(2),
        until: Some(Position(5)),
        recorded_from: None,
        recorded_until: None,
        pace: Pace::Full,
    };
    let sink = NatsReplays::new(server.client().await);
    let (progress, _watched) = watch::channel(Progress::default());
    let events = replay.run(&*fixture.journal, &sink, &progress).await;
    assert_eq!(events.expect("everything is readable"), 3);
    let mut subjects = Vec::new();
    let end = loop {
        let message = heard.next().await.expect("it never ends");
        let headers = message.headers.expect("every message has some");
        if headers.get("Ledgerline-Replay").is_some() {
            break headers;
        }
        let content_type = headers.get("content-type").map(|value| value.as_str());
        assert_eq!(content_type, Some("application/cloudevents+json"));
        subjects.push(message.subject.to_string());
    };
    let wanted = [2, 3, 4].map(|id| format!("replay.replayed.audit.contract.noted.s{id}"));
    assert_eq!(subjects, wanted);
    let count = end
        .get("Ledgerline-Replay-Events")
        .map(|value| value.as_str());
    assert_eq!(count, Some("3"));
}
