//! Tickets in Postgres, where every process of the service finds them.

use commands::journal::BoxError;
use commands::tickets::{KeepError, OF_HOLDER_MAX, TICKETS_MAX, Ticket, TicketStore};
use domain::{Name, Tenant, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::{PgPool, Row as _};

/// The table of tickets.
#[derive(Debug, Clone)]
pub struct PostgresTickets(pub PgPool);

impl PostgresTickets {
    async fn keep_one(&self, ticket: Ticket, now: Timestamp) -> Result<(), KeepError> {
        let limit = |limit: usize| i64::try_from(limit).unwrap_or(i64::MAX);
        let unused = sqlx::query(include_str!("keep_ticket.sql"))
            .bind(ticket.hash.as_slice())
            .bind(ticket.tenant.as_str())
            .bind(ticket.principal.as_str())
            .bind(&ticket.stands_for)
            .bind(ticket.expires_at.as_microsecond())
            .bind(now.as_microsecond())
            .bind(limit(TICKETS_MAX))
            .bind(limit(OF_HOLDER_MAX))
            .fetch_one(&self.0)
            .await
            .map_err(unavailable)?;
        let count = |column: &str| {
            let count: i64 = unused.try_get(column).map_err(unavailable)?;
            usize::try_from(count).map_err(unavailable)
        };
        KeepError::check(count("of_all")?, count("of_holder")?)
    }

    async fn take_one(&self, hash: [u8; 32]) -> Result<Option<Ticket>, BoxError> {
        let taken = sqlx::query(
            "delete from ticket where hash = $1 returning tenant, principal, stands_for, expires_at_us",
        )
        .bind(hash.as_slice())
        .fetch_optional(&self.0)
        .await?;
        let Some(taken) = taken else {
            return Ok(None);
        };
        Ok(Some(Ticket {
            hash,
            tenant: Tenant::new(taken.try_get::<&str, _>("tenant")?)?,
            principal: Name::new(taken.try_get::<&str, _>("principal")?)?,
            stands_for: taken.try_get("stands_for")?,
            expires_at: Timestamp::from_microsecond(taken.try_get("expires_at_us")?)?,
        }))
    }
}

fn unavailable(error: impl Into<BoxError>) -> KeepError {
    KeepError::Unavailable(error.into())
}

impl TicketStore for PostgresTickets {
    fn keep(&self, ticket: Ticket, now: Timestamp) -> BoxFuture<'_, Result<(), KeepError>> {
        self.keep_one(ticket, now).boxed()
    }

    fn take(&self, hash: [u8; 32]) -> BoxFuture<'_, Result<Option<Ticket>, BoxError>> {
        self.take_one(hash).boxed()
    }
}
