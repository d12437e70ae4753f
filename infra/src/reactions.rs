//! What the reactor needs of Postgres: its checkpoint, and when the schedules are due.

use commands::journal::BoxError;
use commands::reactions::{Checkpoint, DueSchedules, Loaded};
use domain::schedule::Schedule;
use domain::{Aggregate as _, Position, StreamId, Token};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::PgPool;

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
