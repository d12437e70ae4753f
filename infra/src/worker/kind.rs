//! A kind of work: what it is given, and what it may come to.

use std::fmt;

use domain::job::ErrorText;
use domain::{Json, Tenant};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// How work of one kind is done.
pub trait Kind: fmt::Debug + Send + Sync + 'static {
    /// The name by which jobs ask for it.
    fn name(&self) -> &'static str;

    /// Does it once.
    ///
    /// The future is dropped when the work is to stop: whatever it has started has to end by that.
    fn run<'a>(
        &'a self,
        context: &'a Context,
        payload: Option<&'a Json>,
    ) -> BoxFuture<'a, Result<Option<Json>, Failed>>;
}

/// For which attempt work is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Whose job it is.
    pub tenant: Tenant,
    /// The job: the same for every attempt, so that whoever is called can know a repeat by it.
    pub job: Uuid,
    /// The number of the attempt.
    pub attempt: u32,
}

/// Work that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What went wrong.
    pub error: ErrorText,
    /// Whether another attempt may go better.
    pub retryable: bool,
}

impl Failed {
    /// Another attempt may go better.
    #[must_use]
    pub fn for_now(error: impl fmt::Display) -> Self {
        Self {
            error: error_text(&error.to_string()),
            retryable: true,
        }
    }

    /// Another attempt would fail as well.
    #[must_use]
    pub fn for_good(error: impl fmt::Display) -> Self {
        Self {
            error: error_text(&error.to_string()),
            retryable: false,
        }
    }
}

/// `text` as the journal takes it: without control characters, and cut where it is too long.
fn error_text(text: &str) -> ErrorText {
    let printable = |c: char| match c {
        '\n' | '\r' | '\t' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let text: String = text.chars().map(printable).collect();
    let end = text.floor_char_boundary(ErrorText::BYTES_MAX);
    let kept = ErrorText::new(&text[..end]);
    kept.unwrap_or_else(|_blank| ErrorText::new("failed without a word").expect("a text"))
}

/// What a job wants, as its kind understands it.
pub(super) fn wanted<T: DeserializeOwned>(payload: Option<&Json>) -> Result<T, Failed> {
    let payload = payload.ok_or_else(|| Failed::for_good("this kind needs a payload"))?;
    serde_json::from_str(payload.get())
        .map_err(|error| Failed::for_good(format_args!("payload is not as it has to be: {error}")))
}

/// What came of it, as the job keeps it.
pub(super) fn result(result: &impl Serialize) -> Result<Option<Json>, Failed> {
    let text = serde_json::to_string(result).and_then(RawValue::from_string);
    let raw = text.map_err(|error| Failed::for_good(format_args!("result is no JSON: {error}")))?;
    let json =
        Json::new(raw).map_err(|too_much| Failed::for_good(format_args!("result {too_much}")))?;
    Ok(Some(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_program_says_becomes_an_error_that_the_journal_takes() {
        let said = |text: &str| Failed::for_now(text).error.as_str().to_owned();
        assert_eq!(said("a\0b\x1b[1m\nc"), "a\u{fffd}b\u{fffd}[1m\nc");
        assert_eq!(said(" \n"), "failed without a word");
        assert_eq!(said(&"\0".repeat(9_000)).len(), 7_998);
    }
}
