//! Rebuilds: a new table is filled while the old one serves, and takes its place in one transaction.
//!
//! One mechanism for a model that is new, changed, stopped, or asked for. The new table is filled
//! from the journal's beginning by `COPY`, catches up, and then the runner stands still for the last
//! commits and the swap. Readers see the old table or the new one, whole. A rebuild that ends midway
//! has changed nothing that anybody reads; the next one begins anew.
//!
//! A rebuild that meets a fact it cannot take is done a second time up to the commit before it,
//! where that is further than what serves; else what serves is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Position;
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};

use crate::checkpoint;
use crate::fact::Facts;
use crate::fold::{Model, Poisoned, Slot};
use crate::intake::{Batch, Gather, Intake};
use crate::live::{HandOver, HandedOver, is_unstorable};
use crate::postgres::execute;
use crate::read::Columns;
use crate::source::Source;
use crate::table::{Writes, safe};

/// How often to look whether somebody asks for a rebuild.
const LOOK_MS: u64 = 500;

/// How long to wait after a rebuild that failed.
const RETRY_MS: u64 = 2_000;

/// How many commits one step takes.
const BATCH_COMMITS_MAX: usize = 4_000;

/// How near to the runner a rebuild must be before it asks it to stand still: it holds it for as
/// long as so many commits take, some tens of milliseconds. Under the heaviest load the runner may take one more
/// batch before it hears of it, and is held for some tenths of a second.
const HAND_OVER_COMMITS_MAX: u64 = 2_000;

/// How often the progress is written down, and the runner's position read.
const PROGRESS_MS: u64 = 500;

/// How long the swap waits for readers of the old table, while the runner and new readers wait for it.
const SWAP_LOCK_MS_MAX: u32 = 200;

/// How long to leave everybody alone after that.
const SWAP_RETRY_MS: u64 = 1_000;

/// Who rebuilds.
pub(crate) struct Rebuilder {
    pub(crate) pool: PgPool,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) models: Vec<Model>,
    pub(crate) term: i64,
    pub(crate) hand_over: mpsc::Sender<HandOver>,
}

#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("the runner's term ended")]
    TermEnded,
    #[error("the source of commits ended")]
    SourceEnded,
    #[error("commit at `{}` cannot be taken: {}", .0.position, .0.poison)]
    Poisoned(Poisoned),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

/// One model on its way.
struct Rebuild<'a> {
    rebuilder: &'a Rebuilder,
    model: Model,
    slot: Box<dyn Slot>,
    conn: PgConnection,
    intake: Intake,
    position: Position,
    /// The fact before which it ends, where there is one.
    ends_before: Option<Poisoned>,
    reported: Instant,
}

/// Rebuilds `pending`, and whatever is asked for, one at a time, for as long as the term lasts.
pub(crate) async fn run(rebuilder: Rebuilder, mut pending: Vec<Model>) {
    loop {
        match rebuilder.next(&mut pending).await {
            Ok(Some(model)) => rebuilder.rebuild(model, &mut pending).await,
            Ok(None) => tokio::time::sleep(Duration::from_millis(LOOK_MS)).await,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "look for requested rebuilds"
                );
                tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            }
        }
    }
}

impl Rebuilder {
    async fn next(&self, pending: &mut Vec<Model>) -> Result<Option<Model>, sqlx::Error> {
        if let Some(model) = pending.pop() {
            return Ok(Some(model));
        }
        let name: Option<String> = sqlx::query_scalar(include_str!("next_rebuild.sql"))
            .bind(self.models.iter().map(Model::name).collect::<Vec<_>>())
            .fetch_optional(&self.pool)
            .await?;
        let asked = |model: &&Model| Some(model.name()) == name.as_deref();
        Ok(self.models.iter().find(asked).copied())
    }

