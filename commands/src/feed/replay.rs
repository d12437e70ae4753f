//! Audit replay: any slice of the journal again, as the same CloudEvents, on a subject of its own.
//!
//! It reads the journal and not the feed, so it shows what was decided even where the feed was lost.
//! A replay ends with the commit that was the last when it began. Dropping it cancels it: then no end
//! is announced.

use std::time::Duration;

use domain::{Entry, Position, Tenant, Timestamp, Token};
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{FeedEvent, FeedFilter};
use crate::journal::{BoxError, Journal, ReadError};

/// Commits that are looked at together: enough to hide the way to the server.
const BATCH_COMMITS_MAX: usize = 512;

/// Where a replay is sent: `replay.<tenant>.<name>.<category>.<event>.<id>`.
pub trait ReplaySink: Send + Sync + 'static {
    /// Sends `events` to the listeners of the replay `name`, in order.
    ///
    /// # Errors
    /// When they could not be handed over.
    fn send<'a>(
        &'a self,
        name: &'a Token,
        events: Vec<FeedEvent>,
    ) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Tells the listeners that the replay is over, and how many events it had.
    ///
    /// # Errors
    /// When it could not be handed over.
    fn end<'a>(
        &'a self,
        tenant: &'a Tenant,
        name: &'a Token,
        events: u64,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// What to replay, and how fast.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The replay's name, by which listeners choose it.
    pub name: Token,
    /// Which events.
    pub filter: FeedFilter,
    /// Only commits behind this one.
    pub after: Position,
    /// Up to this commit; none for the journal's last.
    pub until: Option<Position>,
    /// Only what was recorded at this time or later.
    pub recorded_from: Option<Timestamp>,
    /// Only what was recorded before this time.
    pub recorded_until: Option<Timestamp>,
    /// How fast.
    pub pace: Pace,
}

/// How fast a replay goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as it can be read.
    Full,
    /// The events' own times apart, so many times faster: at 60, an hour takes a minute.
    Times(f64),
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last commit that was looked at.
    pub position: Position,
    /// The last commit that will be.
    pub until: Position,
    /// Events sent so far.
    pub events: u64,
    /// Whether the end was announced.
    pub ended: bool,
}

/// Why a replay broke off.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal could not be read, or an entry in the slice is no commit.
    #[error("replay")]
    Read(#[source] ReadError),
    /// The listeners could not be reached.
    #[error("replay: send")]
    Send(#[source] BoxError),
    /// A pace that is not a positive number.
    #[error("replay: pace must be a positive number")]
    Pace,
}

impl Replay {
    /// Runs to the end of the slice, and returns how many events it had.
    ///
    /// # Errors
    /// See [`ReplayError`]; listeners then meet no end.
    pub async fn run(
        &self,
        journal: &dyn Journal,
        sink: &dyn ReplaySink,
        progress: &watch::Sender<Progress>,
    ) -> Result<u64, ReplayError> {
        let mut pacer = Pacer::new(self.pace)?;
        let head = journal.head().await.map_err(ReplayError::Read)?;
        let until = self.until.map_or(head, |until| until.min(head));
        let mut position = self.after;
        let mut sent = 0;
        let mut batches = journal.read_all(self.after).ready_chunks(BATCH_COMMITS_MAX);
        while position < until {
            let Some(entries) = batches.next().await else {
                return Err(ReplayError::Read(ReadError::Unavailable(
                    "the journal ended".into(),
                )));
            };
            position = entries.last().map_or(position, Entry::position).min(until);
            for events in pacer.cut(self.slice(entries, until)?) {
                pacer.wait_for(&events).await;
                sent += events.len() as u64;
                let handed = sink.send(&self.name, events).await;
                handed.map_err(ReplayError::Send)?;
            }
            progress.send_replace(Progress {
                position,
                until,
                events: sent,
                ended: false,
            });
        }
        let told = sink.end(&self.filter.tenant, &self.name, sent).await;
        told.map_err(ReplayError::Send)?;
        progress.send_replace(Progress {
            position,
            until,
            events: sent,
            ended: true,
        });
        Ok(sent)
    }

    /// The events of `entries` that were asked for.
    fn slice(&self, entries: Vec<Entry>, until: Position) -> Result<Vec<FeedEvent>, ReplayError> {
        let mut events = Vec::new();
        for entry in entries {
            let position = entry.position();
            if position > until {
                break;
            }
            let unreadable = |reason| ReplayError::Read(ReadError::Unreadable { position, reason });
            let commit = match entry {
                Entry::Commit(commit) => commit,
                Entry::Unreadable { reason, .. } => return Err(unreadable(reason)),
            };
            let at = commit.payload.at;
            let is_early = self.recorded_from.is_some_and(|from| at < from);
            let is_late = self.recorded_until.is_some_and(|until| at >= until);
            if is_early || is_late || commit.stream.tenant != self.filter.tenant {
                continue;
            }
            let of_commit = FeedEvent::of_commit(&commit);
            let of_commit = of_commit.map_err(|error| unreadable(error.to_string()))?;
            events.extend(of_commit.into_iter().filter(|e| self.filter.passes(e)));
        }
        Ok(events)
    }
}

/// Keeps the events' times apart.
struct Pacer {
    factor: Option<f64>,
    began: Option<(Instant, Timestamp)>,
}

impl Pacer {
    fn new(pace: Pace) -> Result<Self, ReplayError> {
        let factor = match pace {
            Pace::Full => None,
            Pace::Times(factor) if factor.is_finite() && factor > 0.0 => Some(factor),
            Pace::Times(_) => return Err(ReplayError::Pace),
        };
        Ok(Self {
            factor,
            began: None,
        })
    }

    /// What is sent together: everything at full speed, one event at a time otherwise.
    fn cut(&self, events: Vec<FeedEvent>) -> Vec<Vec<FeedEvent>> {
        match self.factor {
            None if events.is_empty() => Vec::new(),
            None => vec![events],
            Some(_) => events.into_iter().map(|event| vec![event]).collect(),
        }
    }

    /// Waits until it is time for the first of `events`; one from an earlier time does not wait.
    async fn wait_for(&mut self, events: &[FeedEvent]) {
        let (Some(factor), Some(event)) = (self.factor, events.first()) else {
            return;
        };
        let (began, first) = *self.began.get_or_insert((Instant::now(), event.time));
        let since_first_s = event.time.duration_since(first).as_secs_f64() / factor;
        let since_first = Duration::try_from_secs_f64(since_first_s).unwrap_or_default();
        // A slice of thousands of years, slowed down, does not fit: then it is never time.
        match began.checked_add(since_first) {
            Some(time) => tokio::time::sleep_until(time).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
