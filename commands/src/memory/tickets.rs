//! Tickets in a map.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::Timestamp;
use futures_util::future::{BoxFuture, FutureExt as _, ready};

use super::locked;
use crate::journal::BoxError;
use crate::tickets::{KeepError, Ticket, TicketStore};

/// Tickets of one process.
#[derive(Debug, Clone, Default)]
pub struct MemoryTickets(Arc<Mutex<HashMap<[u8; 32], Ticket>>>);

impl MemoryTickets {
    fn keep_one(&self, ticket: Ticket, now: Timestamp) -> Result<(), KeepError> {
        let mut unused = locked(&self.0);
        unused.retain(|_, ticket| ticket.expires_at > now);
        let is_same = |other: &&Ticket| {
            (&other.tenant, &other.principal) == (&ticket.tenant, &ticket.principal)
        };
        let of_holder = unused.values().filter(is_same).count();
        KeepError::check(unused.len(), of_holder)?;
        unused.insert(ticket.hash, ticket);
        Ok(())
    }
}

impl TicketStore for MemoryTickets {
    fn keep(&self, ticket: Ticket, now: Timestamp) -> BoxFuture<'_, Result<(), KeepError>> {
        ready(self.keep_one(ticket, now)).boxed()
    }

    fn take(&self, hash: [u8; 32]) -> BoxFuture<'_, Result<Option<Ticket>, BoxError>> {
        ready(Ok(locked(&self.0).remove(&hash))).boxed()
    }
}
