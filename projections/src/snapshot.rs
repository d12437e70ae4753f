//! One moment of the read side: a read-only transaction over tables that stay where they are until its end.

use std::ops::{Deref, DerefMut};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};

use crate::table::safe;

/// A transaction that only reads, with its connection.
///
/// There is nothing in it to keep: dropped at whatever point, also while it begins, it is rolled back, and
/// nobody waits for that. A transaction of the driver would not do: one whose beginning fails or is given
/// up stays open on a connection that goes back into the pool.
#[derive(Debug)]
pub(crate) struct Snapshot(Option<PoolConnection<Postgres>>);

impl Snapshot {
    /// Locks `tables` against being swapped: a table that takes the place of another would show itself as
    /// empty. The lock chooses no moment, the first statement behind it does. No statement takes longer
    /// than `statement_ms_max`.
    pub(crate) async fn of(
        pool: &PgPool,
        tables: &[&str],
        statement_ms_max: u32,
    ) -> Result<Self, sqlx::Error> {
        let mut snapshot = Self(Some(pool.acquire().await?));
        let begin = format!(
            "begin isolation level repeatable read, read only; \
             set local statement_timeout = {statement_ms_max}; \
             lock table {} in access share mode",
            tables.join(", ")
        );
        sqlx::raw_sql(safe(begin)).execute(&mut *snapshot).await?;
        Ok(snapshot)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        tokio::spawn(async move {
            // Behind whatever is still on its way.
            let ended = sqlx::raw_sql("rollback").execute(&mut *connection).await;
            if ended.is_err() {
                connection.close_on_drop();
            }
        });
    }
}

impl Deref for Snapshot {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("a snapshot keeps its connection")
    }
}

impl DerefMut for Snapshot {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("a snapshot keeps its connection")
    }
}
