//! The journal in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use domain::{Chain, CommandId, Commit, Entry, Position, StreamId};
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Notify;

use super::locked;
use crate::journal::{Append, AppendError, COMMIT_BYTES_MAX, Journal, ReadError};
use crate::seal::{RawCommit, RawJournal, RawTail};

/// Commits that a reader copies under one lock: long enough to be cheap, short enough for writers.
const READ_COMMITS_MAX: usize = 256;

/// The whole log in a vector. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    inner: Arc<Inner>,
}

/// What goes wrong with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is written, and the answer is lost.
    LostAnswer,
    /// It is not written, and the answer is lost.
    LostRequest,
    /// It is not written, and the writer is told so.
    Unavailable,
}

#[derive(Debug, Default)]
struct Inner {
    log: Mutex<Log>,
    /// Told of every commit. It wakes readers in the order in which they wait, so that a simulation can be run
    /// again; a `watch` channel wakes them in any.
    written: Notify,
}

#[derive(Debug, Default)]
struct Log {
    stored: Vec<Stored>,
    last: HashMap<StreamId, Position>,
    by_command: HashMap<CommandId, Position>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Stored {
    stream: StreamId,
    /// None where it was drawn for this once, or a foreign hand has written it.
    command: Option<CommandId>,
    payload: Bytes,
    chain: Chain,
    trace: Option<String>,
    /// As its readers get it, decoded for the first of them.
    entry: OnceLock<Entry>,
}

#[derive(Debug, thiserror::Error)]
#[error("told to fail")]
struct Told;

impl MemoryJournal {
    /// Lets the next append that would succeed meet `fault`; called again, the one after it.
    pub fn fail_next(&self, fault: Fault) {
        locked(&self.inner.log).faults.push(fault);
    }

    /// Lets the window of duplicates pass: no command that came so far is known as one any more.
    pub fn forget_commands(&self) {
        locked(&self.inner.log).by_command.clear();
    }

    /// Writes something that is no commit, as a foreign hand would.
    pub fn deface(&self, stream: StreamId, payload: Bytes) -> Position {
        let mut log = locked(&self.inner.log);
        let position = log.push(Stored {
            stream,
            command: None,
            payload,
            chain: Chain::default(),
            trace: None,
            entry: OnceLock::new(),
        });
        self.inner.written.notify_waiters();
        position
    }

    fn write(&self, append: Append) -> Result<Position, AppendError> {
        let bytes = append.payload.len();
        if bytes > COMMIT_BYTES_MAX {
            return Err(AppendError::TooLarge {
                bytes,
                bytes_max: COMMIT_BYTES_MAX,
            });
        }
        let mut log = locked(&self.inner.log);
        let last = log.last.get(&append.stream).copied().unwrap_or_default();
        // The expectation first and the duplicate after it, as JetStream does with one replica.
        if last != append.expected {
            return Err(AppendError::Conflict {
                stream: append.stream,
            });
        }
        if let Some(position) = log.by_command.get(&append.id) {
            return Err(AppendError::Duplicate(*position));
        }
        let fault = (!log.faults.is_empty()).then(|| log.faults.remove(0));
        match fault {
            Some(Fault::Unavailable) => return Err(AppendError::Unavailable(Told.into())),
            Some(Fault::LostRequest) => return Err(AppendError::Unknown(Told.into())),
            Some(Fault::LostAnswer) | None => {}
        }
        let position = log.push(Stored {
            stream: append.stream,
            command: (!append.id.is_drawn()).then_some(append.id),
            payload: append.payload,
            chain: append.chain,
            trace: append.trace,
            entry: OnceLock::new(),
        });
        if !append.id.is_drawn() {
            log.by_command.insert(append.id, position);
        }
        self.inner.written.notify_waiters();
        match fault {
            Some(_) => Err(AppendError::Unknown(Told.into())),
            None => Ok(position),
        }
    }

    /// What `of` makes of everything that is stored behind `after`, for ever.
    fn follow<T: Send + 'static>(
        &self,
        after: Position,
        of: fn(&Stored, Position) -> T,
    ) -> BoxStream<'static, T> {
        let journal = self.clone();
        stream::unfold((journal, after, of), async |(journal, after, of)| {
            let made = journal.wait_behind(after, of).await;
            let last = Position(after.0 + made.len() as u64);
            Some((stream::iter(made), (journal, last, of)))
        })
        .flatten()
        .boxed()
    }

    async fn wait_behind<T>(&self, after: Position, of: fn(&Stored, Position) -> T) -> Vec<T> {
        loop {
            // Made before the look, so that what is written behind the look is not missed.
            let written = self.inner.written.notified();
            let made = self.behind(after, of);
            if !made.is_empty() {
                return made;
            }
            written.await;
        }
    }

    fn behind<T>(&self, after: Position, of: fn(&Stored, Position) -> T) -> Vec<T> {
        let log = locked(&self.inner.log);
        let skip = usize::try_from(after.0).unwrap_or(usize::MAX);
        let behind = log.stored.iter().enumerate().skip(skip);
        let made = behind.map(|(index, stored)| of(stored, Position(index as u64 + 1)));
        made.take(READ_COMMITS_MAX).collect()
    }
}

