//! One attempt at one job, and how it fails.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the server takes of an error, in bytes.
const ERROR_BYTES_MAX: usize = 8_000;

/// What the server takes of a message, in bytes.
const MESSAGE_BYTES_MAX: usize = 500;

/// One attempt at one job.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    /// The job, the same for every attempt.
    pub id: String,
    /// Which attempt it is.
    pub attempt: u32,
    /// The queue that it waited in.
    pub queue: String,
    /// The sort of work.
    pub kind: String,
    /// What there is to know; null where nothing was given.
    #[serde(default)]
    pub payload: Value,
    /// What else it is found by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(skip)]
    progress: Arc<Mutex<Option<Progress>>>,
}

/// How far an attempt is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Progress {
    percent: u8,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// Work that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub(crate) error: String,
    pub(crate) retryable: bool,
}

impl Job {
    /// The payload as `T`; a payload that is none would be none in every attempt.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn payload_as<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let payload = serde_json::from_value(self.payload.clone());
        payload.map_err(|error| Failure::give_up(format!("payload is malformed: {error}")))
    }

    /// Tells with the next heartbeat how far the work is. Costs nothing; say it as often as you like.
    pub fn progress(&self, percent: u8, message: &str) {
        let told = Progress {
            percent: percent.min(100),
            message: clean(message, MESSAGE_BYTES_MAX),
        };
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    pub(crate) fn take_progress(&self) -> Option<Progress> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.take()
    }
}

impl Failure {
    /// Another attempt may succeed: the job waits for its backoff, as long as it has attempts left.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self {
            error: clean(&error.to_string(), ERROR_BYTES_MAX),
            retryable: true,
        }
    }

    /// Another attempt would fail as well: the job is dead.
    pub fn give_up(error: impl fmt::Display) -> Self {
        Self {
            retryable: false,
            ..Self::retry(error)
        }
    }
}

/// Any error may be gone the next time. `Failure` is no error itself, so that `?` works on all of them.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        Self::retry(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
    }
}

/// `text` in one line, without control characters, and not too long.
fn clean(text: &str, bytes_max: usize) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().map(visible).collect();
    line.truncate(line.floor_char_boundary(bytes_max));
    match line.trim() {
        "" => "?".to_owned(),
        line => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_one_line_that_the_server_takes() {
        assert_eq!(Failure::retry("a\nb\t").error, "a b");
        assert_eq!(
            Failure::give_up("ü".repeat(9_000)).error.len(),
            ERROR_BYTES_MAX
        );
        assert_eq!(Failure::retry("").error, "?");
    }

    #[test]
    fn any_error_is_tried_again_and_told_with_its_causes() {
        fn work() -> Result<u8, Failure> {
            Ok("x".parse()?)
        }
        let failure = Failure::retry("invalid digit found in string");
        assert_eq!(work(), Err(failure));
    }
}
