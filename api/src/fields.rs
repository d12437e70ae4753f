//! From a body's raw fields to the domain's own types, with every error at once.

use std::fmt;

use crate::problem::{ApiError, FieldError};

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

    /// What was built, if no field broke a rule.
    pub(crate) fn finish<T>(self, built: Option<T>) -> Result<T, ApiError> {
        match built {
            Some(built) if self.0.is_empty() => Ok(built),
            _ => Err(ApiError::Invalid(self.0)),
        }
    }
}

/// A key as one part of a JSON pointer (RFC 6901, 3).
pub(crate) fn pointer_part(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
