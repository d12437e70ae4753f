//! What the reactor needs of Postgres: its checkpoint, when the schedules are due, and how far the jobs of
//! batches are.

use std::time::Duration;

use commands::journal::BoxError;
use commands::reactions::batches::{CountJobs, Counted};
use commands::reactions::{Checkpoint, DueSchedules, Loaded};
use domain::schedule::Schedule;
use domain::{Aggregate as _, Position, StreamId, Token};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use projections::{ReadSide, Reader};
use sqlx::PgPool;
use uuid::Uuid;

/// How far the journal has had its effects, in a table of one row.
#[derive(Debug, Clone)]
pub struct PostgresCheckpoint(pub PgPool);

/// When the schedules are due, from the read model `schedule`.
#[derive(Debug, Clone)]
pub struct ReadSideSchedules(pub PgPool);

impl DueSchedules for ReadSideSchedules {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BoxError>> {
        async {
            let timetable = projections::schedule::timetable(&self.0).await?;
            let next = timetable.schedules.into_iter().map(|(tenant, id, next)| {
                let stream = StreamId::new(tenant, Schedule::CATEGORY, Token::from(id));
                (stream, next)
            });
            Ok(Loaded {
                position: timetable.position,
                next: next.collect(),
            })
        }
        .boxed()
    }
}

impl Checkpoint for PostgresCheckpoint {
    fn load(&self) -> BoxFuture<'_, Result<Position, BoxError>> {
        async {
            let position: i64 = sqlx::query_scalar("select position from reactor")
                .fetch_one(&self.0)
                .await?;
            Ok(Position(u64::try_from(position)?))
        }
        .boxed()
    }

    fn save(&self, position: Position) -> BoxFuture<'_, Result<(), BoxError>> {
        async move {
            let position = i64::try_from(position.0)?;
            sqlx::query(
                "update reactor set position = $1, updated_at = clock_timestamp() where position < $1",
            )
            .bind(position)
            .execute(&self.0)
            .await?;
            Ok(())
        }
        .boxed()
    }
}

/// Counts the jobs of batches on the read side.
#[derive(Debug, Clone)]
pub struct ReadSideCounts {
    /// Answers the query.
    pub reader: Reader,
    /// Knows how far the read side is.
    pub side: ReadSide,
}

/// How long the read side may take to get where it is asked for, before the reactor begins anew.
const READ_SIDE_MAX: Duration = Duration::from_secs(30);

/// A model stands where it stopped.
#[derive(Debug, thiserror::Error)]
#[error("jobs of batches are counted up to `{reached}`, behind `{wanted}`")]
struct Stopped {
    reached: Position,
    wanted: Position,
}

impl CountJobs for ReadSideCounts {
    fn count(
        &self,
        batch: &StreamId,
        position: Position,
    ) -> BoxFuture<'_, Result<Option<Counted>, BoxError>> {
        let batch = batch.clone();
        async move {
            let id: Uuid = batch.id.as_str().parse()?;
            self.side.wait_for(position, READ_SIDE_MAX).await?;
            let found = projections::batch::get(&self.reader, &batch.tenant, id).await?;
            if found.position < position {
                return Err(Stopped {
                    reached: found.position,
                    wanted: position,
                }
                .into());
            }
            Ok(found.item.map(|standing| Counted {
                jobs: standing.batch.jobs,
                open: standing.progress.open(),
                ended: standing.progress.ended,
                is_completed: standing.batch.counts.is_some(),
            }))
        }
        .boxed()
    }
}
