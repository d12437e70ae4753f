//! The worker protocol without HTTP: a request that came by another way (NATS) is carried out by the
//! same router, so that tokens, limits, rules and problem details cannot differ.
//!
//! ```text
//! subject, headers, body ─▶ Gateway ─ http::Request ─▶ router ─▶ status, headers, body
//! ```
//! - [`subjects`]: which subject stands for which route.
//! - [`document`]: the protocol with its JSON Schemas, made from the OpenAPI description.
//!
//! Only what a worker needs has a subject. The token is taken from the header, as ever: who may send a
//! message is nobody yet. Deliberately absent: whatever carries messages, which is the caller's.

mod document;
mod subjects;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use uuid::Uuid;

pub use self::document::document;
pub use self::subjects::ALL_SUBJECTS;
use self::subjects::CLAIM_SUBJECT;
use crate::jobs::claim::BytesMax;
use crate::problem::{ApiError, Draft};

/// The header of an answer's status. `Status` alone is what NATS itself uses: clients take a 503 in it
/// for nobody listening.
pub const STATUS: &str = "Ledgerline-Status";

/// Requests at the same time: what the router itself takes of claims and of everything else. More are
/// refused before they are looked at.
const IN_FLIGHT_MAX: usize = 8_192;

/// What of a message is left to its headers; ours have less than 1 KiB.
const HEADERS_BYTES_MAX: usize = 4 * 1024;

/// The key that makes a repeat harmless.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Where the last hand-out stands: only the answer to a claim that was given jobs has one.
const HAND_OUT: &str = "Ledgerline-Position";

/// What a request may bring along beside its body; other headers are not looked at.
pub(crate) const REQUEST_HEADERS: [&str; 7] = [
    "Authorization",
    "Content-Type",
    IDEMPOTENCY_KEY,
    "If-Match",
    "X-Correlation-Id",
    "X-Request-Id",
    "traceparent",
];

/// What an answer brings along beside its status and body.
pub(crate) const ANSWER_HEADERS: [&str; 5] = [
    "Content-Type",
    "Retry-After",
    HAND_OUT,
    "ETag",
    "X-Request-Id",
];

/// The router, for requests that come by messages.
#[derive(Debug)]
pub struct Gateway {
    router: Router,
    places: Semaphore,
    answer_bytes_max: usize,
}

/// A request as a message.
#[derive(Debug, Clone)]
pub struct Message {
    /// What is asked for.
    pub subject: String,
    /// Its headers, in whatever case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

/// An answer as a message.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status that HTTP would have.
    pub status: StatusCode,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
}

/// What has to be known of a claim's answer to give its jobs back.
#[derive(Deserialize)]
struct Claimed {
    jobs: Vec<ClaimedAttempt>,
}

#[derive(Deserialize)]
struct ClaimedAttempt {
    id: Uuid,
    attempt: u32,
}

impl Gateway {
    /// Over `router`, for messages of at most so many bytes.
    #[must_use]
    pub fn new(router: Router, message_bytes_max: usize) -> Self {
        Self {
            router,
            places: Semaphore::new(IN_FLIGHT_MAX),
            answer_bytes_max: message_bytes_max.saturating_sub(HEADERS_BYTES_MAX),
        }
    }

    /// Carries out what `message` asks for.
    pub async fn answer(&self, message: &Message) -> Answer {
        let path = subjects::path_of(&message.subject);
        let Ok(_place) = self.places.try_acquire() else {
            return read(problem(ApiError::Overloaded, &path)).await;
        };
        let answer = self.ask(&path, headers_of(message), message.body.clone());
        let answer = answer.await;
        if answer.body.len() <= self.answer_bytes_max {
            return answer;
        }
        // A claim is bounded before anything is handed out, and nothing else has long answers.
        if Self::must_arrive(message, &answer) {
            self.give_back(message, &answer.body).await;
        }
        let error = ApiError::TooLarge {
            what: "answer",
            limit: self.answer_bytes_max,
        };
        read(problem(error, &path)).await
    }

    /// Whether an answer has jobs, which have to be given back where it does not arrive.
    #[must_use]
    pub fn must_arrive(message: &Message, answer: &Answer) -> bool {
        let has_jobs = |(name, _): &(&str, String)| *name == HAND_OUT;
        message.subject == CLAIM_SUBJECT && answer.headers.iter().any(has_jobs)
    }

    /// Releases the jobs of an answer that must arrive and did not, as whoever claimed them.
    pub async fn give_back(&self, message: &Message, body: &[u8]) {
        let claimed: Result<Claimed, _> = serde_json::from_slice(body);
        for job in claimed.map(|claimed| claimed.jobs).unwrap_or_default() {
            let path = format!("/v1/jobs/{}/release", job.id);
            let body = format!(r#"{{"attempt":{}}}"#, job.attempt);
            let mut headers = headers_of(message);
            headers.remove(IDEMPOTENCY_KEY);
            let released = self.ask(&path, headers, body.into()).await;
            tracing::debug!(job = %job.id, status = %released.status, "job did not arrive, given back");
        }
    }

    async fn ask(&self, path: &str, headers: HeaderMap, body: Bytes) -> Answer {
        let mut request = Request::post(path)
            .body(Body::from(body))
            .expect("a path of ours and nothing else");
        *request.headers_mut() = headers;
        request
            .extensions_mut()
            .insert(BytesMax(self.answer_bytes_max));
        match self.router.clone().oneshot(request).await {
            Ok(response) => read(response).await,
            Err(never) => match never {},
        }
    }
}

/// Those of the headers that a request may bring along.
fn headers_of(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        let is_taken = |taken: &&str| taken.eq_ignore_ascii_case(name);
        let header = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(header), Ok(value)) = (header, value)
            && REQUEST_HEADERS.iter().any(is_taken)
        {
            headers.append(header, value);
        }
    }
    let json = HeaderValue::from_static("application/json");
    headers.entry(CONTENT_TYPE).or_insert(json);
    headers
}

fn problem(error: ApiError, path: &str) -> Response {
    let mut drafted = error.into_response();
    let draft: Option<Draft> = drafted.extensions_mut().remove();
    let draft = draft.expect("every error drafts a problem");
    draft.finish(path, "", &drafted)
}

async fn read(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let headers = ANSWER_HEADERS.into_iter().filter_map(|name| {
        let value = parts.headers.get(name)?.to_str().ok()?.to_owned();
        Some((name, value))
    });
    // What it may be is said where it is made; what it is, is looked at by whoever sends it on.
    let body = to_bytes(body, usize::MAX).await;
    Answer {
        status: parts.status,
        headers: headers.collect(),
        body: body.expect("the answers to workers are made in memory"),
    }
}
