//! The pump: fills the feed from the journal, in order and exactly once.
//!
//! Its checkpoint is the feed's own last message, so it needs no table, and a feed that was lost is
//! filled from empty. Any number of pumps may run: the feed lets one of them publish, and the others
//! stand by until it has stopped.

use std::sync::Arc;
use std::time::Duration;

use domain::{Entry, EventPosition, Position};
use fail::fail_point;
use futures_util::stream::{BoxStream, ReadyChunks, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Feed, FeedEvent, PublishError};
use crate::journal::{BoxError, Journal, ReadError};

/// From how many commits on, and from how many bytes of their events on, a batch gathers no more: each is enough to
/// hide the way to the server, and little enough to lie in memory meanwhile.
const BATCH_COMMITS_MAX: usize = 8_000;
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The least time from one publication to the next: a lone event goes out at once, and under load
/// events go out together.
const PACE: Duration = Duration::from_millis(8);

/// How long a batch gathers more while more keeps coming, for each commit of the batch before and at most:
/// where thousands of commits come a second, whoever writes them comes first.
const GATHER_PER_COMMIT: Duration = Duration::from_micros(50);
const GATHER_MAX: Duration = Duration::from_millis(300);

/// Without anything new for so long, the journal is still: nobody is gathered for any more.
const STILL: Duration = Duration::from_millis(50);

/// How many entries are taken in one piece.
const CHUNK_ENTRIES_MAX: usize = 1_000;

/// The first and the longest wait after the feed did not answer; it doubles in between.
const RETRY_MS: (u64, u64) = (100, 5_000);

/// How often a pump that stands by looks whether the other still works.
const STANDBY_CHECK: Duration = Duration::from_secs(1);

/// In how many checks the other must have published nothing, though there was something to publish.
const STANDBY_CHECKS: u32 = 3;

/// How long a pump waits before it looks again at an entry that it could not read.
const UNREADABLE_RETRY: Duration = Duration::from_secs(10);

/// The one who fills the feed.
pub struct Pump {
    journal: Arc<dyn Journal>,
    feed: Arc<dyn Feed>,
    state: watch::Sender<PumpState>,
}

/// What the pump is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PumpState {
    /// It has not yet reached the feed.
    Starting,
    /// It publishes; `last` is the last event that is in the feed.
    Publishing {
        /// None while the feed is empty.
        last: Option<EventPosition>,
    },
    /// Another pump publishes.
    StandingBy,
    /// The feed or the journal does not answer; it tries again.
    Retrying {
        /// What went wrong.
        reason: String,
    },
    /// An entry cannot be published, and nothing behind it may come before it.
    Stopped {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
}

enum Stop {
    Overtaken,
    Unreadable { position: Position, reason: String },
    Unavailable(BoxError),
}

impl Pump {
    /// A pump from `journal` to `feed`, and where its state can be watched.
    pub fn new(
        journal: Arc<dyn Journal>,
        feed: Arc<dyn Feed>,
    ) -> (Self, watch::Receiver<PumpState>) {
        let (state, watched) = watch::channel(PumpState::Starting);
        let pump = Self {
            journal,
            feed,
            state,
        };
        (pump, watched)
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut retry_ms = RETRY_MS.0;
        loop {
            let published_before = self.published();
            let stop = self.publish_all().await;
            if self.published() != published_before {
                retry_ms = RETRY_MS.0;
            }
            match stop {
                Stop::Overtaken => {
                    tracing::info!("another pump fills the feed, standing by");
                    self.state.send_replace(PumpState::StandingBy);
                    self.stand_by().await;
                }
                Stop::Unreadable { position, reason } => {
                    self.stopped(position, reason);
                    tokio::time::sleep(UNREADABLE_RETRY).await;
                }
                Stop::Unavailable(error) => {
                    self.retrying(error.as_ref());
                    tokio::time::sleep(Duration::from_millis(retry_ms)).await;
                    retry_ms = (retry_ms * 2).min(RETRY_MS.1);
                }
            }
        }
    }

    /// Publishes whatever the journal has behind the feed's last event, as long as that goes well.
    async fn publish_all(&self) -> Stop {
        let mut last = match self.feed.last().await {
            Ok(last) => last,
            Err(error) => return error.into(),
        };
        self.state.send_replace(PumpState::Publishing { last });
        // The last event's own commit is read again: it may have been published in part.
        let after = last.map_or(Position::START, |last| Position(last.position.0 - 1));
        let mut chunks = self.journal.read_all(after).ready_chunks(CHUNK_ENTRIES_MAX);
        let mut gather_until = Instant::now();
        while let Some(first) = chunks.next().await {
            let entries = gather(&mut chunks, first, gather_until).await;
            let begun = Instant::now();
            let commits = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            let (events, unreadable) = events_behind(last, entries);
            if let Some(newest) = events.last().map(|event| event.position) {
                match self.feed.publish(events).await {
                    Ok(()) => {
                        fail_point!("events-published", |_| std::process::abort());
                        last = Some(newest);
                    }
                    Err(PublishError::Overtaken) => return Stop::Overtaken,
                    Err(error @ PublishError::Unavailable(_)) => {
                        return Stop::Unavailable(error.into());
                    }
                }
                self.state.send_replace(PumpState::Publishing { last });
            }
            if let Some(stop) = unreadable {
                return stop;
            }
            let gathered = GATHER_PER_COMMIT.saturating_mul(commits).min(GATHER_MAX);
            gather_until = Instant::now() + gathered;
            tokio::time::sleep_until(begun + PACE).await;
        }
        Stop::Unavailable("the journal ended".into())
    }

