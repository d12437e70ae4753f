//! Connections that somebody keeps.

use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgPool};

/// Makes a connection as those of `pool` are, but apart from them: queries neither wait for it nor have one
/// less. It may take as long as the pool lets one wait.
pub(crate) async fn kept(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let limit = pool.options().get_acquire_timeout();
    let options = pool.connect_options();
    let made = tokio::time::timeout(limit, PgConnection::connect_with(&options)).await;
    made.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
