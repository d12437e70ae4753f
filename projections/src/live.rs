//! The runner: keeps all live models at one position. Being built: its surface is fixed.

use std::sync::Arc;

use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;

use crate::source::Source;

/// Runs the read side: one process is in office, every other stands by.
pub struct Projector {
    pool: PgPool,
    source: Arc<dyn Source>,
}

impl Projector {
    /// All models of this crate, fed from `source` into the database of `pool`, which must have been
    /// migrated.
    #[must_use]
    pub fn new(pool: PgPool, source: Arc<dyn Source>) -> Self {
        Self { pool, source }
    }

    /// Runs until `stop`. Gets over every error by itself.
    pub async fn run(self, stop: CancellationToken) {
        let _both = (self.pool, self.source);
        stop.cancelled().await;
    }
}
