//! A whole number with named limits, checked once where it comes in.
//!
//! Limits may be widened later, never narrowed: history is read back through the same check.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Whole<const MIN: u64, const MAX: u64>(u64);

/// A number outside its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from `{min}` to `{max}`")]
pub struct OutOfRange {
    /// The least that there may be.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// The most that there may be.
    pub const MAX: u64 = MAX;

    /// Checks `number`.
    ///
    /// # Errors
    /// When it lies outside the limits.
    pub fn new(number: impl TryInto<u64>) -> Result<Self, OutOfRange> {
        let number = number.try_into().ok();
        let within = number.filter(|number| (MIN..=MAX).contains(number));
        within.map(Self).ok_or(OutOfRange { min: MIN, max: MAX })
    }

    /// `NUMBER`, which is checked where the program is built.
    #[must_use]
    pub const fn of<const NUMBER: u64>() -> Self {
        const { assert!(MIN <= NUMBER && NUMBER <= MAX) };
        Self(NUMBER)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Nothing, where that lies within the limits.
impl<const MAX: u64> Default for Whole<0, MAX> {
    fn default() -> Self {
        Self(0)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Whole<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for Whole<MIN, MAX> {
    type Error = OutOfRange;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl<const MIN: u64, const MAX: u64> From<Whole<MIN, MAX>> for u64 {
    fn from(whole: Whole<MIN, MAX>) -> Self {
        whole.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Percent = Whole<0, 100>;
    type Count = Whole<1, 10>;

    #[test]
    fn a_number_at_its_limits_is_taken_and_one_beyond_is_refused() {
        assert_eq!(Percent::new(0).map(Percent::get), Ok(0));
        assert_eq!(Percent::new(100).map(Percent::get), Ok(100));
        let percent = OutOfRange { min: 0, max: 100 };
        assert_eq!(Percent::new(101), Err(percent));
        assert_eq!(Percent::new(-1), Err(percent));
        assert_eq!(Count::new(0), Err(OutOfRange { min: 1, max: 10 }));
        assert_eq!(percent.to_string(), "must be from `0` to `100`");
    }

    #[test]
    fn what_was_written_is_checked_again_when_it_is_read() {
        let written = serde_json::to_string(&Count::of::<7>()).expect("a number is JSON");
        assert_eq!(written, "7");
        let read = |text: &str| serde_json::from_str::<Count>(text).map(Count::get);
        assert_eq!(read(&written).ok(), Some(7));
        for outside in ["0", "11", "-1", "1.5", "18446744073709551616"] {
            assert!(read(outside).is_err(), "{outside}");
        }
    }
}
