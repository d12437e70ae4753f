//! Reactions: what follows from a fact without anybody asking for it.
//!
//! - [`react`]: from a fact to its effects; pure, one place for all of them.
//! - [`batches`]: when it is looked whether a batch is over.
//! - [`effects`]: carries an effect out, as commands through the handlers.
//! - [`command`]: a command of the reactor, and what becomes of it.
//! - [`timetable`]: which schedule has its next time when; pure.
//! - [`term`]: the task that follows the journal, lets effects follow and fires what is due.
//!
//! One reactor is in office at a time. It keeps one number, its checkpoint: everything up to it has had
//! its effects. The checkpoint is written behind them, so after a crash some are carried out again; each is
//! harmless the second time, because its command has an id made from the fact's position, and says
//! nothing that is not so already. Two reactors that both believe to be in office are harmless for the
//! same reason.
//!
//! Deliberately absent: timers in a broker. When a schedule is due next is a function of its state; a
//! second copy in a stream would have to be reconciled with the journal after every crash (ADR 7).

pub mod batches;
mod command;
pub mod effects;
mod react;
mod term;
#[cfg(test)]
mod tests;
pub mod timetable;

use std::sync::Arc;
use std::time::Duration;

use domain::batch::Batch;
use domain::job::Job;
use domain::schedule::Schedule;
use domain::{Position, StreamId, Timestamp};
use futures_util::future::{BoxFuture, FutureExt as _};

use self::batches::CountJobs;
pub use self::react::{Effect, Reaction, react};
use self::term::Term;
use crate::journal::BoxError;
use crate::office::Office;
use crate::{Clock, Handler, Journal, ReadError};

/// The first and the longest wait after an error; each is twice the one before.
const RETRY_MS: (u64, u64) = (100, 3_000);

/// How far the effects have come.
pub trait Checkpoint: Send + Sync + 'static {
    /// Everything up to it has had its effects; the journal's beginning, where none was ever saved.
    fn load(&self) -> BoxFuture<'_, Result<Position, BoxError>>;

    /// Never takes it back.
    fn save(&self, position: Position) -> BoxFuture<'_, Result<(), BoxError>>;
}

/// When the schedules are due, as somebody else has folded them.
pub trait DueSchedules: Send + Sync + 'static {
    /// All that decide on something, at one position.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BoxError>>;
}

/// The schedules that decide on something.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// How far the journal was read for them.
    pub position: Position,
    /// Each with its next time, which may have passed.
    pub next: Vec<(StreamId, Timestamp)>,
}

/// Nothing is known but the journal itself, which is read from its beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct FromTheStart;

/// What the reactor needs. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// The log.
    pub journal: Arc<dyn Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Through which jobs are enqueued and cancelled.
    pub jobs: Arc<Handler<Job>>,
    /// Through which schedules fire and are told of the end of their runs.
    pub schedules: Arc<Handler<Schedule>>,
    /// Through which batches are completed.
    pub batches: Arc<Handler<Batch>>,
    /// Who knows whether all jobs of a batch have ended.
    pub count: Arc<dyn CountJobs>,
    /// How far the effects have come.
    pub checkpoint: Arc<dyn Checkpoint>,
    /// What is due when.
    pub due: Arc<dyn DueSchedules>,
    /// Who may react.
    pub office: Arc<dyn Office>,
}

/// Why a term ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the office was lost")]
    Lost,
    #[error("enter the office")]
    Enter(#[source] BoxError),
    #[error("load the checkpoint")]
    Checkpoint(#[source] BoxError),
    #[error("load the schedules")]
    Due(#[source] BoxError),
    #[error("save the checkpoint")]
    Save(#[source] BoxError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the journal ended")]
    NoMoreEntries,
    #[error("an effect could not be carried out")]
    Effect(#[source] BoxError),
}

/// Reacts until it is dropped, and gets over every error by itself.
pub async fn run(parts: Parts) {
    let mut retry_ms = RETRY_MS.0;
    loop {
        let begun = tokio::time::Instant::now();
        let ended = match one_term(&parts).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        if begun.elapsed() > Duration::from_millis(RETRY_MS.1) {
            retry_ms = RETRY_MS.0;
        }
        tracing::warn!(
            error = &ended as &dyn std::error::Error,
            retry_ms,
            "term of the reactor ended"
        );
        tokio::time::sleep(Duration::from_millis(retry_ms)).await;
        retry_ms = (retry_ms * 2).min(RETRY_MS.1);
    }
}

async fn one_term(parts: &Parts) -> Result<std::convert::Infallible, Ended> {
    let in_office = parts.office.enter().await.map_err(Ended::Enter)?;
    let term = Term::begin(parts).await?;
    tracing::info!(
        position = term.checkpoint().0,
        schedules = term.schedules(),
        "reactor is in office"
    );
    tokio::select! {
        biased;
        () = in_office.lost.cancelled() => Err(Ended::Lost),
        ended = term.serve() => ended,
    }
}

impl DueSchedules for FromTheStart {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BoxError>> {
        std::future::ready(Ok(Loaded::default())).boxed()
    }
}
