//! Problem details (RFC 9457): the one shape of every answer that is not a success.
//!
//! A handler gives an [`ApiError`]; the one table of statuses is `ApiError::kind`. The answer's body
//! is written by [`crate::exchange`], which knows the request's path and id and also gives this shape
//! to whatever the framework itself refuses.

mod field_error;

use std::borrow::Cow;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use commands::Failure;
use commands::dispatch::DispatchError;
use domain::{Position, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::field_error::FieldError;
use crate::auth::TokenError;

/// What every `type` begins with.
pub const TYPE_PREFIX: &str = "https://ledgerline.dev/problems/";
/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// After how many seconds to try again when something is away or full: long enough for a restart of
/// the log's leader, short enough not to be noticed much.
const RETRY_AFTER_S: u64 = 1;

/// Any error's underlying cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Problem details, RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable, one a sort of problem.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "https://ledgerline.dev/problems/invalid")]
    pub kind: Cow<'static, str>,
    /// The sort in words.
    #[schema(example = "a field breaks a rule")]
    pub title: Cow<'static, str>,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    pub status: u16,
    /// This one in words.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// The request, as in `X-Request-Id` and in the server's log.
    pub request_id: String,
    /// Each field that breaks a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false)]
    pub errors: Vec<FieldError>,
    /// How far the read side is, where it is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub position: Option<u64>,
    /// The aggregate's version, where another was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub version: Option<u64>,
}

