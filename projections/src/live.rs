//! The runner: one reader and one transaction for all live models, so that the read side is at one
//! position.
//!
//! A batch is what has come since the last one: a lone commit goes through at once, and under load
//! batches follow each other at a pace, so that they grow. The writes of all models and the move of
//! the position are one statement, and so one transaction; an error drops everything in memory and
//! begins a new term from what the database says. There is no state here that the database does not
//! have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::Position;
use fail::fail_point;
use sqlx::postgres::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::checkpoint;
use crate::fact::Facts;
use crate::fold::{Model, Poisoned, Slot};
use crate::intake::{Gather, Intake};
use crate::model::Poison;
use crate::postgres::Postgres;
use crate::source::Source;
use crate::store::{Rebuilds, Session, Store};
use crate::table::Writes;

/// How many commits one transaction takes. What changes several times within a batch is written once, so
/// large ones are cheap; the limit is for memory, and for how long nothing is visible meanwhile.
const BATCH_COMMITS_MAX: usize = 20_000;

/// The least time from the beginning of one transaction to that of the next: a lone commit goes
/// through at once, and under load fewer, larger transactions leave the processors to whoever writes.
const PACE: Duration = Duration::from_millis(8);

/// How long a batch gathers more while more keeps coming, for each commit of the batch before and at most. It
/// matters where thousands of commits a second come: then whoever writes them comes first, batches grow, and
/// each row is written less often. Nothing waits once the journal is still, or the batch is full.
const GATHER_PER_COMMIT: Duration = Duration::from_micros(50);
const GATHER_MAX: Duration = Duration::from_secs(1);

/// The first and the longest wait after an error; each is twice the one before.
const RETRY_MS: (u64, u64) = (100, 3_000);

/// How often it is measured how far the read side is behind the journal.
const LAG_MS: u64 = 5_000;

/// How long a rebuild may hold the runner while it folds the last commits and swaps the tables.
const HAND_OVER_MS_MAX: u64 = 30_000;

/// Runs the read side: one process is in office, every other stands by.
pub struct Projector {
    store: Arc<dyn Store>,
    source: Arc<dyn Source>,
    models: Vec<Model>,
}

/// A rebuild that is ready: it folds the rest while the runner stands still.
pub(crate) struct HandOver {
    /// Where the runner stands, and how to let it go on.
    pub(crate) stands: oneshot::Sender<(Position, oneshot::Sender<HandedOver>)>,
}

/// What became of a rebuild.
pub(crate) enum HandedOver {
    /// The model stands where the runner does: it is live.
    Live(Box<dyn Slot>),
    /// The model serves a new table but cannot go on.
    Stopped(&'static str),
}

/// Why a term of office ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("another runner has moved the read side")]
    Fenced,
    #[error("the lease may be somebody else's")]
    LeaseLost,
    #[error("the source of commits ended")]
    NoMoreCommits,
    #[error("a rebuild held the runner for too long")]
    HandOverTooLong,
    /// Not an end: commit and model are found, and the model stopped before the commit.
    #[error("a row cannot be stored")]
    Unstorable(#[source] sqlx::Error),
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        if is_unstorable(&error) {
            Self::Unstorable(error)
        } else {
            Self::Database(error)
        }
    }
}

/// A runner in office.
struct Runner {
    session: Box<dyn Session>,
    term: i64,
    position: Position,
    live: Vec<Box<dyn Slot>>,
    /// The position again, for whoever measures how far behind it is.
    reached: Arc<AtomicU64>,
}

impl Projector {
    /// All models of this crate, fed from `source` into the database of `pool`, which must have been
    /// migrated.
    #[must_use]
    pub fn new(pool: PgPool, source: Arc<dyn Source>) -> Self {
        Self::over(Arc::new(Postgres::new(pool)), source)
    }

    /// The same with another store.
    #[must_use]
    pub fn over(store: Arc<dyn Store>, source: Arc<dyn Source>) -> Self {
        Self {
            store,
            source,
            models: Model::all(),
        }
    }

    /// The same with other models.
    #[must_use]
    pub fn with_models(self, models: Vec<Model>) -> Self {
        Self { models, ..self }
    }

