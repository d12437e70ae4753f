//! Query parameters: each taken once by name, and every one that nobody took is an error, so that a
//! misspelt filter is never silently a list of everything.

use std::fmt;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use domain::Position;
use projections::{Cursor, Paging};

use crate::problem::{ApiError, FieldError};
use crate::texts::parse_time;

/// How many items a page has if nothing is said.
const LIMIT_DEFAULT: u32 = 50;

/// The greatest position that there can be: the read models keep positions as signed numbers.
pub(crate) const POSITION_MAX: u64 = i64::MAX as u64;

/// The parameters of one query, and what is wrong with them.
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Params {
    /// The parameters in `uri`.
    pub(crate) fn of(uri: &Uri) -> Self {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap_or_default();
        Self {
            pairs,
            errors: Vec::new(),
        }
    }

    /// The text of `name`, if it was sent; sent twice it is an error.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let mut found = self.pairs.extract_if(.., |(key, _)| key == name);
        let (first, second) = (found.next(), found.next());
        drop(found);
        if second.is_some() {
            self.refuse(name, "must not be sent twice");
        }
        first.map(|(_, value)| value)
    }

    /// The value of `name` as a `T`.
    pub(crate) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        self.checked(name, |text| {
            text.parse().map_err(|rule: T::Err| rule.to_string())
        })
    }

    /// The value of `name`, checked by `check`.
    pub(crate) fn checked<T, E: fmt::Display>(
        &mut self,
        name: &str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name)?;
        check(&text).map_err(|rule| self.refuse(name, rule)).ok()
    }

    /// The moment of `name`.
    pub(crate) fn time(&mut self, name: &str) -> Option<domain::Timestamp> {
        self.checked(name, parse_time)
    }

    /// The plain decimal number of `name`.
    pub(crate) fn number<N: FromStr>(&mut self, name: &str) -> Option<N> {
        self.checked(name, number)
    }

    /// The position of `name`.
    pub(crate) fn position(&mut self, name: &str) -> Option<Position> {
        self.checked(name, position)
    }

    /// Every parameter whose name begins with `prefix`, by the rest of its name.
    pub(crate) fn prefixed(&mut self, prefix: &str) -> impl Iterator<Item = (String, String)> {
        let taken: Vec<_> = self
            .pairs
            .extract_if(.., |(key, _)| key.starts_with(prefix))
            .collect();
        let length = prefix.len();
        taken
            .into_iter()
            .map(move |(key, value)| (key[length..].to_owned(), value))
    }

    /// How many items a page has.
    pub(crate) fn limit(&mut self) -> u32 {
        let limit = self.checked("limit", |text| {
            let limit = number(text)
                .ok()
                .filter(|n| (1..=projections::query::PAGE_ITEMS_MAX).contains(n));
            limit.ok_or("must be a number from `1` to `500`")
        });
        limit.unwrap_or(LIMIT_DEFAULT)
    }

    /// Where the page before ended.
    pub(crate) fn cursor<C, E: fmt::Display>(
        &mut self,
        read: impl FnOnce(&str) -> Result<C, E>,
    ) -> Result<Option<C>, ApiError> {
        // A cursor of the right form is one that we gave: any other breaks a rule, not the form.
        let cursor = self.text("cursor").map(|text| read(&text)).transpose();
        cursor.map_err(|rule| ApiError::Invalid(vec![FieldError::parameter("cursor", rule)]))
    }

    /// `limit`, `cursor` and, where the list can be counted, `count`.
    pub(crate) fn paging(&mut self, countable: bool) -> Result<Paging, ApiError> {
        let limit = self.limit();
        let count = countable.then(|| {
            self.checked("count", |text| {
                text.parse::<bool>()
                    .map_err(|_| "must be `true` or `false`")
            })
        });
        let cursor = self.cursor(Cursor::decode)?;
        Ok(Paging {
            limit,
            cursor,
            count: count.flatten().unwrap_or(false),
        })
    }

    /// Notes that `name` breaks `rule`.
    pub(crate) fn refuse(&mut self, name: &str, rule: impl ToString) {
        self.errors.push(FieldError::parameter(name, rule));
    }

    /// Everything was taken and nothing was wrong.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.refuse(&name, "is no parameter of this path");
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Malformed(self.errors))
        }
    }
}

/// Digits only: the standard parser would also take a sign.
fn number<N: FromStr>(text: &str) -> Result<N, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or("must be a whole number, not larger than fits")
}

/// A position, wherever it is sent.
pub(crate) fn position(text: &str) -> Result<Position, &'static str> {
    let position = number(text).ok().filter(|n| *n <= POSITION_MAX);
    position
        .map(Position)
        .ok_or("must be a whole number, at most `9223372036854775807`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&format!("/x?{query}").parse().expect("a uri"))
    }

    #[test]
    fn a_parameter_that_nobody_took_is_refused() {
        let mut some = params("limit=5&limitt=6");
        assert_eq!(some.paging(false).expect("no cursor").limit, 5);
        let error = some.finish().expect_err("one is left");
        assert!(matches!(error, ApiError::Malformed(errors) if errors.len() == 1));
    }

    #[test]
    fn a_parameter_sent_twice_is_refused() {
        let mut twice = params("name=a&name=b");
        assert_eq!(twice.text("name").as_deref(), Some("a"));
        assert!(twice.finish().is_err());
    }

    #[test]
    fn a_number_is_digits_only() {
        for bad in ["+1", "-1", "", "1.0", "0x1", "99999999999999999999", "%00"] {
            let mut one = params(&format!("n={bad}"));
            assert_eq!(one.number::<u64>("n"), None, "{bad}");
            assert!(one.finish().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_position_is_one_that_the_read_models_can_keep() {
        assert_eq!(position("9223372036854775807"), Ok(Position(POSITION_MAX)));
        assert!(position("9223372036854775808").is_err());
        assert!(position("").is_err());
    }
}
