//! Retries: how many attempts a job has, and how long it waits between them.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, Whole};

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// After how many failed attempts it is dead.
    pub attempts_max: Attempts,
    /// How long it waits before the next.
    pub backoff: Backoff,
}

/// 1 to 100 attempts; 5 where nothing is said.
pub type Attempts = Whole<1, 100>;

/// How long a job waits after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Backoff {
    /// The same time after each.
    Fixed {
        /// In milliseconds.
        delay_ms: DelayMs,
    },
    /// Twice as long after each, and with jitter at most so long: from half of it to all of it.
    Exponential {
        /// After the first, in milliseconds.
        delay_ms: DelayMs,
        /// The longest, in milliseconds.
        delay_ms_max: DelayMs,
        /// Whether jobs that failed together come back apart.
        #[serde(default)]
        jitter: bool,
    },
}

/// 0 to a day, in milliseconds.
pub type DelayMs = Whole<0, 86_400_000>;

impl Backoff {
    /// When the next attempt may begin, where `failures` have come before, the last of them `now`.
    #[must_use]
    pub fn after(self, failures: u32, now: Timestamp) -> Timestamp {
        let delay_ms = match self {
            Self::Fixed { delay_ms } => delay_ms.get(),
            Self::Exponential {
                delay_ms,
                delay_ms_max,
                jitter,
            } => {
                let doublings = failures.saturating_sub(1).min(63);
                let delay_ms = delay_ms.get().saturating_mul(1 << doublings);
                let delay_ms = delay_ms.min(delay_ms_max.get());
                if jitter {
                    delay_ms - spread(now, delay_ms / 2)
                } else {
                    delay_ms
                }
            }
        };
        let delay = SignedDuration::from_millis(i64::try_from(delay_ms).unwrap_or(i64::MAX));
        now.checked_add(delay).unwrap_or(Timestamp::MAX)
    }
}

/// A number from 0 to `most`, from the small part of the time: decisions know no randomness.
fn spread(now: Timestamp, most: u64) -> u64 {
    // The multiplier of a common linear congruential generator (Knuth's MMIX) mixes the low digits.
    let mixed = (now.as_nanosecond() as u64).wrapping_mul(6_364_136_223_846_793_005);
    (mixed >> 33) % (most + 1)
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts_max: Attempts::of::<5>(),
            backoff: Backoff::default(),
        }
    }
}

impl Default for Backoff {
    /// A second, two, four, up to five minutes, with jitter.
    fn default() -> Self {
        Self::Exponential {
            delay_ms: DelayMs::of::<1_000>(),
            delay_ms_max: DelayMs::of::<300_000>(),
            jitter: true,
        }
    }
}
