//! Time and fresh ids: what the pure code may not make up.

use std::time::Duration;

use domain::Timestamp;
use jiff::SignedDuration;
use uuid::Uuid;

/// The only source of time and of ids.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// An id that nobody has had, ordered by time (version 7).
    fn fresh_id(&self) -> Uuid;
}

/// The moment of the runtime at which the clock, which shows `now`, will show `due`; at most `wait_max`
/// from now on.
pub(crate) fn instant_of(
    due: Timestamp,
    now: Timestamp,
    wait_max: Duration,
) -> tokio::time::Instant {
    let wait = due.duration_since(now);
    let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
    tokio::time::Instant::now() + wait.min(wait_max)
}

/// `by` behind `now`; the end of time where there is none.
pub(crate) fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
