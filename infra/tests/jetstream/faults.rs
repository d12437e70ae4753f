//! What goes wrong between a reader or writer and its server.

use std::time::Duration;

use commands::journal::contract::Fixture;
use commands::journal::{AppendError, Journal};
use domain::{Entry, Position};
use futures_util::stream::{BoxStream, StreamExt};
use infra::nats::quorum;
use serde_json::{Value, json};

use crate::server::Server;

/// The positions of the next entries.
async fn next(entries: &mut BoxStream<'static, Entry>, count: usize) -> Vec<u64> {
    let entries = entries.take(count).map(|entry| entry.position().0);
    entries.collect().await
}

async fn api(client: &async_nats::Client, path: &str, body: Value) -> Value {
    // Some requests are refused with any body, even `null`.
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = client.request(format!("$JS.API.{path}"), body.into()).await;
    serde_json::from_slice(&answer.expect("the server answers").payload).expect("it is JSON")
}

/// The one consumer that readers at the journal's end share, once nothing is left of those by which they
/// came there.
async fn shared_consumer(client: &async_nats::Client) -> String {
    loop {
        let names = api(client, "CONSUMER.NAMES.JOURNAL", Value::Null).await;
        match names["consumers"].as_array().map(Vec::as_slice) {
            Some([name]) => return name.as_str().expect("a name").to_owned(),
            _ => tokio::task::yield_now().await,
        }
    }
}

