//! Group commit: many waiting appends as one atomic batch.

use std::collections::BTreeSet;
use std::sync::Arc;

use commands::journal::contract::Fixture;
use commands::journal::{AppendError, Journal};
use domain::Position;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use tokio::sync::watch;

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
        let (acknowledged, mut first_groups) = watch::channel(0);
        let acknowledged = Arc::new(acknowledged);
        let writers = (0..MANY).map(|writer| {
            let first = (round * MANY + writer) * 1_000_000;
            tokio::spawn(write_until_refused(
                fixture.clone(),
                first,
                acknowledged.clone(),
            ))
        });
        let writers: Vec<_> = writers.collect();
        let enough = first_groups.wait_for(|count| *count >= MANY).await;
        enough.expect("the writers run");
        server.kill();
        let answers = join_all(writers).await.into_iter();
        let answers: Vec<_> = answers.flat_map(|a| a.expect("no writer panics")).collect();
        server.start_again().await;
        wait_until_reachable(&fixture.journal).await;
        let checks = answers
            .iter()
            .map(|(command, answer)| check(&fixture, *command, answer));
        stream::iter(checks)
            .buffer_unordered(64)
            .collect::<()>()
            .await;
    }
}

/// Writes one stream after another until the server is gone.
async fn write_until_refused(
    fixture: Fixture,
    first: u64,
    acknowledged: Arc<watch::Sender<u64>>,
) -> Vec<(u64, Result<Position, AppendError>)> {
    let mut answers = Vec::new();
    for command in first.. {
        let append = fixture.append(&format!("s{command}"), Position::START, command);
        let answer = fixture.journal.append(append).await;
        let is_refused = answer.is_err();
        answers.push((command, answer));
        if is_refused {
            break;
        }
        acknowledged.send_modify(|count| *count += 1);
    }
    answers
}

/// What a writer was told is what the journal holds.
async fn check(fixture: &Fixture, command: u64, answer: &Result<Position, AppendError>) {
    let read = fixture.read(&format!("s{command}"), Position::START).await;
    match answer {
        Ok(position) => {
            assert_eq!(read.len(), 1, "acknowledged and lost");
            assert_eq!(read[0].position, *position);
        }
        Err(AppendError::Unknown(_)) => {
            let id = fixture.command(command);
            assert!(read.iter().all(|commit| commit.id() == id));
        }
        Err(AppendError::Unavailable(_)) => assert!(read.is_empty(), "was not written"),
        Err(other) => panic!("{other:?}"),
    }
}

pub(crate) async fn wait_until_reachable(journal: &Arc<dyn Journal>) {
    while journal.head().await.is_err() {
        tokio::task::yield_now().await;
    }
}
