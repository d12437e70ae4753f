//! What the reactor needs of Postgres: its checkpoint.

use commands::journal::BoxError;
use commands::reactions::Checkpoint;
use domain::Position;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::PgPool;

/// How far the journal has had its effects, in a table of one row.
#[derive(Debug, Clone)]
pub struct PostgresCheckpoint(pub PgPool);

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
