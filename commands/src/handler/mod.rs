//! The handler: load, decide, append; decide again when another writer was first.
//!
//! Reads and appends to the journal; asks [`Receipts`] for what a retry was answered; keeps a bounded
//! cache of states, so that the hot path is one append. One handler serves one kind of aggregate.
//!
//! Invariants:
//! - A state in the cache is the fold of a beginning of its stream, never of anything else.
//! - A refusal is given only after the newest commit was looked at.
//! - A command that is known by its id is never decided twice: its first receipt is the answer.
//! - Within one process the commands on one aggregate take turns; between processes the journal's
//!   expectation decides.
//!
//! Deliberately absent: retries of a command whose outcome stays unknown. That is the client's to
//! decide, and its idempotency key makes it harmless.

mod cache;
mod earlier;
mod loaded;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Aggregate, CommandId, Context, Event as _, NewCommit, OccurredInFuture, Position, Refusal as _,
    StreamId,
};
use fail::fail_point;
use futures_util::FutureExt as _;
use quick_cache::sync::Cache;
use tokio::sync::Mutex;
use tracing::Instrument as _;

use self::loaded::Loaded;
use crate::journal::BoxError;
use crate::{
    Append, AppendError, Clock, Journal, ReadError, Receipt, Receipts, Request, Snapshots, chain,
};

/// How often a command is decided because another process wrote first. Commands of one process take
/// turns, so this is about as many processes as may fight for one aggregate before it is called contended.
const ATTEMPTS_MAX: usize = 32;

/// How much longer a loser may wait for its next attempt with every one it lost, at the most: about
/// the time of one durable append, so that two processes do not go on losing to each other in step.
const PAUSE_STEP_US_MAX: u64 = 500;

