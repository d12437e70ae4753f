//! Tickets: what stands for a token once, kept where every process of the service finds it.

use domain::{Name, Tenant, Timestamp};
use futures_util::future::BoxFuture;

use crate::journal::BoxError;

/// Unused tickets at the same time.
pub const TICKETS_MAX: usize = 10_000;

/// Those of one holder: one for each stream that a caller may have, and some to spare.
pub const OF_HOLDER_MAX: usize = 100;

/// A ticket that was given and that nobody has used. Kept by its hash, which opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The hash of what was given.
    pub hash: [u8; 32],
    /// The holder's tenant.
    pub tenant: Tenant,
    /// The holder.
    pub principal: Name,
    /// What it stands for, in the words of whoever gives it and takes it back.
    pub stands_for: String,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// Where tickets are kept. Every process of the service has the same.
pub trait TicketStore: Send + Sync + 'static {
    /// Keeps `ticket`, and forgets those that have expired by `now`.
    ///
    /// # Errors
    /// See [`KeepError`]. Several at the same time may be a few more than the limits.
    fn keep(&self, ticket: Ticket, now: Timestamp) -> BoxFuture<'_, Result<(), KeepError>>;

    /// Takes the ticket of this hash, expired or not: nobody else is given it any more.
    ///
    /// # Errors
    /// When the store does not answer; the ticket may be gone.
    fn take(&self, hash: [u8; 32]) -> BoxFuture<'_, Result<Option<Ticket>, BoxError>>;
}

/// Why a ticket was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// There are [`TICKETS_MAX`].
    #[error("`{TICKETS_MAX}` tickets are unused")]
    Full,
    /// The holder has [`OF_HOLDER_MAX`].
    #[error("`{OF_HOLDER_MAX}` tickets of the holder are unused")]
    FullForHolder,
    /// It did not answer.
    #[error("the store of tickets is not available")]
    Unavailable(#[source] BoxError),
}

impl KeepError {
    /// What the counts of unused tickets, before one is kept, say against it.
    ///
    /// # Errors
    /// When one of them has reached its limit.
    pub fn check(all: usize, of_holder: usize) -> Result<(), Self> {
        if all >= TICKETS_MAX {
            Err(Self::Full)
        } else if of_holder >= OF_HOLDER_MAX {
            Err(Self::FullForHolder)
        } else {
            Ok(())
        }
    }
}