impl Log {
    fn push(&mut self, stored: Stored) -> Position {
        let position = Position(self.stored.len() as u64 + 1);
        self.last.insert(stored.stream.clone(), position);
        self.stored.push(stored);
        position
    }
}

impl Stored {
    fn commit(&self, position: Position) -> Result<Commit, ReadError> {
        match self.entry(position) {
            Entry::Commit(commit) => Ok(Commit::clone(&commit)),
            Entry::Unreadable { position, reason } => {
                Err(ReadError::Unreadable { position, reason })
            }
        }
    }

    fn raw(&self, position: Position) -> RawCommit {
        RawCommit {
            position,
            stream: self.stream.to_string(),
            command: self.command.map(|id| id.to_string()).unwrap_or_default(),
            chain: self.chain.to_string(),
            trace: self.trace.clone().unwrap_or_default(),
            payload: self.payload.clone(),
        }
    }

    fn entry(&self, position: Position) -> Entry {
        let decode = || {
            let (stream, trace) = (self.stream.clone(), self.trace.clone());
            match Commit::decode(position, stream, self.chain, trace, &self.payload) {
                Ok(commit) => Entry::Commit(Arc::new(commit)),
                Err(error) => Entry::Unreadable {
                    position,
                    reason: error.to_string(),
                },
            }
        };
        self.entry.get_or_init(decode).clone()
    }
}

impl Journal for MemoryJournal {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        // Yielding lets the writers of a test meet each other.
        async {
            tokio::task::yield_now().await;
            self.write(append)
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
    ) -> BoxStream<'_, Result<Commit, ReadError>> {
        let log = locked(&self.inner.log);
        let numbered = log.stored.iter().enumerate();
        let behind = numbered
            .map(|(index, stored)| (Position(index as u64 + 1), stored))
            .filter(|(position, stored)| *position > after && stored.stream == *stream);
        let commits: Vec<_> = behind
            .map(|(position, stored)| stored.commit(position))
            .collect();
        stream::iter(commits).boxed()
    }

    fn read_all(&self, after: Position) -> BoxStream<'static, Entry> {
        self.follow(after, Stored::entry)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        let commits = locked(&self.inner.log).stored.len();
        ready(Ok(Position(commits as u64))).boxed()
    }
}

impl RawTail for MemoryJournal {
    fn follow_raw(&self, after: Position) -> BoxStream<'static, RawCommit> {
        self.follow(after, Stored::raw)
    }

    fn raw_end(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        self.head()
    }
}

impl RawJournal for MemoryJournal {
    fn read_raw(
        &self,
        after: Position,
        to: Position,
    ) -> BoxStream<'static, Result<RawCommit, ReadError>> {
        let log = locked(&self.inner.log);
        let numbered = log
            .stored
            .iter()
            .zip(1..)
            .map(|(stored, position)| (Position(position), stored));
        let wanted = numbered.filter(|(position, _)| *position > after && *position <= to);
        let raw: Vec<_> = wanted
            .map(|(position, stored)| Ok(stored.raw(position)))
            .collect();
        stream::iter(raw).boxed()
    }

    fn raw_head(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        self.head()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::contract::Fixture;

    async fn fixture(claim: &str) -> Fixture {
        Fixture::new(Arc::new(MemoryJournal::default()), claim)
    }

    crate::journal_contract!(fixture);

    #[tokio::test]
    async fn a_lost_answer_leaves_the_commit_and_a_lost_request_leaves_none() {
        let journal = MemoryJournal::default();
        let fixture = Fixture::new(Arc::new(journal.clone()), "faults");
        journal.fail_next(Fault::LostAnswer);
        journal.fail_next(Fault::LostRequest);
        let first = journal
            .append(fixture.append("a", Position::START, 1))
            .await;
        assert!(matches!(first, Err(AppendError::Unknown(_))), "{first:?}");
        let second = journal
            .append(fixture.append("b", Position::START, 2))
            .await;
        assert!(matches!(second, Err(AppendError::Unknown(_))), "{second:?}");
        assert_eq!(journal.head().await.ok(), Some(Position(1)));
    }

    #[tokio::test]
    async fn a_command_is_no_duplicate_once_the_window_has_passed() {
        let journal = MemoryJournal::default();
        let fixture = Fixture::new(Arc::new(journal.clone()), "window");
        let first = fixture.append("a", Position::START, 1);
        let again = Append {
            expected: Position(1),
            ..first.clone()
        };
        journal.append(first).await.expect("appended");
        let known = journal.append(again.clone()).await;
        assert!(matches!(known, Err(AppendError::Duplicate(Position(1)))));
        journal.forget_commands();
        assert_eq!(journal.append(again).await.ok(), Some(Position(2)));
    }

    #[tokio::test]
    async fn what_is_no_commit_is_met_as_unreadable() {
        let journal = MemoryJournal::default();
        let fixture = Fixture::new(Arc::new(journal.clone()), "unreadable");
        journal.deface(fixture.stream("a"), Bytes::from_static(b"{}"));
        let entry = journal.read_all(Position::START).next().await;
        assert!(matches!(
            entry,
            Some(Entry::Unreadable {
                position: Position(1),
                ..
            })
        ));
    }
}
