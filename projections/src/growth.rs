//! Growth: what Postgres knows of tables that grow from nothing.
//!
//! A plan that was made for an empty table may walk a whole index for one row, and it is kept until
//! the table is analyzed. Autovacuum comes by once a minute, which is too late for a table that has
//! ten thousand rows by then; so the first rows of a term are followed by an analysis at once.

use sqlx::postgres::PgPool;

use crate::fold::Model;
use crate::table::safe;

/// After how many written rows of a term the tables are analyzed; then autovacuum has come by.
const ANALYZED_AFTER_ROWS: [usize; 3] = [1_000, 10_000, 100_000];

/// How many rows were written in a term.
#[derive(Debug)]
pub(crate) struct Growth {
    pool: PgPool,
    tables: Vec<&'static str>,
    rows: usize,
}

impl Growth {
    /// Of the tables of `models`.
    pub(crate) fn new(pool: PgPool, models: &[Model]) -> Self {
        Self {
            pool,
            tables: models.iter().map(Model::name).collect(),
            rows: 0,
        }
    }

    /// Notes that `rows` rows were written. Nobody waits for an analysis, and nothing but the speed of
    /// queries depends on it.
    pub(crate) fn wrote(&mut self, rows: usize) {
        let before = self.rows;
        self.rows += rows;
        let is_due = |after: &usize| before < *after && *after <= self.rows;
        if !ANALYZED_AFTER_ROWS.iter().any(is_due) {
            return;
        }
        let analyze = safe(format!("analyze {}", self.tables.join(", ")));
        let pool = self.pool.clone();
        tokio::spawn(async move {
            if let Err(error) = sqlx::raw_sql(analyze).execute(&pool).await {
                tracing::debug!(%error, "tables were not analyzed");
            }
        });
    }
}