/// Appends a commit at each of `positions` and reads it, so that the reader has come to the end and gone on from there.
async fn read_on(
    fixture: &Fixture,
    entries: &mut BoxStream<'static, Entry>,
    positions: std::ops::RangeInclusive<u64>,
) {
    for position in positions {
        let stream = format!("s{position}");
        fixture.appended(&stream, Position::START, position).await;
        assert_eq!(next(entries, 1).await, [position]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_goes_on_where_it_was_after_the_server_was_killed() {
    let server = Server::start().await;
    let fixture = server.fixture("reconnect").await;
    for command in 0..20 {
        fixture
            .appended(&format!("s{command}"), Position::START, command)
            .await;
    }
    let mut entries = fixture.journal.read_all(Position::START);
    let mut read = next(&mut entries, 10).await;
    server.kill();
    server.start_again().await;
    let mut command = 20;
    while command < 30 {
        let append = fixture.append(&format!("s{command}"), Position::START, command);
        match fixture.journal.append(append).await {
            Ok(_) => command += 1,
            Err(AppendError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other:?}"),
        }
    }
    read.extend(next(&mut entries, 20).await);
    assert_eq!(read, (1..=30).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_consumer_was_deleted_begins_again() {
    let server = Server::start().await;
    let fixture = server.fixture("deleted_consumer").await;
    let client = server.client().await;
    let mut entries = fixture.journal.read_all(Position::START);
    read_on(&fixture, &mut entries, 1..=2).await;
    let name = shared_consumer(&client).await;
    let delete = format!("CONSUMER.DELETE.JOURNAL.{name}");
    assert_eq!(api(&client, &delete, Value::Null).await["success"], true);
    read_on(&fixture, &mut entries, 3..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_consumer_has_silently_stopped_begins_again() {
    let server = Server::start().await;
    let fixture = server.fixture("stopped_consumer").await;
    let client = server.client().await;
    let mut entries = fixture.journal.read_all(Position::START);
    read_on(&fixture, &mut entries, 1..=2).await;
    let name = shared_consumer(&client).await;
    // A paused consumer sends its heartbeats and nothing else.
    let pause = json!({"pause_until": "2999-01-01T00:00:00Z"});
    let paused = api(&client, &format!("CONSUMER.PAUSE.JOURNAL.{name}"), pause).await;
    assert_eq!(paused["paused"], true);
    read_on(&fixture, &mut entries, 3..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_is_lost_is_unknown_and_found_by_reading_back() {
    let server = Server::start().await;
    let fixture = server.fixture("lost_answer").await;
    let mut unknown = None;
    // The kill hits some append between its fsync and its answer, or before: both are unknown.
    for command in 0..10_000 {
        let journal = fixture.journal.clone();
        let append = fixture.append(&format!("s{command}"), Position::START, command);
        let appending = tokio::spawn(async move { journal.append(append).await });
        if command == 50 {
            server.kill();
        }
        match appending.await.expect("no writer panics") {
            Ok(_) => {}
            Err(AppendError::Unknown(_) | AppendError::Unavailable(_)) => {
                unknown = Some(command);
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let unknown = unknown.expect("a dead server acknowledges nothing");
    let away = fixture.append("x", Position::START, 100_000);
    let away = fixture.journal.append(away).await;
    assert!(
        matches!(
            away,
            Err(AppendError::Unavailable(_) | AppendError::Unknown(_))
        ),
        "{away:?}"
    );
    server.start_again().await;
    while fixture.journal.head().await.is_err() {
        tokio::task::yield_now().await;
    }
    let id = format!("s{unknown}");
    let read = fixture.read(&id, Position::START).await;
    let retry = fixture
        .journal
        .append(fixture.append(&id, Position::START, unknown))
        .await;
    match read.first() {
        Some(commit) => {
            assert_eq!(commit.id(), fixture.command(unknown));
            assert!(
                matches!(retry, Err(AppendError::Conflict { .. })),
                "{retry:?}"
            );
        }
        None => assert!(retry.is_ok(), "{retry:?}"),
    }
    assert_eq!(fixture.read(&id, Position::START).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_an_append_is_unknown_and_not_repeated() {
    let server = Server::start().await;
    let journal = server.journal().await;
    let client = server.client().await;
    let fixture = server.fixture("no_stream").await;
    // Nobody listens on the subject any more: JetStream says so at once, and nothing is written.
    let deleted = api(&client, "STREAM.DELETE.JOURNAL", Value::Null).await;
    assert_eq!(deleted["success"], true);
    let answer = journal
        .append(fixture.append("a", Position::START, 1))
        .await;
    assert!(
        matches!(answer, Err(AppendError::Unavailable(_))),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_commit_is_met_as_unreadable() {
    let server = Server::start().await;
    let fixture = server.fixture("unreadable").await;
    let client = server.client().await;
    fixture.appended("a", Position::START, 1).await;
    for subject in [
        "journal.t.contract.bad",
        "journal.t.bad",
        "journal.t.contract.bad.deeper",
    ] {
        let answer = client.request(subject, "no json".into()).await;
        answer.expect("the server takes it: it knows nothing of commits");
    }
    fixture.appended("b", Position::START, 2).await;
    let mut entries = fixture.journal.read_all(Position::START);
    let mut readable = Vec::new();
    for position in 1..=5 {
        let entry = entries.next().await.expect("it never ends");
        assert_eq!(entry.position(), Position(position));
        readable.push(matches!(entry, Entry::Commit(_)));
    }
    assert_eq!(readable, [true, false, false, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_waits_for_a_server_that_is_away() {
    let server = Server::start().await;
    let fixture = server.fixture("away").await;
    fixture.appended("a", Position::START, 1).await;
    server.kill();
    let mut entries = fixture.journal.read_all(Position::START);
    let waiting = tokio::time::timeout(Duration::from_millis(300), entries.next()).await;
    assert!(waiting.is_err(), "nobody is there to read from");
    server.start_again().await;
    assert_eq!(next(&mut entries, 1).await, [1]);
}

/// While a leader is elected nobody answers, and whoever is elected knows nothing of what was asked before.
/// Each question was waited for until its time was over, 5 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_answers_is_asked_again_and_an_answer_to_either_question_counts() {
    let server = Server::start_without_jetstream().await;
    let client = server.client().await;
    let subject = "$JS.API.STREAM.INFO.JOURNAL";
    let asked = client.subscribe(subject).await;
    let mut asked = asked.expect("it is connected");
    for answered in [0, 1] {
        let answering = async {
            let questions: Vec<_> = asked.by_ref().take(2).collect().await;
            let inbox = questions[answered].reply.clone().expect("it waits");
            let answer = json!({"config": {"num_replicas": 3}}).to_string();
            let sent = client.publish(inbox, answer.into()).await;
            sent.expect("it is connected");
        };
        let (quorum, ()) = tokio::join!(quorum::of(&client, "JOURNAL"), answering);
        let quorum = quorum.expect("it was answered").expect("there is a stream");
        assert_eq!((quorum.copies, quorum.members), (3, None));
    }
}
