//! Retries: how many attempts a job has, and how long it waits between them.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::InvalidField;
use crate::Timestamp;

/// What follows a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// After how many failed attempts it is dead.
    #[serde(default)]
    pub attempts_max: Attempts,
    /// How long it waits before the next.
    #[serde(default)]
    pub backoff: Backoff,
}

/// 1 to 100 attempts; 5 where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Attempts(u32);

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct DelayMs(u64);

impl Backoff {
    /// When the next attempt may begin, where `failures` have come before, the last of them `now`.
    #[must_use]
    pub fn after(self, failures: u32, now: Timestamp) -> Timestamp {
        let delay_ms = match self {
            Self::Fixed { delay_ms } => delay_ms.0,
            Self::Exponential {
                delay_ms,
                delay_ms_max,
                jitter,
            } => {
                let doublings = failures.saturating_sub(1).min(63);
                let delay_ms = delay_ms
                    .0
                    .saturating_mul(1 << doublings)
                    .min(delay_ms_max.0);
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

impl Attempts {
    /// How many there may be at most.
    pub const MAX: u32 = 100;

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u32> for Attempts {
    type Error = InvalidField;

    fn try_from(attempts: u32) -> Result<Self, Self::Error> {
        if (1..=Self::MAX).contains(&attempts) {
            Ok(Self(attempts))
        } else {
            Err(InvalidField::Attempts)
        }
    }
}

impl From<Attempts> for u32 {
    fn from(attempts: Attempts) -> Self {
        attempts.0
    }
}

impl Default for Backoff {
    /// A second, two, four, up to five minutes, with jitter.
    fn default() -> Self {
        Self::Exponential {
            delay_ms: DelayMs(1_000),
            delay_ms_max: DelayMs(300_000),
            jitter: true,
        }
    }
}

impl DelayMs {
    /// A day.
    pub const MAX: u64 = 86_400_000;
}

impl TryFrom<u64> for DelayMs {
    type Error = InvalidField;

    fn try_from(delay_ms: u64) -> Result<Self, Self::Error> {
        if delay_ms <= Self::MAX {
            Ok(Self(delay_ms))
        } else {
            Err(InvalidField::Delay)
        }
    }
}

impl From<DelayMs> for u64 {
    fn from(delay_ms: DelayMs) -> Self {
        delay_ms.0
    }
}
