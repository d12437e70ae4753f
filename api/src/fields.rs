//! From a body's raw fields to the domain's own types, with every error at once.

use std::fmt;

use domain::Whole;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};

use crate::problem::{ApiError, FieldError};
use crate::texts::TimeText;

/// Collects the errors of one body.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<FieldError>);

impl Fields {
    /// The checked value; nothing, and one more error, where it breaks its rule.
    pub(crate) fn check<T, E: fmt::Display>(
        &mut self,
        pointer: &str,
        checked: Result<T, E>,
    ) -> Option<T> {
        checked
            .map_err(|rule| self.0.push(FieldError::field(pointer, rule)))
            .ok()
    }

    /// A text that must be there, in the domain's type for it.
    pub(crate) fn text<T>(&mut self, pointer: &str, text: impl Into<String>) -> Option<T>
    where
        T: TryFrom<String, Error: fmt::Display>,
    {
        self.check(pointer, T::try_from(text.into()))
    }

    /// A text that may be absent: the outer option is empty only after an error.
    pub(crate) fn optional<T>(
        &mut self,
        pointer: &str,
        text: Option<impl Into<String>>,
    ) -> Option<Option<T>>
    where
        T: TryFrom<String, Error: fmt::Display>,
    {
        match text {
            Some(text) => self.text(pointer, text).map(Some),
            None => Some(None),
        }
    }

    /// A whole number within the domain's limits for it.
    pub(crate) fn number<const MIN: u64, const MAX: u64>(
        &mut self,
        pointer: &str,
        number: i64,
    ) -> Option<Whole<MIN, MAX>> {
        self.check(pointer, Whole::new(number))
    }

    /// A number that may be absent: the outer option is empty only after an error.
    pub(crate) fn optional_number<const MIN: u64, const MAX: u64>(
        &mut self,
        pointer: &str,
        number: Option<i64>,
    ) -> Option<Option<Whole<MIN, MAX>>> {
        match number {
            Some(number) => self.number(pointer, number).map(Some),
            None => Some(None),
        }
    }

    /// A time that may be absent: the outer option is empty only after an error.
    pub(crate) fn optional_time(
        &mut self,
        pointer: &str,
        time: Option<&TimeText>,
    ) -> Option<Option<domain::Timestamp>> {
        match time {
            Some(time) => self.check(pointer, time.parse()).map(Some),
            None => Some(None),
        }
    }

    /// Texts of a list, each in the domain's type for it; pointers name their places.
    pub(crate) fn texts<T>(
        &mut self,
        pointer: &str,
        texts: impl IntoIterator<Item = impl Into<String>>,
    ) -> Option<Vec<T>>
    where
        T: TryFrom<String, Error: fmt::Display>,
    {
        let mut all = Some(Vec::new());
        for (index, text) in texts.into_iter().enumerate() {
            let text = self.text(&format!("{pointer}/{index}"), text);
            all = all.zip(text).map(|(mut all, text)| {
                all.push(text);
                all
            });
        }
        all
    }

    /// What `read` makes of what stands at `pointer`; its errors point there.
    pub(crate) fn within<T>(
        &mut self,
        pointer: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mut inside = Self::default();
        let value = read(&mut inside);
        let errors = inside.0.into_iter().map(|error| error.within(pointer));
        self.0.extend(errors);
        value
    }

    /// What was built, if no field broke a rule.
    pub(crate) fn finish<T>(self, built: Option<T>) -> Result<T, ApiError> {
        match built {
            Some(built) if self.0.is_empty() => Ok(built),
            _ => Err(ApiError::Invalid(self.0)),
        }
    }
}

/// The greatest number that every JSON reader takes exactly: 2^53 - 1.
const EXACT_MAX: u64 = 9_007_199_254_740_991;

/// A number that no reader on the way may have rounded.
pub(crate) fn exact(number: u64) -> Result<u64, &'static str> {
    if number <= EXACT_MAX {
        Ok(number)
    } else {
        Err("must be at most `9007199254740991`")
    }
}

/// A whole number however JSON writes it: `7`, `7.0` and `7e0` are one integer to JSON Schema.
pub(crate) fn whole<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i64>,
{
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let written_as_float = || {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() <= EXACT_MAX as f64).then_some(float as i64)
    };
    let whole = number.as_i64().or_else(written_as_float);
    let fitting = whole.and_then(|whole| N::try_from(whole).ok());
    let fitting = fitting.ok_or_else(|| D::Error::custom("must be a whole number in its range"))?;
    Ok(Some(fitting))
}

/// A whole number that must be there.
pub(crate) fn whole_required<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i64>,
{
    let number = whole(deserializer)?;
    number.ok_or_else(|| D::Error::custom("must be a whole number"))
}

/// A key as one part of a JSON pointer (RFC 6901, 3).
pub(crate) fn pointer_part(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<u64>, serde_json::Error> {
        whole(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for seven in ["7", "7.0", "7e0", "0.7e1"] {
            assert_eq!(read(seven).ok(), Some(Some(7)), "{seven}");
        }
        assert_eq!(read("null").ok(), Some(None));
        assert_eq!(
            read("9007199254740992").ok(),
            Some(Some(9_007_199_254_740_992))
        );
        for bad in [
            "7.5",
            "-1",
            "-1.0",
            "1e300",
            "18446744073709551616",
            "\"7\"",
            "{}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
