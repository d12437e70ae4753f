//! The part of an address behind the question mark, and the times that stand in it.

use std::fmt::Display;
use std::str::FromStr;

use domain::Timestamp;

/// Names and values, in their order; names may repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

/// A moment on the command line: RFC 3339, or without a zone, then in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Query {
    /// With a value, if there is one.
    pub(crate) fn with(mut self, name: &str, value: Option<impl Display>) -> Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// With one more value.
    pub(crate) fn set(&mut self, name: &str, value: impl Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(instant) = text.parse() {
            return Ok(Self(instant));
        }
        // A date alone is its midnight.
        let civil = text.parse::<jiff::civil::DateTime>().ok();
        let instant = civil.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok());
        instant.map(|zoned| Self(zoned.timestamp())).ok_or_else(|| {
            "must be a time as `2026-03-01T09:00:00Z` or a date as `2026-03-01`".to_owned()
        })
    }
}

impl Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_instant_or_a_civil_time_in_utc() {
        for (text, instant) in [
            ("2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00Z"),
            ("2026-03-01T09:00:00Z", "2026-03-01T09:00:00Z"),
            ("2026-03-01 09:00", "2026-03-01T09:00:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
        ] {
            assert_eq!(text.parse::<Moment>().expect(text).to_string(), instant);
        }
        for bad in ["", "yesterday", "2026-13-01", "12"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_asked() {
        let query = Query::default().with("a", Some(1)).with("b", None::<u8>);
        assert_eq!(query.pairs(), [("a".to_owned(), "1".to_owned())]);
    }
}
