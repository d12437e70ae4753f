//! The machine's clock and its randomness: the only place where either is asked.

use commands::Clock;
use domain::Timestamp;
use uuid::Uuid;

/// Time and ids of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is what `commands::Clock` is outside tests"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is what `commands::Clock` is outside tests"
    )]
    fn fresh_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
