//! The way to the server. One request, one answer, with the statuses of HTTP.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;

/// How long an answer may take beside what was asked to wait.
pub const ANSWER_MAX: Duration = Duration::from_secs(15);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    /// Jobs.
    Claim,
    /// `heartbeat`, `complete`, `fail` or `release` of a job.
    Report {
        /// The job.
        id: &'a str,
        /// Which of them.
        verb: &'static str,
    },
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What is asked for.
    pub call: Call<'a>,
    /// Its body, JSON.
    pub body: Bytes,
    /// By what a repeat is known.
    pub key: Option<&'a str>,
    /// How long the server may wait with its answer.
    pub wait: Duration,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// When to try again, where it says so.
    pub retry_after: Option<Duration>,
    /// Its body, JSON.
    pub body: Bytes,
}

/// There was no answer: the request may have been carried out.
#[derive(Debug, thiserror::Error)]
#[error("server did not answer")]
pub struct NoAnswer(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A way to the server. A request that is dropped while it waits is handed no jobs.
pub trait Transport: Send + Sync + 'static {
    /// Asks once.
    fn ask<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Answer, NoAnswer>>;
}

impl NoAnswer {
    /// For whatever reason.
    pub fn because(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(reason.into())
    }
}

impl Answer {
    /// Whether it says "later" and not "no".
    #[must_use]
    pub fn is_later(&self) -> bool {
        matches!(self.status, 408 | 429) || self.status >= 500
    }

    /// What it says went wrong, as problem details do.
    #[must_use]
    pub fn detail(&self) -> String {
        #[derive(Deserialize)]
        struct Problem {
            detail: String,
        }
        let problem = serde_json::from_slice::<Problem>(&self.body);
        problem.map_or_else(
            |_| format!("status {}", self.status),
            |problem| problem.detail,
        )
    }
}

/// A header's number of seconds.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_secs)
}