    /// Returns when the other pump has left something lying for long enough.
    async fn stand_by(&self) {
        let mut before = None;
        let mut checks_left = STANDBY_CHECKS;
        while checks_left > 0 {
            tokio::time::sleep(STANDBY_CHECK).await;
            let (Ok(last), Ok(head)) = (self.feed.last().await, self.journal.head().await) else {
                continue;
            };
            let is_behind = last.map_or(Position::START, |last| last.position) < head;
            let stands_still = before == Some(last);
            before = Some(last);
            checks_left = if is_behind && stands_still {
                checks_left - 1
            } else {
                STANDBY_CHECKS
            };
        }
    }

    fn published(&self) -> Option<EventPosition> {
        match &*self.state.borrow() {
            PumpState::Publishing { last } => *last,
            PumpState::Starting
            | PumpState::StandingBy
            | PumpState::Retrying { .. }
            | PumpState::Stopped { .. } => None,
        }
    }

    /// Said once for each entry, not at every try.
    fn stopped(&self, position: Position, reason: String) {
        let state = PumpState::Stopped { position, reason };
        if *self.state.borrow() != state {
            tracing::error!(
                ?state,
                "the feed stops in front of an entry that it cannot publish"
            );
        }
        self.state.send_replace(state);
    }

    fn retrying(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) {
        tracing::warn!(error, "the feed could not be filled, trying again");
        let reason = error.to_string();
        self.state.send_replace(PumpState::Retrying { reason });
    }
}

/// What follows on `first` until `until`, as long as it keeps coming and there is room.
async fn gather(
    chunks: &mut ReadyChunks<BoxStream<'static, Entry>>,
    first: Vec<Entry>,
    until: Instant,
) -> Vec<Entry> {
    let mut bytes = data_bytes(&first);
    let mut entries = first;
    while entries.len() < BATCH_COMMITS_MAX && bytes < BATCH_BYTES_MAX {
        let until = until.min(Instant::now() + STILL);
        match timeout_at(until, chunks.next()).await {
            Ok(Some(more)) => {
                bytes += data_bytes(&more);
                entries.extend(more);
            }
            Ok(None) | Err(_) => break,
        }
    }
    entries
}

/// How many bytes the data of all events has.
fn data_bytes(entries: &[Entry]) -> usize {
    let commits = entries.iter().filter_map(|entry| match entry {
        Entry::Commit(commit) => Some(commit),
        Entry::Unreadable { .. } => None,
    });
    let events = commits.flat_map(|commit| &commit.payload.events);
    events.map(|event| event.data().get().len()).sum()
}