    /// Runs until `stop`. Gets over every error by itself, and may be dropped at any point.
    pub async fn run(self, stop: CancellationToken) {
        let mut retry_ms = RETRY_MS.0;
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.term() => ended,
            };
            // A term that held for a while had no lasting trouble.
            if begun.elapsed() > Duration::from_millis(RETRY_MS.1) {
                retry_ms = RETRY_MS.0;
            }
            metrics::counter!("ledgerline_projection_terms_ended_total").increment(1);
            tracing::warn!(
                error = &ended as &dyn std::error::Error,
                retry_ms,
                "term of the projector ended"
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(retry_ms)) => {}
            }
            retry_ms = (retry_ms * 2).min(RETRY_MS.1);
        }
    }

    /// One term of office, from standing by to its end.
    async fn term(&self) -> Ended {
        match self.hold_office().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn hold_office(&self) -> Result<std::convert::Infallible, Ended> {
        let office = self.store.enter().await?;
        let (term, session) = self.store.begin(&self.models).await?;
        tracing::info!(
            term = term.number, position = term.position.0, live = ?term.live, pending = ?term.pending,
            "read side begins"
        );
        let reads = self.models.iter().map(Model::reads).collect();
        let mut intake = Intake::open(&*self.source, term.position, reads);
        let (hand_over, mut hand_overs) = mpsc::channel(1);
        let rebuilds = self.store.rebuild(Rebuilds {
            source: Arc::clone(&self.source),
            models: self.models.clone(),
            term: term.number,
            pending: term.pending,
            hand_over,
        });
        let _rebuilds = AbortOnDropHandle::new(tokio::spawn(rebuilds));
        let slot = |model: &Model| model.slot(model.name().to_owned());
        let mut runner = Runner {
            session,
            term: term.number,
            position: term.position,
            live: term.live.iter().map(slot).collect(),
            reached: Arc::new(AtomicU64::new(term.position.0)),
        };
        let behind = measure_lag(Arc::clone(&self.source), Arc::clone(&runner.reached));
        let _lag = AbortOnDropHandle::new(tokio::spawn(behind));
        runner.count_stopped(self.models.len());
        let mut next = Gather::default();
        loop {
            tokio::select! {
                biased;
                () = office.lost.cancelled() => return Err(Ended::LeaseLost),
                Some(hand_over) = hand_overs.recv() => {
                    runner.stand_still(hand_over).await?;
                    runner.count_stopped(self.models.len());
                }
                batch = intake.batch(BATCH_COMMITS_MAX, Position(u64::MAX), next) => {
                    let begun = Instant::now();
                    let batch = batch.ok_or(Ended::NoMoreCommits)?;
                    let span = tracing::info_span!(
                        "projection.apply",
                        from = runner.position.0,
                        to = last(&batch.facts).0,
                        entries = batch.facts.len(),
                    );
                    runner.take(&batch.facts).instrument(span).await?;
                    runner.count_stopped(self.models.len());
                    next = gather_behind(begun, batch.facts.len());
                }
            }
        }
    }
}

impl Runner {
    /// Takes `facts` into every live model. A row that Postgres will not store is poison as well:
    /// its commit is found by taking one at a time, and stops the model.
    async fn take(&mut self, facts: &[Facts]) -> Result<(), Ended> {
        match self.apply(facts).await {
            Err(Ended::Unstorable(error)) => {
                tracing::debug!(%error, "a row cannot be stored");
                self.live.iter_mut().for_each(|slot| slot.forget());
            }
            applied => return applied,
        }
        for one in facts.chunks(1) {
            while let Err(ended) = self.apply(one).await {
                let Ended::Unstorable(error) = ended else {
                    return Err(ended);
                };
                self.live.iter_mut().for_each(|slot| slot.forget());
                let model = self.cannot_store(one).await?;
                let model = model.ok_or_else(|| Ended::Database(error))?;
                let (model, poison) = model;
                let position = last(one);
                let poisoned = Poisoned { position, poison };
                // Only who may move the read side may say that a model of it has stopped.
                let mut writes = Writes::hold(self.term, self.position);
                checkpoint::stop(&mut writes, &model, &poisoned);
                self.session.write(writes).await?.ok_or(Ended::Fenced)?;
                self.drop_stopped(&model, &poisoned);
            }
        }
        Ok(())
    }