    async fn rebuild(&self, model: Model, pending: &mut Vec<Model>) {
        let begun = Instant::now();
        tracing::info!(
            model = model.name(),
            version = model.version(),
            "rebuild begins"
        );
        let rebuilt = match self.attempt(model, None).await {
            Err(RebuildError::Poisoned(poisoned)) => self.up_to(model, poisoned).await,
            rebuilt => rebuilt,
        };
        match rebuilt {
            Ok(position) => {
                metrics::histogram!("ledgerline_projection_rebuild_seconds", "model" => model.name())
                    .record(begun.elapsed());
                tracing::info!(
                    model = model.name(),
                    position = position.0,
                    seconds = begun.elapsed().as_secs_f64(),
                    "rebuild is done"
                );
            }
            Err(error @ RebuildError::Poisoned(_)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    model = model.name(),
                    "rebuild ended: read model stays stopped"
                );
            }
            Err(RebuildError::Database(error)) if is_unstorable(&error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    model = model.name(),
                    "rebuild ended: a row cannot be stored"
                );
                if let Err(error) = self.give_up(model, &error.to_string()).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        model = model.name(),
                        "write down why the rebuild ended"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    model = model.name(),
                    "rebuild failed, and is begun again"
                );
                pending.push(model);
                tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            }
        }
    }

    /// After a fact that cannot be taken: builds what comes before it, where that is a gain.
    async fn up_to(&self, model: Model, poisoned: Poisoned) -> Result<Position, RebuildError> {
        let row = sqlx::query(include_str!("serving.sql"))
            .bind(model.name())
            .fetch_one(&self.pool)
            .await?;
        if checkpoint::before(poisoned.position) > row.position("position")? {
            return self.attempt(model, Some(poisoned)).await;
        }
        self.give_up(model, &reason(&poisoned)).await?;
        Err(RebuildError::Poisoned(poisoned))
    }

    /// Leaves what serves, and says why.
    async fn give_up(&self, model: Model, error: &str) -> Result<(), sqlx::Error> {
        let mut conn = self.pool.acquire().await?;
        sqlx::query(include_str!("end_rebuild.sql"))
            .bind(model.name())
            .bind(error)
            .execute(&mut *conn)
            .await?;
        checkpoint::discard(&mut conn, &model).await
    }

    async fn attempt(
        &self,
        model: Model,
        ends_before: Option<Poisoned>,
    ) -> Result<Position, RebuildError> {
        let mut conn = checkpoint::connection(&self.pool).await?;
        let next = model.table().next_name();
        checkpoint::create(&mut conn, &model, &next).await?;
        let rebuild = Rebuild {
            rebuilder: self,
            model,
            slot: model.slot(next),
            conn,
            intake: Intake::open(&*self.source, Position::START, vec![model.reads()]),
            position: Position::START,
            ends_before,
            reported: Instant::now(),
        };
        rebuild.run().await
    }
}

