//! Recurrences: when a schedule is due. Pure: the rules of time zones are a part of the program (the
//! IANA database as `jiff` bundles it), so the same schedule is due at the same times on every machine.
//!
//! Cron lines have five fields, or six with seconds in front. Around a change of clocks they go by the
//! rule of Vixie's cron, as `croner` has it: a fixed time that is skipped is due right behind the gap,
//! one that is repeated is due once; what recurs by the hour or minute follows the clock on the wall.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::SignedDuration;
use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use super::BusinessDays;
use crate::{Text, Timestamp, Whole};

/// How a recurrence is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Recurrence {
    /// By a cron line, in the time of a zone.
    Cron {
        /// Five fields, or six with seconds in front; names and `L`, `#`, `W` as cron has them.
        line: CronLine,
        /// An IANA name, as `Europe/Berlin`.
        #[serde(default)]
        time_zone: ZoneName,
    },
    /// Every so often.
    Every {
        /// In milliseconds.
        interval_ms: IntervalMs,
        /// One of the times; 1970-01-01 where nothing is said.
        #[serde(default = "epoch")]
        anchor: Timestamp,
    },
    /// Once.
    Once {
        /// When.
        at: Timestamp,
    },
}

fn epoch() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// A cron line that was understood.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CronLine {
    text: Box<str>,
    cron: Box<Cron>,
}

/// The name of a zone that there is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneName {
    name: Box<str>,
    zone: TimeZone,
}

/// A second to a year.
pub type IntervalMs = Whole<1_000, 31_536_000_000>;

/// Why a recurrence was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecurrence {
    /// Longer than any line that means something.
    #[error("must have at most `{}` bytes", CronLine::BYTES_MAX)]
    TooLong,
    /// Not a cron line.
    #[error("must be a cron line of 5 or 6 fields: {0}")]
    Cron(Text<500, false>),
    /// A line that no day fits, as 30 February.
    #[error("must be due at some time within the next years")]
    NeverDue,
    /// Not a zone.
    #[error("must be the name of an IANA time zone, as `Europe/Berlin`")]
    Zone,
}

impl Recurrence {
    /// The first time behind `after` that is due, on the days that count.
    #[must_use]
    pub fn next(&self, after: Timestamp, days: Option<&BusinessDays>) -> Option<Timestamp> {
        match days {
            None => self.next_any_day(after),
            Some(days) => self.next_on(days, after),
        }
    }

    /// The first time behind `after` that is due on a day that counts, or is moved to one.
    fn next_on(&self, days: &BusinessDays, after: Timestamp) -> Option<Timestamp> {
        let zone = self.zone();
        let begin = after.to_zoned(zone.clone()).datetime();
        let mut day = begin.date();
        for _ in 0..DAYS_SEARCHED_MAX {
            if days.counts(day) {
                let is_first_day = day == begin.date();
                let behind = if is_first_day {
                    begin.time()
                } else {
                    Time::MIN
                };
                let times = days
                    .moved_to(day)
                    .filter_map(|source| self.first_on(source, behind, is_first_day, &zone));
                let due = times
                    .min()
                    .map(|time| zone.to_timestamp(day.to_datetime(time)));
                match due {
                    // A change of clocks may have put it back to where the search began.
                    Some(Ok(due)) if due > after => return Some(due),
                    Some(_) | None => {}
                }
                let end = zone.to_timestamp(day.tomorrow().ok()?.to_datetime(Time::MIN));
                let next = self.next_any_day(just_before(end.ok()?))?;
                let next = next.to_zoned(zone.clone()).date().max(day.tomorrow().ok()?);
                day = days.first_target(next, day);
            } else {
                day = day.tomorrow().ok()?;
            }
        }
        None
    }

    /// The time of day at which it is first due on `day`, later than `behind` where that counts.
    fn first_on(&self, day: Date, behind: Time, is_later: bool, zone: &TimeZone) -> Option<Time> {
        let begin = zone.to_timestamp(day.to_datetime(behind)).ok()?;
        let begin = if is_later { begin } else { just_before(begin) };
        let due = self.next_any_day(begin)?.to_zoned(zone.clone());
        (due.date() == day).then(|| due.time())
    }

    /// In whose time the days are.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        match self {
            Self::Cron { time_zone, .. } => time_zone.zone.clone(),
            Self::Every { .. } | Self::Once { .. } => TimeZone::UTC,
        }
    }

    fn next_any_day(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { line, time_zone } => line.next(after, &time_zone.zone),
            Self::Every {
                interval_ms,
                anchor,
            } => next_every(*interval_ms, *anchor, after),
            Self::Once { at } => (*at > after).then_some(*at),
        }
    }
}

/// How many days are looked at for one that counts: those on which nothing is due are passed over.
const DAYS_SEARCHED_MAX: usize = 2_000;

fn just_before(time: Timestamp) -> Timestamp {
    let before = time.checked_sub(SignedDuration::from_nanos(1));
    before.unwrap_or(Timestamp::MIN)
}

impl CronLine {
    /// Longer lines do not mean more.
    pub const BYTES_MAX: usize = 200;

    /// The text, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let after = after.to_zoned(zone.clone());
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        Some(next.timestamp())
    }
}

impl TryFrom<String> for CronLine {
    type Error = InvalidRecurrence;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() > Self::BYTES_MAX {
            return Err(InvalidRecurrence::TooLong);
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(&text).map_err(|error| {
            let said: String = error.to_string().chars().take(400).collect();
            let said =
                Text::new(said).unwrap_or_else(|_| Text::new("not understood").expect("a text"));
            InvalidRecurrence::Cron(said)
        })?;
        let line = Self {
            text: text.into(),
            cron: Box::new(cron),
        };
        // A date that every line has had by then that ever has one: 29 February on some weekday.
        let from = Timestamp::constant(946_684_800, 0);
        match line.next(from, &TimeZone::UTC) {
            Some(_) => Ok(line),
            None => Err(InvalidRecurrence::NeverDue),
        }
    }
}

impl From<CronLine> for String {
    fn from(line: CronLine) -> Self {
        line.text.into()
    }
}

impl PartialEq for CronLine {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CronLine {}

impl fmt::Debug for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl ZoneName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Default for ZoneName {
    fn default() -> Self {
        Self {
            name: "UTC".into(),
            zone: TimeZone::UTC,
        }
    }
}

impl TryFrom<String> for ZoneName {
    type Error = InvalidRecurrence;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.len() > CronLine::BYTES_MAX {
            return Err(InvalidRecurrence::TooLong);
        }
        let zone = TimeZoneDatabase::bundled().get(&name);
        Ok(Self {
            zone: zone.map_err(|_| InvalidRecurrence::Zone)?,
            name: name.into(),
        })
    }
}

impl From<ZoneName> for String {
    fn from(zone: ZoneName) -> Self {
        zone.name.into()
    }
}

impl PartialEq for ZoneName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ZoneName {}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

/// The first of the times that are `interval_ms` apart, one of them `anchor`, behind `after`.
fn next_every(interval_ms: IntervalMs, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
    let interval = i128::from(interval_ms.get()) * 1_000_000;
    let since = after.as_nanosecond() - anchor.as_nanosecond();
    let steps = since.div_euclid(interval) + 1;
    Timestamp::from_nanosecond(anchor.as_nanosecond() + steps * interval).ok()
}
