//! Offices that only one process at a time holds, as leases in Postgres.

use commands::journal::BoxError;
use commands::office::{InOffice, Office};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use projections::Lease;
use sqlx::PgPool;

/// An office, as a lease in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresOffice {
    pool: PgPool,
    office: projections::Office,
}

impl PostgresOffice {
    /// The one who hands out jobs.
    #[must_use]
    pub fn dispatcher(pool: PgPool) -> Self {
        let office = projections::Office::Dispatcher;
        Self { pool, office }
    }

    /// The one who lets effects follow, and fires schedules.
    #[must_use]
    pub fn reactor(pool: PgPool) -> Self {
        let office = projections::Office::Reactor;
        Self { pool, office }
    }

    /// The one who seals the journal.
    #[must_use]
    pub fn sealer(pool: PgPool) -> Self {
        let office = projections::Office::Sealer;
        Self { pool, office }
    }
}

impl Office for PostgresOffice {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, BoxError>> {
        async {
            let lease = Lease::acquire(&self.pool, self.office).await?;
            Ok(InOffice {
                lost: lease.lost.clone(),
                guard: Box::new(lease),
            })
        }
        .boxed()
    }
}
