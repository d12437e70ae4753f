//! The office: the task that keeps the board up with the journal, serves claims and ends attempts.
//!
//! Reads the journal from where the read model of open jobs stands, and appends only through the
//! handler of jobs. An entry that cannot be read leaves its own job as it was, visibly; the others go on.

mod appends;
mod term;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use domain::job::Job;
use domain::queue::Queue;
use domain::{Position, Tenant, Timestamp, Token};
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use self::term::Term;
use super::board::WaitingJob;
use super::ready::JobKey;
use super::{Beat, Claim, Depth, Dispatch, DispatchError, HandedOut};
use crate::journal::BoxError;
use crate::office::Office;
use crate::{Clock, Handler, Journal, ReadError};

/// Questions that may wait for the office.
const ASKS_MAX: usize = 10_000;

/// The first and the longest wait after an error; each is twice the one before.
const RETRY_MS: (u64, u64) = (100, 3_000);

/// The jobs that wait or run, as somebody else has folded them.
pub trait OpenJobs: Send + Sync + 'static {
    /// All of them, at one position.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BoxError>>;
}

/// The jobs that wait or run.
#[derive(Debug, Default)]
pub struct Loaded {
    /// How far the journal was read for them.
    pub position: Position,
    /// The jobs, in the order in which they are to be handed out.
    pub jobs: Vec<OpenJob>,
    /// The queues that anything was said of.
    pub queues: Vec<(Tenant, Token, Queue)>,
}

/// A job that waits or runs.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenJob {
    /// Its tenant and id.
    pub job: JobKey,
    /// How it waits, or waited before it ran.
    pub waiting: WaitingJob,
    /// Since when the last attempt runs, if it does.
    pub running_since: Option<Timestamp>,
}

/// Nothing is known but the journal itself, which is read from its beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct FromTheStart;

/// The dispatcher of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    asks: mpsc::Sender<Ask>,
    in_office: watch::Receiver<bool>,
}

/// What the office needs.
#[derive(Clone)]
pub struct Parts {
    /// The log.
    pub journal: Arc<dyn Journal>,
    /// Through which everything is appended.
    pub jobs: Arc<Handler<Job>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where to begin.
    pub open: Arc<dyn OpenJobs>,
    /// Who may begin.
    pub office: Arc<dyn Office>,
}

#[derive(Debug)]
pub(super) enum Ask {
    Claim(Claim, oneshot::Sender<Answer<Vec<HandedOut>>>),
    Beat(Beat, oneshot::Sender<Answer<Option<Timestamp>>>),
    Depths(Tenant, oneshot::Sender<Answer<Vec<(Token, Depth)>>>),
    GiveBack(Claim, Vec<HandedOut>),
}

type Answer<T> = Result<T, DispatchError>;

/// Why a term ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the office was lost")]
    Lost,
    #[error("enter the office")]
    Enter(#[source] BoxError),
    #[error("load the open jobs")]
    Load(#[source] BoxError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the journal ended")]
    NoMoreEntries,
    #[error("nobody asks any more")]
    NobodyAsks,
}

impl Dispatcher {
    /// A dispatcher, and the task that it is: it runs until it is dropped, and gets over every error
    /// by itself.
    pub fn new(parts: Parts) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let (is_in_office, in_office) = watch::channel(false);
        let dispatcher = Self { asks, in_office };
        (dispatcher, run(parts, asked, is_in_office))
    }

    /// Whether it is in office, as it changes.
    #[must_use]
    pub fn in_office(&self) -> watch::Receiver<bool> {
        self.in_office.clone()
    }

    /// Jobs of `claim` did not reach their worker: they wait again. Where the office was lost
    /// meanwhile, they wait for the end of their leases.
    pub fn give_back(&self, claim: Claim, jobs: Vec<HandedOut>) {
        if let Err(error) = self.asks.try_send(Ask::GiveBack(claim, jobs)) {
            tracing::warn!(%error, "jobs are left to the end of their leases");
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Answer<T>>) -> Ask) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let sent = self.asks.try_send(ask(answer));
        sent.map_err(|error| match error {
            TrySendError::Full(_) => DispatchError::TooManyClaims,
            TrySendError::Closed(_) => DispatchError::NotInOffice,
        })?;
        answered.await.unwrap_or(Err(DispatchError::NotInOffice))
    }
}

impl Dispatch for Dispatcher {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Answer<Vec<HandedOut>>> {
        self.ask(|answer| Ask::Claim(claim, answer)).boxed()
    }

    fn beat(&self, beat: Beat) -> BoxFuture<'_, Answer<Option<Timestamp>>> {
        self.ask(|answer| Ask::Beat(beat, answer)).boxed()
    }

    fn depths<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, Answer<Vec<(Token, Depth)>>> {
        self.ask(|answer| Ask::Depths(tenant.clone(), answer))
            .boxed()
    }
}

impl OpenJobs for FromTheStart {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BoxError>> {
        std::future::ready(Ok(Loaded::default())).boxed()
    }
}

async fn run(parts: Parts, mut asked: mpsc::Receiver<Ask>, in_office: watch::Sender<bool>) {
    let mut retry_ms = RETRY_MS.0;
    loop {
        let begun = tokio::time::Instant::now();
        let ended = one_term(&parts, &mut asked, &in_office).await;
        in_office.send_replace(false);
        let ended = match ended {
            Ok(never) => match never {},
            Err(Ended::NobodyAsks) => return,
            Err(ended) => ended,
        };
        if begun.elapsed() > Duration::from_millis(RETRY_MS.1) {
            retry_ms = RETRY_MS.0;
        }
        tracing::warn!(
            error = &ended as &dyn std::error::Error,
            retry_ms,
            "term of the dispatcher ended"
        );
        let pause = tokio::time::sleep(Duration::from_millis(retry_ms));
        if while_turning_away(&mut asked, pause).await.is_err() {
            return;
        }
        retry_ms = (retry_ms * 2).min(RETRY_MS.1);
    }
}

async fn one_term(
    parts: &Parts,
    asked: &mut mpsc::Receiver<Ask>,
    is_in_office: &watch::Sender<bool>,
) -> Result<std::convert::Infallible, Ended> {
    let in_office = while_turning_away(asked, parts.office.enter()).await?;
    let in_office = in_office.map_err(Ended::Enter)?;
    let beginning = Term::begin(parts, in_office.lost.clone());
    let term = while_turning_away(asked, beginning).await??;
    tracing::info!(
        position = term.position.0,
        open_jobs = term.open_jobs(),
        "dispatcher is in office"
    );
    is_in_office.send_replace(true);
    term.serve(asked).await
}

/// Answers that nobody is in office, until `until` is there.
async fn while_turning_away<T>(
    asked: &mut mpsc::Receiver<Ask>,
    until: impl Future<Output = T>,
) -> Result<T, Ended> {
    let mut until = std::pin::pin!(until);
    loop {
        tokio::select! {
            biased;
            done = &mut until => return Ok(done),
            ask = asked.recv() => match ask.ok_or(Ended::NobodyAsks)? {
                // Whoever has gone away misses no answer.
                Ask::Claim(_, answer) => drop(answer.send(Err(DispatchError::NotInOffice))),
                Ask::Beat(_, answer) => drop(answer.send(Err(DispatchError::NotInOffice))),
                Ask::Depths(_, answer) => drop(answer.send(Err(DispatchError::NotInOffice))),
                Ask::GiveBack(..) => tracing::warn!("jobs are left to the end of their leases"),
            },
        }
    }
}
