//! Group commit: many waiting appends as one atomic batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use commands::journal::contract::Fixture;
use commands::journal::{AppendError, Journal};
use domain::Position;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use crate::server::Server;

/// Enough that what waits behind the single appends makes a group.
const MANY: u64 = 1_500;

async fn append_many(
    fixture: &Fixture,
    expected: Position,
    first: u64,
) -> Vec<Result<Position, AppendError>> {
    let appends = (0..MANY).map(|number| {
        let append = fixture.append(&format!("s{number}"), expected, first + number);
        fixture.journal.append(append)
    });
    join_all(appends).await
}

/// How many of the stored messages came in a batch.
async fn batched(server: &Server) -> u64 {
    let client = server.client().await;
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream("JOURNAL").await.expect("it is there");
    let mut batched = 0;
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream
            .get_raw_message(sequence)
            .await
            .expect("it has no gaps");
        batched += u64::from(message.headers.get("Nats-Batch-Id").is_some());
    }
    batched
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waiting_appends_are_written_in_groups_and_each_is_told_its_own_position() {
    let server = Server::start().await;
    let fixture = server.fixture("group").await;
    let answers = append_many(&fixture, Position::START, 0).await;
    let positions: BTreeSet<u64> = answers
        .iter()
        .map(|a| a.as_ref().expect("no conflict").0)
        .collect();
    assert_eq!(positions, (1..=MANY).collect());
    for number in [0, 70, MANY / 2, MANY - 1] {
        let read = fixture.read(&format!("s{number}"), Position::START).await;
        assert_eq!(read.len(), 1);
        let told = answers[number as usize].as_ref().expect("no conflict");
        assert_eq!(read[0].position, *told);
        assert_eq!(read[0].id(), fixture.command(number));
    }
    assert!(batched(&server).await > MANY / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_in_a_group_is_of_its_own_writer_only() {
    let server = Server::start().await;
    let fixture = server.fixture("group_conflict").await;
    let taken = fixture.appended("s700", Position::START, 1_000_000).await;
    let answers = append_many(&fixture, Position::START, 0).await;
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => assert_ne!(number, 700),
            Err(AppendError::Conflict { stream }) => assert_eq!(*stream, fixture.stream("s700")),
            Err(other) => panic!("{other:?}"),
        }
    }
    let read = fixture.read("s700", Position::START).await;
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].position, taken);
    let head = fixture.journal.head().await.expect("the server answers");
    assert_eq!(head, Position(MANY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_in_a_group_is_of_its_own_writer_only() {
    let server = Server::start().await;
    let fixture = server.fixture("group_duplicate").await;
    // The command of `s700`, committed on another stream.
    let first = fixture.appended("elsewhere", Position::START, 700).await;
    let answers = append_many(&fixture, Position::START, 0).await;
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => assert_ne!(number, 700),
            Err(AppendError::Duplicate(position)) => assert_eq!((number, *position), (700, first)),
            Err(other) => panic!("{other:?}"),
        }
    }
    let head = fixture.journal.head().await.expect("the server answers");
    assert_eq!(head, Position(MANY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_one_stream_in_a_crowd_keep_their_order() {
    let server = Server::start().await;
    let fixture = server.fixture("group_order").await;
    // Of two writers on each stream, one wins, however they are grouped.
    let appends = (0..2 * MANY).map(|number| {
        let append = fixture.append(&format!("s{}", number % MANY), Position::START, number);
        fixture.journal.append(append)
    });
    let answers = join_all(appends).await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    assert_eq!(won, MANY);
    let head = fixture.journal.head().await.expect("the server answers");
    assert_eq!(head, Position(MANY));
}

/// After the kill, every writer that was told its position finds its commit there, and every other
/// finds out by reading back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_amid_groups_loses_nothing_that_was_acknowledged() {
    let server = Server::start().await;
    let fixture = server.fixture("group_kill").await;
    for round in 0..3 {
        let writers = fixture.clone();
        let before = fixture.journal.head().await.expect("the server answers");
        let appends = tokio::spawn(async move {
            let appends = (0..4 * MANY).map(|number| {
                let id = format!("r{round}s{number}");
                let append = writers.append(&id, Position::START, round * 1_000_000 + number);
                writers.journal.append(append)
            });
            join_all(appends).await
        });
        // As soon as something of this round is stored.
        let mut entries = fixture.journal.read_all(before);
        entries.next().await;
        server.kill();
        let answers = appends.await.expect("no writer panics");
        server.start_again().await;
        wait_until_reachable(&fixture.journal).await;
        let reads = (0..).zip(&answers).map(|(number, answer)| {
            let fixture = &fixture;
            async move {
                let read = fixture
                    .read(&format!("r{round}s{number}"), Position::START)
                    .await;
                match answer {
                    Ok(position) => {
                        assert_eq!(read.len(), 1, "acknowledged and lost");
                        assert_eq!(read[0].position, *position);
                        false
                    }
                    Err(AppendError::Unknown(_)) => {
                        let command = fixture.command(round * 1_000_000 + number);
                        assert!(read.iter().all(|commit| commit.id() == command));
                        true
                    }
                    Err(AppendError::Unavailable(_)) => {
                        assert!(read.is_empty(), "was not written");
                        false
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
        let unclear: Vec<bool> = stream::iter(reads).buffer_unordered(64).collect().await;
        assert!(unclear.contains(&true), "the kill came amid the appends");
    }
}

async fn wait_until_reachable(journal: &Arc<dyn Journal>) {
    while journal.head().await.is_err() {
        tokio::task::yield_now().await;
    }
}
