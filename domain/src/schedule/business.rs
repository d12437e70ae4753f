//! Business days: the days on which a schedule may be due, and what becomes of a time on another day.

use jiff::ToSpan;
pub use jiff::civil::Date;
use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};
use strum::EnumString;

/// Which days count, and what becomes of a time on one that does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessDays {
    /// What becomes of a time on another day.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// Days of the week that do not count; Saturday and Sunday where nothing is said.
    #[serde(default)]
    pub weekend: Weekend,
    /// Dates that do not count.
    #[serde(default, skip_serializing_if = "Holidays::is_empty")]
    pub holidays: Holidays,
}

/// What becomes of a time on a day that does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Otherwise {
    /// Nothing.
    #[default]
    Skip,
    /// It is due at the same time of the last day before that counts.
    Before,
    /// It is due at the same time of the next day that counts.
    After,
}

/// Up to six days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Day>", into = "Vec<Day>")]
pub struct Weekend(Vec<Day>);

/// A day of the week.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the days of the week explain themselves")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Up to [`Holidays::ENTRIES_MAX`] dates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Date>", into = "Vec<Date>")]
pub struct Holidays(Vec<Date>);

/// Why business days were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBusinessDays {
    /// No day would count.
    #[error("must leave a day of the week that counts")]
    Weekend,
    /// Too many dates.
    #[error("must have at most `500` holidays")]
    Holidays,
}

/// How far a time is moved at most; on more days in a row nobody works, and it is skipped.
const MOVED_DAYS_MAX: i64 = 31;

impl BusinessDays {
    /// Whether it is a day on which something may be due.
    pub(super) fn counts(&self, date: Date) -> bool {
        let day = Day::of(date.weekday());
        !self.weekend.0.contains(&day) && self.holidays.0.binary_search(&date).is_err()
    }

    /// The days whose times are due on `day`, which counts: itself, and those that are moved to it.
    pub(super) fn moved_to(&self, day: Date) -> impl Iterator<Item = Date> {
        let step = match self.otherwise {
            Otherwise::Skip => None,
            Otherwise::Before => Some(1),
            Otherwise::After => Some(-1),
        };
        let run = (1..=MOVED_DAYS_MAX).map_while(move |count| {
            let other = day.checked_add((step? * count).days()).ok()?;
            (!self.counts(other)).then_some(other)
        });
        std::iter::once(day).chain(run)
    }

    /// The first day behind `behind` on which a time of `due` or of a later day may be due.
    pub(super) fn first_target(&self, due: Date, behind: Date) -> Date {
        if self.otherwise != Otherwise::Before || self.counts(due) {
            return due;
        }
        let before = (1..=MOVED_DAYS_MAX).map_while(|count| due.checked_sub(count.days()).ok());
        let target = before
            .take_while(|day| *day > behind)
            .find(|day| self.counts(*day));
        target.unwrap_or(due)
    }
}

impl Day {
    fn of(weekday: Weekday) -> Self {
        match weekday {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}

impl Default for Weekend {
    fn default() -> Self {
        Self(vec![Day::Saturday, Day::Sunday])
    }
}

impl TryFrom<Vec<Day>> for Weekend {
    type Error = InvalidBusinessDays;

    fn try_from(mut days: Vec<Day>) -> Result<Self, Self::Error> {
        days.sort_unstable();
        days.dedup();
        if days.len() > 6 {
            Err(InvalidBusinessDays::Weekend)
        } else {
            Ok(Self(days))
        }
    }
}

impl From<Weekend> for Vec<Day> {
    fn from(weekend: Weekend) -> Self {
        weekend.0
    }
}

impl Holidays {
    /// Some decades of them.
    pub const ENTRIES_MAX: usize = 500;

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<Date>> for Holidays {
    type Error = InvalidBusinessDays;

    fn try_from(mut dates: Vec<Date>) -> Result<Self, Self::Error> {
        dates.sort_unstable();
        dates.dedup();
        if dates.len() > Self::ENTRIES_MAX {
            Err(InvalidBusinessDays::Holidays)
        } else {
            Ok(Self(dates))
        }
    }
}

impl From<Holidays> for Vec<Date> {
    fn from(holidays: Holidays) -> Self {
        holidays.0
    }
}
