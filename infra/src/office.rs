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
    /// Where.
    pub pool: PgPool,
    /// Which.
    pub office: projections::Office,
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
