//! Texts as they come in: plain strings that carry the schema of the domain's type for them.
//!
//! They are checked in one go by [`crate::fields`], not while JSON is read, so that a body with three
//! wrong fields is answered with three errors.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A person, team, agent, kind or reference: one line of at most 200 bytes, not blank.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(
    value_type = String, min_length = 1, max_length = 200, example = "network",
    pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
)]
pub(crate) struct NameText(pub(crate) String);

/// One line of at most 500 bytes, not blank.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(
    value_type = String, min_length = 1, max_length = 500, example = "Replace the fan of rack 7",
    pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
)]
pub(crate) struct LineText(pub(crate) String);

/// A reason or an outcome: lines of at most 2,000 bytes in all, not blank.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(
    value_type = String, min_length = 1, max_length = 2000, example = "spare part ordered",
    pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
)]
pub(crate) struct ReasonText(pub(crate) String);

/// A description or a note: lines of at most 20,000 bytes in all, not blank.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(
    value_type = String, min_length = 1, max_length = 20000, example = "The fan is loud.",
    pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
)]
pub(crate) struct LongText(pub(crate) String);

/// What went wrong: lines of at most 8,000 bytes in all, not blank.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(
    value_type = String, min_length = 1, max_length = 8000, example = "no such mailbox",
    pattern = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
)]
pub(crate) struct ErrorText(pub(crate) String);

/// A name that can stand in a path: 1 to 64 letters, digits, `_` and `-`.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "mail", pattern = "^[A-Za-z0-9_-]{1,64}$")]
pub(crate) struct TokenText(pub(crate) String);

/// A moment as RFC 3339 writes it.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = "date-time", example = "2026-11-21T09:30:00Z")]
pub(crate) struct TimeText(pub(crate) String);

/// A UUID with its hyphens.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(
    value_type = String, format = "uuid", example = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10",
    pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
)]
pub(crate) struct IdText(pub(crate) String);

impl From<NameText> for String {
    fn from(text: NameText) -> Self {
        text.0
    }
}

impl From<LineText> for String {
    fn from(text: LineText) -> Self {
        text.0
    }
}

impl From<ReasonText> for String {
    fn from(text: ReasonText) -> Self {
        text.0
    }
}

impl From<LongText> for String {
    fn from(text: LongText) -> Self {
        text.0
    }
}

impl From<ErrorText> for String {
    fn from(text: ErrorText) -> Self {
        text.0
    }
}

impl From<TokenText> for String {
    fn from(text: TokenText) -> Self {
        text.0
    }
}

impl TimeText {
    /// The moment, or the rule that the text breaks.
    pub(crate) fn parse(&self) -> Result<domain::Timestamp, &'static str> {
        parse_time(&self.0)
    }
}

/// A moment with its offset, as RFC 3339 writes it.
pub(crate) fn parse_time(text: &str) -> Result<domain::Timestamp, &'static str> {
    text.parse()
        .map_err(|_| "must be a time as in RFC 3339, with its offset")
}

/// The form of a UUID with its hyphens.
pub(crate) const ID_PATTERN: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";

/// Only the form with hyphens: one thing has one name.
pub(crate) fn parse_id(text: &str) -> Result<uuid::Uuid, &'static str> {
    match uuid::Uuid::try_parse(text) {
        Ok(id) if text.len() == uuid::fmt::Hyphenated::LENGTH => Ok(id),
        Ok(_) | Err(_) => Err("must be a UUID with its hyphens"),
    }
}