/// The events behind `last`, up to the first entry that cannot be published.
fn events_behind(
    last: Option<EventPosition>,
    entries: Vec<Entry>,
) -> (Vec<FeedEvent>, Option<Stop>) {
    let mut events = Vec::with_capacity(entries.len());
    for entry in entries {
        let position = entry.position();
        let of_commit = match entry {
            Entry::Commit(commit) => {
                FeedEvent::of_commit(&commit).map_err(|error| error.to_string())
            }
            Entry::Unreadable { reason, .. } => Err(reason),
        };
        match of_commit {
            Ok(new) => events.extend(new.into_iter().filter(|e| Some(e.position) > last)),
            Err(reason) => return (events, Some(Stop::Unreadable { position, reason })),
        }
    }
    (events, None)
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::Unavailable(error.into()),
            ReadError::Unreadable { position, reason } => Self::Unreadable { position, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::future::{BoxFuture, FutureExt};
    use futures_util::stream::BoxStream;

    use super::*;
    use crate::feed::{FeedFilter, FeedStart};
    use crate::journal::contract::Fixture;
    use crate::memory::{MemoryFeed, MemoryJournal};

    struct Running(tokio::task::JoinHandle<()>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    fn run(journal: &MemoryJournal, feed: impl Feed) -> (Running, watch::Receiver<PumpState>) {
        let (pump, state) = Pump::new(Arc::new(journal.clone()), Arc::new(feed));
        (Running(tokio::spawn(pump.run())), state)
    }

    async fn write(fixture: &Fixture, commands: std::ops::Range<u64>) {
        for command in commands {
            fixture
                .appended(&format!("s{command}"), Position::START, command)
                .await;
        }
    }

    fn positions(feed: &MemoryFeed) -> Vec<u64> {
        let events = feed.events();
        events
            .iter()
            .map(|event| event.position.position.0)
            .collect()
    }

    #[tokio::test]
    async fn every_event_is_published_once_and_in_order_over_restarts() {
        let journal = MemoryJournal::default();
        let feed = MemoryFeed::default();
        let fixture = Fixture::new(Arc::new(journal.clone()), "pump");
        write(&fixture, 0..10).await;
        let (pump, _state) = run(&journal, feed.clone());
        feed.wait_for(10).await;
        drop(pump);
        write(&fixture, 10..20).await;
        let (_pump, _state) = run(&journal, feed.clone());
        feed.wait_for(20).await;
        write(&fixture, 20..30).await;
        feed.wait_for(30).await;
        assert_eq!(positions(&feed), (1..=30).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_second_pump_stands_by_and_takes_over_when_the_first_is_gone() {
        let journal = MemoryJournal::default();
        let feed = MemoryFeed::default();
        let fixture = Fixture::new(Arc::new(journal.clone()), "standby");
        let (first, mut first_state) = run(&journal, feed.clone());
        let (second, mut second_state) = run(&journal, feed.clone());
        write(&fixture, 0..5).await;
        let is_beaten = |state: &PumpState| matches!(state, PumpState::StandingBy);
        let winner = tokio::select! {
            _ = first_state.wait_for(is_beaten) => second,
            _ = second_state.wait_for(is_beaten) => first,
        };
        feed.wait_for(5).await;
        drop(winner);
        write(&fixture, 5..9).await;
        feed.wait_for(9).await;
        assert_eq!(positions(&feed), (1..=9).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_feed_stops_in_front_of_what_is_no_commit() {
        let journal = MemoryJournal::default();
        let feed = MemoryFeed::default();
        let fixture = Fixture::new(Arc::new(journal.clone()), "poison");
        write(&fixture, 0..2).await;
        journal.deface(fixture.stream("bad"), Bytes::from_static(b"no json"));
        write(&fixture, 2..4).await;
        let (_pump, mut state) = run(&journal, feed.clone());
        let is_stopped = |state: &PumpState| matches!(state, PumpState::Stopped { position, .. } if position.0 == 3);
        state.wait_for(is_stopped).await.expect("the pump runs");
        assert_eq!(positions(&feed), [1, 2]);
    }

    /// Publishes a beginning of what it is given and then fails, every other time.
    struct Flaky {
        feed: MemoryFeed,
        calls: std::sync::atomic::AtomicU32,
    }

    impl Feed for Flaky {
        fn last(&self) -> BoxFuture<'_, Result<Option<EventPosition>, ReadError>> {
            self.feed.last()
        }

        fn publish(&self, mut events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), PublishError>> {
            let call = self
                .calls
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async move {
                if call % 2 == 1 {
                    return self.feed.publish(events).await;
                }
                events.truncate(events.len() / 2);
                self.feed.publish(events).await?;
                Err(PublishError::Unavailable("told to fail".into()))
            }
            .boxed()
        }

        fn subscribe(
            &self,
            filter: FeedFilter,
            start: FeedStart,
        ) -> BoxStream<'static, Result<FeedEvent, ReadError>> {
            self.feed.subscribe(filter, start)
        }
    }

    /// How many entries a batch has, and how long it took, of chunks that come a moment apart and then no more.
    async fn gathered(chunks: u64, until: Duration) -> (usize, Duration) {
        const APART: Duration = Duration::from_millis(10);
        fn unreadable(number: u64) -> Entry {
            Entry::Unreadable {
                position: Position(number),
                reason: String::new(),
            }
        }
        let coming = futures_util::stream::iter(1..=chunks).then(async |number| {
            tokio::time::sleep(APART).await;
            unreadable(number)
        });
        let endless = coming.chain(futures_util::stream::pending());
        let mut chunks = endless.boxed().ready_chunks(CHUNK_ENTRIES_MAX);
        let begun = Instant::now();
        let entries = gather(&mut chunks, vec![unreadable(0)], begun + until).await;
        (entries.len(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_gathers_until_its_time_is_over_or_nothing_comes() {
        // A lone event waits for nobody.
        let (entries, took) = gathered(100, Duration::ZERO).await;
        assert_eq!((entries, took), (1, Duration::ZERO));
        let (entries, took) = gathered(100, Duration::from_millis(105)).await;
        assert!((10..=11).contains(&entries), "{entries}");
        assert!(took < Duration::from_millis(120), "{took:?}");
        let (entries, took) = gathered(5, GATHER_MAX).await;
        assert_eq!(entries, 6);
        assert!(took < Duration::from_millis(110), "{took:?}");
    }

    #[tokio::test]
    async fn what_was_published_in_part_is_gone_on_with() {
        let journal = MemoryJournal::default();
        let feed = MemoryFeed::default();
        let fixture = Fixture::new(Arc::new(journal.clone()), "flaky");
        write(&fixture, 0..7).await;
        let flaky = Flaky {
            feed: feed.clone(),
            calls: 0.into(),
        };
        let (_pump, _state) = run(&journal, flaky);
        feed.wait_for(7).await;
        assert_eq!(positions(&feed), (1..=7).collect::<Vec<_>>());
    }
}