/// Why a request was not answered with a success.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Not of the form that the route takes.
    #[error("request is malformed")]
    Malformed(Vec<FieldError>),
    /// Fields that break a rule.
    #[error("`{}` fields break a rule", .0.len())]
    Invalid(Vec<FieldError>),
    /// Nobody knows who it is.
    #[error(transparent)]
    Unauthenticated(#[from] TokenError),
    /// It is known who it is, and they may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such thing, or another tenant's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The path has other methods.
    #[error("method is not among those in `Allow`")]
    MethodNotAllowed,
    /// A rule said no.
    #[error("{message}")]
    Refused {
        /// The refusal's stable name.
        code: &'static str,
        /// What it says.
        message: String,
    },
    /// The aggregate has another version than the caller expected.
    #[error("aggregate is at version `{actual}`")]
    VersionMismatch {
        /// Its version.
        actual: u64,
    },
    /// More bytes or lines than the limit.
    #[error("{what} is larger than the limit of `{limit}`")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Another content type.
    #[error("content type must be `{0}`")]
    UnsupportedMediaType(&'static str),
    /// The key stands for another request.
    #[error("idempotency key was used for another request")]
    KeyReused,
    /// One too many of something that is limited.
    #[error("there are already `{limit}` {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// As many claims wait as the dispatcher lets wait.
    #[error(transparent)]
    TooManyClaims(DispatchError),
    /// It already runs, or is there.
    #[error("{0}")]
    Conflict(&'static str),
    /// Others were first too often.
    #[error("aggregate was changed by others `{0}` times in a row")]
    Contended(usize),
    /// More requests than can be served.
    #[error("more requests are being served than the limit")]
    Overloaded,
    /// Longer than the limit.
    #[error("request took longer than `{0}` s; a command may have been carried out")]
    TimedOut(u64),
    /// The read side did not get as far in time.
    #[error("read side is at `{reached}`, behind the asked `{asked}`")]
    Behind {
        /// What was asked for.
        asked: Position,
        /// How far it is.
        reached: Position,
    },
    /// Something that is needed did not answer.
    #[error("{what} is not available")]
    Unavailable {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Our mistake.
    #[error("request could not be served")]
    Internal(#[source] BoxError),
}

/// A row of the table of statuses.
pub(crate) struct Kind {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
}

/// What the handler leaves for [`crate::exchange`] to write.
#[derive(Debug, Clone)]
pub(crate) struct Draft(Box<Problem>);

impl ApiError {
    /// One parameter that is not of its form.
    #[must_use]
    pub fn parameter(name: impl Into<String>, rule: impl ToString) -> Self {
        Self::Malformed(vec![FieldError::parameter(name, rule)])
    }

    /// The one table of statuses.
    pub(crate) fn kind(&self) -> Kind {
        use StatusCode as S;
        let (status, code, title) = match self {
            Self::Malformed(_) => (S::BAD_REQUEST, "malformed", "request is malformed"),
            Self::Unauthenticated(_) => (S::UNAUTHORIZED, "unauthenticated", "a token is needed"),
            Self::Forbidden(_) => (S::FORBIDDEN, "forbidden", "token does not allow it"),
            Self::NotFound(_) => (S::NOT_FOUND, "not-found", "no such thing"),
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "method is not allowed here",
            ),
            Self::Refused { code, .. } => (S::CONFLICT, *code, "a rule refuses it"),
            Self::Conflict(_) => (S::CONFLICT, "conflict", "it is there already"),
            Self::VersionMismatch { .. } => (
                S::PRECONDITION_FAILED,
                "version-mismatch",
                "aggregate has another version",
            ),
            Self::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "too-large", "request is too large"),
            Self::UnsupportedMediaType(_) => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "content type is not taken",
            ),
            Self::Invalid(_) => (S::UNPROCESSABLE_ENTITY, "invalid", "a field breaks a rule"),
            Self::KeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "key-reused",
                "key stands for another request",
            ),
            Self::TooMany { .. } | Self::TooManyClaims(_) => {
                (S::TOO_MANY_REQUESTS, "too-many", "limit is reached")
            }
            Self::Contended(_) => (S::SERVICE_UNAVAILABLE, "contended", "too many writers"),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", "server is full"),
            Self::TimedOut(_) => (S::SERVICE_UNAVAILABLE, "timed-out", "server took too long"),
            Self::Unavailable { .. } => (
                S::SERVICE_UNAVAILABLE,
                "unavailable",
                "something needed is away",
            ),
            Self::Behind { .. } => (
                S::GATEWAY_TIMEOUT,
                "read-side-behind",
                "read side is not there yet",
            ),
            Self::Internal(_) => (
                S::INTERNAL_SERVER_ERROR,
                "internal",
                "server made a mistake",
            ),
        };
        Kind {
            status,
            code,
            title,
        }
    }

    /// The problem, logged if something broke.
    pub(crate) fn into_problem(self, instance: &str, request_id: &str) -> Problem {
        if let Self::Unavailable { source, .. } | Self::Internal(source) = &self {
            tracing::error!(error = %Chain(&**source), "{self}");
        }
        let Kind {
            status,
            code,
            title,
        } = self.kind();
        let mut problem = Problem {
            kind: format!("{TYPE_PREFIX}{code}").into(),
            title: title.into(),
            status: status.as_u16(),
            detail: self.to_string(),
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
            errors: Vec::new(),
            position: None,
            version: None,
        };
        match self {
            Self::Malformed(errors) | Self::Invalid(errors) => {
                problem.detail = sentence(&errors, problem.detail);
                problem.errors = errors;
            }
            Self::Behind { reached, .. } => problem.position = Some(reached.0),
            Self::VersionMismatch { actual } => problem.version = Some(actual),
            _ => {}
        }
        problem
    }

    /// The error that has `status` when the framework refused the request by itself.
    pub(crate) fn from_status(status: StatusCode, limit: usize) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound("path"),
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge {
                what: "body",
                limit,
            },
            status if status.is_client_error() => Self::Malformed(Vec::new()),
            status => Self::Internal(format!("framework answered `{status}`").into()),
        }
    }
}

/// The first error in words: most people read only the detail.
fn sentence(errors: &[FieldError], otherwise: String) -> String {
    match errors {
        [] => otherwise,
        [first, ..] => {
            let place = first.pointer.as_deref().or(first.parameter.as_deref());
            format!("`{}` {}", place.unwrap_or_default(), first.rule)
        }
    }
}