impl Rebuild<'_> {
    async fn run(mut self) -> Result<Position, RebuildError> {
        let mut target = self.report().await?;
        while self.position < target {
            let batch = self.batch(target).await?;
            let folded = self.slot.fill(&mut self.conn, &batch.facts).await?;
            self.took(&batch, target, folded.poisoned)?;
            if self.reported.elapsed() > Duration::from_millis(PROGRESS_MS) {
                target = self.report().await?;
            }
        }
        self.slot.finish(&mut self.conn).await?;
        loop {
            target = self.report().await?;
            if target.0.saturating_sub(self.position.0) > HAND_OVER_COMMITS_MAX {
                self.catch_up(target).await?;
                continue;
            }
            match self.hand_over().await {
                Ok(()) => return Ok(self.position),
                Err(RebuildError::Database(error)) if is_lock_timeout(&error) => {
                    tracing::info!(
                        model = self.model.name(),
                        "old table is being read, swap waits"
                    );
                    tokio::time::sleep(Duration::from_millis(SWAP_RETRY_MS)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Entries up to `target`, and none behind it.
    async fn batch(&mut self, target: Position) -> Result<Batch, RebuildError> {
        let batch = self
            .intake
            .batch(BATCH_COMMITS_MAX, target, Gather::default())
            .await;
        batch.ok_or(RebuildError::SourceEnded)
    }

    fn took(
        &mut self,
        batch: &Batch,
        target: Position,
        poisoned: Option<Poisoned>,
    ) -> Result<(), RebuildError> {
        if let Some(poisoned) = poisoned {
            return Err(RebuildError::Poisoned(poisoned));
        }
        // Nothing up to the target is left, where the next entry stands behind it.
        self.position = batch.facts.last().map_or(target, Facts::position);
        Ok(())
    }

    /// Folds up to `target` into the finished table.
    async fn catch_up(&mut self, target: Position) -> Result<(), RebuildError> {
        while self.position < target {
            let batch = self.batch(target).await?;
            let mut writes = Writes::always();
            let folded = self.slot.fold(&mut self.conn, &batch.facts, &mut writes);
            let folded = folded.await?;
            execute(&mut self.conn, writes).await?;
            self.took(&batch, target, folded.poisoned)?;
        }
        Ok(())
    }

    /// Writes down how far it is, and tells how far it has to go.
    async fn report(&mut self) -> Result<Position, RebuildError> {
        self.reported = Instant::now();
        let row = sqlx::query(include_str!("report_rebuild.sql"))
            .bind(self.model.name())
            .bind(self.position.0.cast_signed())
            .bind(self.rebuilder.term)
            .fetch_optional(&mut self.conn)
            .await?;
        let row = row.ok_or(RebuildError::TermEnded)?;
        Ok(self.limit(row.position("position")?))
    }

    /// Where to go when the runner stands at `position`.
    fn limit(&self, position: Position) -> Position {
        match &self.ends_before {
            Some(poisoned) => position.min(checkpoint::before(poisoned.position)),
            None => position,
        }
    }

    /// Folds the last commits and swaps, while the runner stands still.
    async fn hand_over(&mut self) -> Result<(), RebuildError> {
        let (stands, standing) = oneshot::channel();
        let asked = self.rebuilder.hand_over.send(HandOver { stands }).await;
        asked.map_err(|_| RebuildError::TermEnded)?;
        let (position, go_on) = standing.await.map_err(|_| RebuildError::TermEnded)?;
        self.catch_up(self.limit(position)).await?;
        self.swap(position).await?;
        let handed_over = match &self.ends_before {
            Some(_) => HandedOver::Stopped(self.model.name()),
            None => HandedOver::Live(self.model.slot(self.model.name().to_owned())),
        };
        // Where nobody listens any more the term has ended, and the next one finds what is live.
        go_on.send(handed_over).map_err(|_| RebuildError::TermEnded)
    }

    /// Puts the new table in the place of the old one, where the runner still stands at `position`.
    async fn swap(&mut self, position: Position) -> Result<(), RebuildError> {
        let table = self.model.table();
        let next = table.next_name();
        let version = i32::try_from(self.model.version()).unwrap_or(i32::MAX);
        let error = self.ends_before.as_ref().map(reason);
        let mut tx = self.conn.begin().await?;
        let lock_ms_max = SWAP_LOCK_MS_MAX.to_string();
        sqlx::query("select set_config('lock_timeout', $1, true)")
            .bind(lock_ms_max)
            .execute(&mut *tx)
            .await?;
        let held = Writes::hold(self.rebuilder.term, position);
        let held = execute(&mut tx, held).await?;
        held.ok_or(RebuildError::TermEnded)?;
        // The views move to the new table first, so that whatever stands on them stays.
        sqlx::raw_sql(table.script(table.views, &next))
            .execute(&mut *tx)
            .await?;
        sqlx::raw_sql(safe(format!(
            "drop table {0}; alter table {next} rename to {0}",
            table.name
        )))
        .execute(&mut *tx)
        .await?;
        sqlx::query(include_str!("swapped.sql"))
            .bind(self.model.name())
            .bind(version)
            .bind(if error.is_some() { "stopped" } else { "live" })
            .bind(self.position.0.cast_signed())
            .bind(error)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

fn reason(poisoned: &Poisoned) -> String {
    format!("commit at `{}`: {}", poisoned.position, poisoned.poison)
}

/// Whether a lock was not to be had in time.
fn is_lock_timeout(error: &sqlx::Error) -> bool {
    /// `lock_not_available`
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some(LOCK_NOT_AVAILABLE)
}
