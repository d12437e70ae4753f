//! The tickets that this process has given and that nobody has used.
//!
//! Kept in memory: a ticket lives for seconds, and one that a restart or another process does not know
//! is asked for again. Kept by their hashes, and never printed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commands::Clock;
use domain::Timestamp;

use crate::auth::{Caller, TokenError, Verifier};
use crate::problem::ApiError;

/// How long a ticket is good: a page uses it at once.
const VALID: Duration = Duration::from_secs(30);
/// Tickets at the same time, about 300 bytes each.
const TICKETS_MAX: usize = 10_000;
/// Tickets of one caller at the same time: one for each stream that a caller may have, and some to spare.
const OF_CALLER_MAX: usize = 100;

/// Gives and takes tickets.
pub struct Tickets {
    key: [u8; 32],
    clock: Arc<dyn Clock>,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    count: u64,
    unused: HashMap<[u8; 32], Ticket>,
}

struct Ticket {
    caller: Caller,
    path: Option<String>,
    expires_at: Timestamp,
}

impl Tickets {
    /// Tickets that nobody can guess who does not know `key`, which is to be random and kept nowhere.
    #[must_use]
    pub fn new(key: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self {
            key,
            clock,
            given: Mutex::default(),
        }
    }

    /// A ticket that stands for `caller`, at `path` or at any, and when it ends.
    pub(crate) fn issue(
        &self,
        caller: Caller,
        path: Option<String>,
    ) -> Result<(String, Timestamp), ApiError> {
        let now = self.clock.now();
        let expires_at = now.checked_add(VALID).unwrap_or(now);
        let mut given = self.given();
        given.unused.retain(|_, ticket| ticket.expires_at > now);
        given.check_room(&caller)?;
        given.count += 1;
        // The number is no secret and the key is: what comes of both is as good as random.
        let ticket = blake3::keyed_hash(&self.key, &given.count.to_le_bytes()).to_hex();
        let kept = Ticket {
            caller,
            path,
            expires_at,
        };
        given.unused.insert(hash(&ticket), kept);
        Ok((ticket.to_string(), expires_at))
    }

    /// Who it is that sent `ticket` to `path`. The ticket is used by that, whatever is answered.
    pub(crate) fn redeem(
        &self,
        verifier: &Verifier,
        ticket: &str,
        path: &str,
    ) -> Result<Caller, TokenError> {
        let kept = self.given().unused.remove(&hash(ticket));
        let kept = kept.ok_or(TokenError::Ticket)?;
        let is_for_path = kept.path.is_none_or(|of_ticket| of_ticket == path);
        let is_in_time = self.clock.now() < kept.expires_at;
        // It is worth no more than the token that it was given for.
        let is_good = is_for_path && is_in_time && verifier.is_still_valid(&kept.caller);
        is_good.then_some(kept.caller).ok_or(TokenError::Ticket)
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Given {
    fn check_room(&self, caller: &Caller) -> Result<(), ApiError> {
        let is_same = |ticket: &&Ticket| {
            let other = &ticket.caller;
            (other.tenant(), other.principal()) == (caller.tenant(), caller.principal())
        };
        let limits = [
            (self.unused.len(), "unused tickets", TICKETS_MAX),
            (
                self.unused.values().filter(is_same).count(),
                "unused tickets of the caller",
                OF_CALLER_MAX,
            ),
        ];
        match limits.into_iter().find(|(count, _, limit)| count >= limit) {
            Some((_, what, limit)) => Err(ApiError::TooMany { what, limit }),
            None => Ok(()),
        }
    }
}

/// Only the hash is kept, so that what is in memory opens nothing.
fn hash(ticket: &str) -> [u8; 32] {
    *blake3::hash(ticket.as_bytes()).as_bytes()
}