impl Problem {
    /// The answer with this problem as its body.
    pub(crate) fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem has only text and numbers");
        let mut response = Response::new(body.into());
        *response.status_mut() =
            StatusCode::from_u16(self.status).expect("it came from a status code");
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

impl Draft {
    /// The answer that `drafted` stands for, with the headers that it already has.
    pub(crate) fn finish(self, instance: &str, request_id: &str, drafted: &Response) -> Response {
        let mut problem = *self.0;
        instance.clone_into(&mut problem.instance);
        request_id.clone_into(&mut problem.request_id);
        let mut response = problem.into_response();
        for name in [RETRY_AFTER, WWW_AUTHENTICATE, ALLOW] {
            if let Some(value) = drafted.headers().get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self.kind().status;
        match &self {
            Self::Unauthenticated(_) => {
                let challenge = HeaderValue::from_static("Bearer realm=\"ledgerline\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            Self::TooMany { .. }
            | Self::TooManyClaims(_)
            | Self::Contended(_)
            | Self::Overloaded
            | Self::TimedOut(_)
            | Self::Behind { .. }
            | Self::Unavailable { .. } => {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            _ => {}
        }
        response
            .extensions_mut()
            .insert(Draft(Box::new(self.into_problem("", ""))));
        response
    }
}

impl<R: Refusal> From<Failure<R>> for ApiError {
    fn from(failure: Failure<R>) -> Self {
        match failure {
            Failure::Refused(refusal) if refusal.is_unknown() => Self::NotFound("aggregate"),
            Failure::Refused(refusal) => Self::Refused {
                code: refusal.code(),
                message: refusal.to_string(),
            },
            Failure::VersionMismatch { actual } => Self::VersionMismatch { actual },
            Failure::KeyReused => Self::KeyReused,
            Failure::OccurredInFuture(error) => {
                Self::Invalid(vec![FieldError::field("/occurred_at", error)])
            }
            Failure::TooLarge { bytes_max, .. } => Self::TooLarge {
                what: "commit",
                limit: bytes_max,
            },
            Failure::Contended { attempts } => Self::Contended(attempts),
            Failure::Unavailable(source) => Self::Unavailable {
                what: "journal",
                source,
            },
        }
    }
}

impl From<commands::ReadError> for ApiError {
    fn from(error: commands::ReadError) -> Self {
        Self::Unavailable {
            what: "journal",
            source: error.into(),
        }
    }
}

/// An error and its causes, in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_shape_that_clients_rely_on() {
        let errors = vec![
            FieldError::field("/title", "must not be blank"),
            FieldError::parameter("limit", "must be at most `500`"),
        ];
        let problem = ApiError::Invalid(errors).into_problem("/v1/assignments", "r-1");
        let expected = serde_json::json!({
            "type": "https://ledgerline.dev/problems/invalid",
            "title": "a field breaks a rule",
            "status": 422,
            "detail": "`/title` must not be blank",
            "instance": "/v1/assignments",
            "request_id": "r-1",
            "errors": [
                {"pointer": "/title", "rule": "must not be blank"},
                {"parameter": "limit", "rule": "must be at most `500`"},
            ],
        });
        assert_eq!(serde_json::to_value(problem).expect("plain"), expected);
    }

    #[test]
    fn a_refusal_is_named_by_its_own_code_and_an_unknown_aggregate_is_not_found() {
        use domain::assignment::{Refusal, Status};
        let ended = ApiError::from(Failure::Refused(Refusal::Ended(Status::Closed)));
        assert_eq!(
            (ended.kind().status.as_u16(), ended.kind().code),
            (409, "ended")
        );
        let unknown = ApiError::from(Failure::Refused(Refusal::Unknown));
        assert_eq!(
            (unknown.kind().status.as_u16(), unknown.kind().code),
            (404, "not-found")
        );
    }

    #[test]
    fn an_internal_cause_is_never_shown() {
        let error = ApiError::Unavailable {
            what: "journal",
            source: "password=secret".into(),
        };
        let problem = error.into_problem("/", "r");
        assert!(
            !serde_json::to_string(&problem)
                .expect("plain")
                .contains("secret")
        );
    }
}