/// Decides on commands for aggregates of one kind.
pub struct Handler<A: Aggregate> {
    journal: Arc<dyn Journal>,
    receipts: Arc<dyn Receipts>,
    snapshots: Arc<dyn Snapshots>,
    clock: Arc<dyn Clock>,
    cache: Cache<StreamId, Arc<Mutex<Option<Loaded<A>>>>>,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure<R> {
    /// A rule said no.
    #[error(transparent)]
    Refused(R),
    /// The client decided on another version than the newest.
    #[error("aggregate is at version `{actual}`")]
    VersionMismatch {
        /// The newest version.
        actual: u64,
    },
    /// The command's key stands for another request.
    #[error("idempotency key was used for another request")]
    KeyReused,
    /// It cannot have happened yet.
    #[error(transparent)]
    OccurredInFuture(#[from] OccurredInFuture),
    /// The commit is larger than the journal takes.
    #[error("commit has `{bytes}` bytes, more than the limit of `{bytes_max}`")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Other writers were first too often.
    #[error("aggregate was changed by others `{attempts}` times in a row")]
    Contended {
        /// How often it was tried.
        attempts: usize,
    },
    /// The journal did not answer; the command may have been carried out, and a retry with the same
    /// key will tell.
    #[error("journal is not available")]
    Unavailable(#[source] BoxError),
}

impl<A: Aggregate> Handler<A> {
    /// A handler over these ports.
    #[must_use]
    pub fn new(
        journal: Arc<dyn Journal>,
        receipts: Arc<dyn Receipts>,
        snapshots: Arc<dyn Snapshots>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            journal,
            receipts,
            snapshots,
            clock,
            cache: cache::cache(),
        }
    }

    /// Carries out `request` on the aggregate of `stream`.
    ///
    /// # Errors
    /// See [`Failure`]. Only after [`Failure::Unavailable`] may the command have been carried out.
    pub fn handle(
        &self,
        stream: &StreamId,
        request: Request<A::Command>,
    ) -> impl Future<Output = Result<Receipt, Failure<A::Refusal>>> + Send {
        // The attribute would have room for two of the future, of which there may be ten thousand.
        let span = tracing::debug_span!("command.handle", %stream, command = %request.id);
        self.carry_out(stream, request).instrument(span)
    }

    async fn carry_out(
        &self,
        stream: &StreamId,
        request: Request<A::Command>,
    ) -> Result<Receipt, Failure<A::Refusal>> {
        let context = Context::occurred(self.clock.now(), request.occurred_at)?;
        let mut earlier_after = None;
        if request.keyed {
            let lookup = self.receipts.find(&stream.tenant, request.id).await;
            match lookup.known {
                Some(known) if known.request == request.digest => return Ok(known.receipt),
                Some(_) => return Err(Failure::KeyReused),
                None => earlier_after = Some(lookup.read_to),
            }
        }
        let entry = self.entry(stream);
        let mut slot = entry.lock().await;
        let outcome = self
            .decide(stream, &request, &context, earlier_after, &mut slot)
            .await;
        if let Err(Failure::Unavailable(_)) = outcome {
            // What stands on the stream now is not known: the next command reads it.
            *slot = None;
        }
        outcome
    }

    /// The state of `stream`, with everything up to `position` in it.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn state(&self, stream: &StreamId, position: Position) -> Result<A, ReadError> {
        let entry = self.entry(stream);
        let mut slot = entry.lock().await;
        let loaded = match &mut *slot {
            Some(loaded) => loaded,
            None => slot.insert(Loaded::load(stream, &*self.journal, &*self.snapshots).await?),
        };
        if loaded.position < position
            && let Err(error) = loaded.read_on(stream, &*self.journal).await
        {
            // It may have taken in half a commit.
            *slot = None;
            return Err(error);
        }
        Ok(loaded.state.clone())
    }

    fn entry(&self, stream: &StreamId) -> Arc<Mutex<Option<Loaded<A>>>> {
        self.cache
            .get_or_insert_with(stream, || Ok::<_, std::convert::Infallible>(Arc::default()))
            .unwrap_or_else(|never| match never {})
    }

    async fn decide(
        &self,
        stream: &StreamId,
        request: &Request<A::Command>,
        context: &Context,
        earlier_after: Option<Position>,
        slot: &mut Option<Loaded<A>>,
    ) -> Result<Receipt, Failure<A::Refusal>> {
        let mut fresh = false;
        let loaded = match slot {
            Some(loaded) => loaded,
            // What could begin an aggregate most likely does: reading a stream that is not there
            // would cost as much as the append, which finds out by itself.
            None if Self::begins(request, context) => slot.insert(Loaded::empty()),
            None => {
                fresh = true;
                // Most commands find their state in memory, so that this is worth a place of its own.
                let loading = Loaded::load(stream, &*self.journal, &*self.snapshots).boxed();
                slot.insert(loading.await?)
            }
        };
        if let Some(after) = earlier_after
            && let Some(receipt) = self.find_earlier(stream, request, after, loaded).await?
        {
            return Ok(receipt);
        }
        for attempt in 1..=ATTEMPTS_MAX {
            let decided = loaded
                .state
                .decide(&request.command, context)
                .map_err(Failure::Refused);
            let decided = match (request.expected_version, decided) {
                // What is not there has no version that could be another one.
                (_, Err(Failure::Refused(refusal))) if refusal.is_unknown() => {
                    Err(Failure::Refused(refusal))
                }
                (Some(expected), _) if expected != loaded.version => {
                    Err(Failure::VersionMismatch {
                        actual: loaded.version,
                    })
                }
                (_, decided) => decided,
            };
            let events = match decided {
                Ok(events) if !events.is_empty() => events,
                // The cache may lag behind another process: a refusal, and an answer that nothing
                // is to be done, count only on the newest state.
                _ if !fresh => {
                    fresh = true;
                    match self.advance(stream, request, loaded).await? {
                        Some(receipt) => return Ok(receipt),
                        None => continue,
                    }
                }
                Ok(_) => return Ok(loaded.unchanged(stream, request.id)),
                Err(refusal) => return Err(refusal),
            };
            match self
                .append(stream, request, context, &events, loaded)
                .await?
            {
                Some(receipt) => return Ok(receipt),
                None => fresh = true,
            }
            tokio::time::sleep(pause(request.id, attempt)).await;
        }
        Err(Failure::Contended {
            attempts: ATTEMPTS_MAX,
        })
    }

    /// Whether the command brings about events where there are none yet.
    fn begins(request: &Request<A::Command>, context: &Context) -> bool {
        let decided = A::default().decide(&request.command, context);
        request.expected_version.is_none() && decided.is_ok_and(|events| !events.is_empty())
    }

    /// Writes `events`. No receipt means that another writer was first, and `loaded` has caught up.
    async fn append(
        &self,
        stream: &StreamId,
        request: &Request<A::Command>,
        context: &Context,
        events: &[A::Event],
        loaded: &mut Loaded<A>,
    ) -> Result<Option<Receipt>, Failure<A::Refusal>> {
        let payload = NewCommit {
            id: request.id,
            at: context.now(),
            occurred_at: context.occurred_at(),
            actor: &request.actor,
            correlation: request.correlation.as_ref(),
            causation: request.causation,
            request: request.digest,
            version: loaded.version,
            events,
        }
        .encode()
        .map_err(|source| Failure::Unavailable(source.into()))?;
        let chain = chain::extend(loaded.chain, &payload);
        let append = Append {
            stream: stream.clone(),
            expected: loaded.position,
            id: request.id,
            payload: Bytes::from(payload),
            chain,
            trace: request.trace.clone(),
        };
        match self.journal.append(append).await {
            Ok(position) => {
                fail_point!("command-appended", |_| std::process::abort());
                for event in events {
                    loaded.state.evolve(event, context.happened_at());
                }
                loaded.went_to(position, chain, request.id, events.len());
                loaded.save_if_long(stream, &self.snapshots);
                Ok(Some(Receipt {
                    id: stream.id.to_string(),
                    version: loaded.version,
                    position,
                    command: request.id,
                    events: events.iter().map(|event| event.name().to_owned()).collect(),
                    unchanged: false,
                }))
            }
            Err(AppendError::Conflict { .. }) => self.advance(stream, request, loaded).await,
            Err(AppendError::Unknown(source)) => {
                // Written or not: the stream itself tells, if it can be read.
                match self.advance(stream, request, loaded).await? {
                    Some(receipt) => Ok(Some(receipt)),
                    None => Err(Failure::Unavailable(source)),
                }
            }
            Err(AppendError::Duplicate(position)) => {
                self.receipt_at(position, stream, request).await.map(Some)
            }
            Err(AppendError::TooLarge { bytes, bytes_max }) => {
                Err(Failure::TooLarge { bytes, bytes_max })
            }
            Err(AppendError::Unavailable(source)) => Err(Failure::Unavailable(source)),
        }
    }
}

/// Grows with the attempts, and differs from command to command.
fn pause(command: CommandId, attempt: usize) -> Duration {
    let (_, spread) = command.0.as_u64_pair();
    Duration::from_micros(spread.rotate_left(attempt as u32) % (PAUSE_STEP_US_MAX * attempt as u64))
}

impl<R> From<ReadError> for Failure<R> {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.into())
    }
}
