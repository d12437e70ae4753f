//! What is new, for the readers of a process that writes much: it meets its own commits without the server
//! delivering them, and everybody's as they stand there.

use std::sync::Arc;
use std::time::Duration;

use commands::journal::Journal as _;
use commands::journal::contract::Fixture;
use commands::seal::{RawCommit, RawJournal as _, RawTail as _};
use domain::{CommandId, Entry, Position};
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, StreamExt as _};
use infra::nats::JetStreamRawJournal;
use infra::nats::journal::Settings;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::group::wait_until_reachable;
use crate::server::Server;

/// Commits that one writer has under way at once: several groups.
const WAVE: u64 = 4_000;

/// How long anything may take to reach a reader, on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Readers of the process that writes, and another process.
struct House {
    server: Arc<Server>,
    own: Fixture,
    other: Fixture,
    entries: UnboundedReceiver<Entry>,
    raw: UnboundedReceiver<RawCommit>,
    /// Up to where they have met everything.
    met: Position,
}

/// Reads on all the time: a reader that rests is soon too far behind the tail to go with it.
fn kept_reading<T: Send + 'static>(mut read: BoxStream<'static, T>) -> UnboundedReceiver<T> {
    let (met, kept) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(next) = read.next().await {
            if met.send(next).is_err() {
                return;
            }
        }
    });
    kept
}

impl House {
    /// Readers that have joined the tail: until then, each reads alone.
    async fn start(claim: &str) -> Self {
        let server = Server::start().await;
        let journal = server.journal().await;
        let mut house = Self {
            entries: kept_reading(journal.read_all(Position::START)),
            raw: kept_reading(journal.follow_raw(Position::START)),
            own: Fixture::new(Arc::new(journal), claim),
            other: server.fixture(claim).await,
            server,
            met: Position::START,
        };
        let first = house.own.appended("first", Position::START, u64::MAX).await;
        house.meet(first).await;
        house
    }

    /// Waves of commits by the process whose readers these are, one after the other.
    fn write(&self, waves: std::ops::Range<u64>) -> JoinHandle<()> {
        let own = self.own.clone();
        tokio::spawn(async move {
            for wave in waves {
                let numbers = wave * WAVE..(wave + 1) * WAVE;
                let appends = numbers.map(|number| {
                    let mut append = own.append(&format!("own{number}"), Position::START, number);
                    // Half of them cannot come again, which shows beside the payload.
                    if number % 2 == 0 {
                        append.id = CommandId(Uuid::from_u128(u128::from(number) + (7 << 76)));
                        assert!(append.id.is_drawn());
                    }
                    own.journal.append(append)
                });
                for answer in join_all(appends).await {
                    answer.expect("nobody else writes there");
                }
            }
        })
    }

    /// The other process writes one commit.
    async fn write_elsewhere(&self, number: u64) -> Position {
        let command = 1_000_000_000 + number;
        let id = format!("other{number}");
        self.other.appended(&id, Position::START, command).await
    }

    /// Both readers meet everything up to `end`, each position once and in order, and as it stands there.
    async fn meet(&mut self, end: Position) {
        let after = std::mem::replace(&mut self.met, end);
        let client = self.server.client().await;
        let journal = JetStreamRawJournal::new(client, Settings::default());
        let stored: Vec<_> = journal
            .read_raw(after, end)
            .try_collect()
            .await
            .expect("the server answers");
        assert_eq!(stored.len() as u64, end.0 - after.0);
        let mut fresh = self.other.journal.read_all(after);
        for stored in stored {
            let raw = timeout(PATIENCE, self.raw.recv()).await;
            assert_eq!(raw.expect("in time"), Some(stored));
            let entry = timeout(PATIENCE, self.entries.recv())
                .await
                .expect("in time");
            let read = timeout(PATIENCE, fresh.next()).await.expect("in time");
            assert_eq!(format!("{entry:?}"), format!("{read:?}"));
        }
    }

    /// How many consumers the server has for the journal.
    async fn consumers(&self) -> usize {
        let context = async_nats::jetstream::new(self.server.client().await);
        let stream = context.get_stream("JOURNAL").await.expect("it is there");
        stream.cached_info().state.consumer_count
    }

    /// Writes waves until the readers of this process go without the server; the number of the next wave.
    async fn write_until_alone(&self) -> u64 {
        self.write_until_alone_from(0).await
    }

    async fn write_until_alone_from(&self, first: u64) -> u64 {
        for wave in first.. {
            let writing = self.write(wave..wave + 1);
            while !writing.is_finished() {
                if self.consumers().await == 0 {
                    writing.await.expect("the writer does not panic");
                    return wave + 1;
                }
            }
            assert!(wave < first + 50, "the server delivers everything again");
        }
        unreachable!("the loop ends by itself")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_much_meets_it_without_the_server_and_as_it_stands_there() {
    let mut house = House::start("tail_own").await;
    house.write_until_alone().await;
    let end = house.own.journal.head().await.expect("the server answers");
    house.meet(end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_in_between_is_met_in_its_place() {
    let mut house = House::start("tail_others").await;
    let next = house.write_until_alone().await;
    let writing = house.write(next..next + 3);
    let mut number = 0;
    while !writing.is_finished() {
        house.write_elsewhere(number).await;
        number += 1;
    }
    writing.await.expect("the writer does not panic");
    assert!(number > 0);
    let end = house.own.journal.head().await.expect("the server answers");
    house.meet(end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_written_much_and_falls_silent_goes_on_meeting_others() {
    let mut house = House::start("tail_silent").await;
    house.write_until_alone().await;
    let end = house.write_elsewhere(0).await;
    house.meet(end).await;
    let later = house.write_elsewhere(1).await;
    house.meet(later).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_and_never_acknowledged_is_met_in_its_place() {
    let mut house = House::start("tail_kill").await;
    let next = house.write_until_alone().await;
    let before = house.own.journal.head().await.expect("the server answers");
    let own = house.own.clone();
    let writing = tokio::spawn(async move {
        let numbers = next * WAVE..(next + 2) * WAVE;
        let appends = numbers.map(|number| {
            let append = own.append(&format!("own{number}"), Position::START, number);
            own.journal.append(append)
        });
        join_all(appends).await
    });
    while house
        .own
        .journal
        .head()
        .await
        .is_ok_and(|head| head <= before)
    {}
    house.server.kill();
    let answers = writing.await.expect("the writer does not panic");
    assert!(answers.iter().any(Result::is_err), "the server was killed");
    house.server.start_again().await;
    wait_until_reachable(&house.own.journal).await;
    house.write_until_alone_from(next + 2).await;
    let end = house.own.journal.head().await.expect("the server answers");
    house.meet(end).await;
}