    /// The model that cannot store what it makes of `facts`, if it is one of them, and why.
    async fn cannot_store(
        &mut self,
        facts: &[Facts],
    ) -> Result<Option<(Model, Poison)>, sqlx::Error> {
        for slot in &mut self.live {
            let mut writes = Writes::always();
            let session = &mut *self.session;
            let stored = match slot.fold(session, facts, &mut writes).await {
                Ok(_) => self.session.rehearse(writes).await,
                Err(error) => Err(error),
            };
            slot.forget();
            match stored {
                Ok(()) => {}
                Err(error) if is_unstorable(&error) => {
                    return Ok(Some((slot.model(), Poison::from_error(&error))));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Takes `facts` into every live model, in one statement.
    async fn apply(&mut self, facts: &[Facts]) -> Result<(), Ended> {
        let begun = Instant::now();
        let to = last(facts);
        let mut stopped: Vec<(Model, Poisoned)> = Vec::new();
        let mut writes = Writes::advance(self.term, self.position, to);
        for slot in &mut self.live {
            let folded = slot.fold(&mut *self.session, facts, &mut writes).await?;
            if let Some(poisoned) = folded.poisoned {
                stopped.push((slot.model(), poisoned));
            }
        }
        for (model, poisoned) in &stopped {
            checkpoint::stop(&mut writes, model, poisoned);
        }
        let rows = writes.rows();
        fail_point!("rows-folded", |_| std::process::abort());
        let moved = self.session.write(writes).await?;
        fail_point!("rows-written", |_| std::process::abort());
        let now = moved.ok_or(Ended::Fenced)?;
        self.position = to;
        for (model, poisoned) in &stopped {
            self.drop_stopped(model, poisoned);
        }
        self.reached.store(to.0, Ordering::Relaxed);
        observe(facts, rows, begun, now);
        Ok(())
    }

    fn drop_stopped(&mut self, model: &Model, poisoned: &Poisoned) {
        tracing::error!(
            model = model.name(), position = poisoned.position.0, reason = %poisoned.poison,
            "read model stopped: it cannot take a commit"
        );
        self.live.retain(|slot| slot.model().name() != model.name());
    }

    /// Stands still while a rebuild takes the last steps, and takes its model up.
    async fn stand_still(&mut self, hand_over: HandOver) -> Result<(), Ended> {
        let (go_on, done) = oneshot::channel();
        if hand_over.stands.send((self.position, go_on)).is_err() {
            return Ok(());
        }
        let limit = Duration::from_millis(HAND_OVER_MS_MAX);
        match tokio::time::timeout(limit, done).await {
            Err(_) => Err(Ended::HandOverTooLong),
            // The rebuild failed, and has changed nothing.
            Ok(Err(_)) => Ok(()),
            Ok(Ok(HandedOver::Live(slot))) => {
                self.live
                    .retain(|live| live.model().name() != slot.model().name());
                self.live.push(slot);
                Ok(())
            }
            Ok(Ok(HandedOver::Stopped(name))) => {
                self.live.retain(|live| live.model().name() != name);
                Ok(())
            }
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and models are few"
    )]
    fn count_stopped(&self, models: usize) {
        let stopped = models.saturating_sub(self.live.len());
        metrics::gauge!("ledgerline_projection_stopped_models").set(stopped as f64);
    }
}

/// When the batch behind one of so many commits begins.
fn gather_behind(begun: Instant, commits: usize) -> Gather {
    let commits = u32::try_from(commits).unwrap_or(u32::MAX);
    let gather = GATHER_PER_COMMIT.saturating_mul(commits).min(GATHER_MAX);
    Gather {
        from: begun + PACE,
        until: Instant::now() + gather,
    }
}

/// Measures what a batch took, and leaves one line a commit for whoever follows a trace.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges and histograms are floats"
)]
fn observe(batch: &[Facts], rows: usize, begun: Instant, now: f64) {
    if let Some(commit) = batch.iter().rev().find_map(Facts::commit) {
        let recorded = commit.payload.at.as_duration().as_secs_f64();
        metrics::gauge!("ledgerline_projection_lag_seconds").set((now - recorded).max(0.0));
    }
    metrics::histogram!("ledgerline_projection_batch_commits").record(batch.len() as f64);
    metrics::histogram!("ledgerline_projection_batch_rows").record(rows as f64);
    metrics::histogram!("ledgerline_projection_apply_seconds").record(begun.elapsed());
    metrics::counter!("ledgerline_projection_commits_total").increment(batch.len() as u64);
    metrics::gauge!("ledgerline_projection_position").set(last(batch).0 as f64);
    if tracing::enabled!(tracing::Level::DEBUG) {
        for commit in batch.iter().filter_map(Facts::commit) {
            tracing::debug!(
                position = commit.position.0, stream = %commit.stream, command = %commit.id(),
                trace = commit.trace.as_deref(), "projected"
            );
        }
    }
}

/// Says every now and then how many commits of the journal are not yet in the tables.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
async fn measure_lag(source: Arc<dyn Source>, reached: Arc<AtomicU64>) {
    loop {
        if let Ok(head) = source.head().await {
            let behind = head.0.saturating_sub(reached.load(Ordering::Relaxed));
            metrics::gauge!("ledgerline_projection_lag_commits").set(behind as f64);
        }
        tokio::time::sleep(Duration::from_millis(LAG_MS)).await;
    }
}

/// Where the last of `facts` stands.
fn last(facts: &[Facts]) -> Position {
    facts.last().map_or(Position::START, Facts::position)
}

/// Whether Postgres will never store this, however often it is tried.
pub(crate) fn is_unstorable(error: &sqlx::Error) -> bool {
    /// The classes of `data exception`, `integrity constraint violation`, `program limit exceeded`.
    const CLASSES: [&str; 3] = ["22", "23", "54"];
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| CLASSES.iter().any(|class| code.starts_with(class)))
}
