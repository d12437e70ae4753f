//! Time and fresh ids: what the pure code may not make up.

use domain::Timestamp;
use uuid::Uuid;

/// The only source of time and of ids.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// An id that nobody has had, ordered by time (version 7).
    fn fresh_id(&self) -> Uuid;
}
