//! Gives tickets and takes them back.
//!
//! What a ticket stands for is kept by its hash where every process finds it, and never printed: what is kept
//! opens nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use commands::Clock;
use commands::tickets::{KeepError, OF_HOLDER_MAX, TICKETS_MAX, Ticket, TicketStore};
use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::auth::{Caller, TokenError, Verifier};
use crate::problem::ApiError;

/// How long a ticket is good: a page uses it at once.
const VALID: Duration = Duration::from_secs(30);

/// What is not available when tickets are not.
const WHAT: &str = "store of tickets";

/// Gives and takes tickets.
pub struct Tickets {
    key: [u8; 32],
    given: AtomicU64,
    store: Arc<dyn TicketStore>,
    clock: Arc<dyn Clock>,
}

/// What a ticket stands for.
#[derive(Serialize, Deserialize)]
struct StandsFor {
    caller: Caller,
    /// Where; anywhere, if nothing is said.
    path: Option<String>,
}

impl Tickets {
    /// Tickets that nobody can guess who does not know `key`, which is to be random and kept nowhere.
    #[must_use]
    pub fn new(key: [u8; 32], store: Arc<dyn TicketStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            key,
            given: AtomicU64::new(0),
            store,
            clock,
        }
    }

    /// A ticket that stands for `caller`, at `path` or at any, and when it ends.
    pub(crate) async fn issue(
        &self,
        caller: Caller,
        path: Option<String>,
    ) -> Result<(String, Timestamp), ApiError> {
        let now = self.clock.now();
        let expires_at = now.checked_add(VALID).unwrap_or(now);
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        // The number is no secret and the key is: what comes of both is as good as random.
        let ticket = blake3::keyed_hash(&self.key, &number.to_le_bytes()).to_hex();
        let (tenant, principal) = (caller.tenant().clone(), caller.principal().clone());
        let stands_for = serde_json::to_string(&StandsFor { caller, path });
        let kept = Ticket {
            hash: hash(&ticket),
            tenant,
            principal,
            stands_for: stands_for.map_err(|error| ApiError::Internal(error.into()))?,
            expires_at,
        };
        self.store.keep(kept, now).await?;
        Ok((ticket.to_string(), expires_at))
    }

    /// Who it is that sent `ticket` to `path`. The ticket is used by that, whatever is answered.
    pub(crate) async fn redeem(
        &self,
        verifier: &Verifier,
        ticket: &str,
        path: &str,
    ) -> Result<Caller, ApiError> {
        let kept = self.store.take(hash(ticket)).await;
        let kept = kept.map_err(|source| ApiError::Unavailable { what: WHAT, source })?;
        let kept = kept.ok_or(TokenError::Ticket)?;
        let stands_for: StandsFor = serde_json::from_str(&kept.stands_for)
            .map_err(|error| ApiError::Internal(error.into()))?;
        let is_for_path = stands_for.path.is_none_or(|of_ticket| of_ticket == path);
        let is_in_time = self.clock.now() < kept.expires_at;
        // It is worth no more than the token that it was given for.
        let is_good = is_for_path && is_in_time && verifier.is_still_valid(&stands_for.caller);
        Ok(is_good
            .then_some(stands_for.caller)
            .ok_or(TokenError::Ticket)?)
    }
}

impl From<KeepError> for ApiError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Full => Self::TooMany {
                what: "unused tickets",
                limit: TICKETS_MAX,
            },
            KeepError::FullForHolder => Self::TooMany {
                what: "unused tickets of the caller",
                limit: OF_HOLDER_MAX,
            },
            KeepError::Unavailable(source) => Self::Unavailable { what: WHAT, source },
        }
    }
}

/// Only the hash is kept, so that what is kept opens nothing.
fn hash(ticket: &str) -> [u8; 32] {
    *blake3::hash(ticket.as_bytes()).as_bytes()
}
