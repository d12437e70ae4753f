//! What queries have in common: waiting for one's own write, and answers with their position.

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::Position;
use projections::{Found, QueryError, ReadSide, Reader};
use serde::Serialize;

use crate::app::App;
use crate::auth::Caller;
use crate::command::etag;
use crate::exchange::POSITION;
use crate::params::{self, Params};
use crate::problem::{ApiError, FieldError};

/// The header by which a caller waits for its own write.
const MIN_POSITION: HeaderName = HeaderName::from_static("ledgerline-min-position");

/// The read models.
#[derive(Debug, Clone)]
pub struct Reads {
    /// Answers queries.
    pub reader: Reader,
    /// Knows how far the read side is.
    pub side: ReadSide,
}

/// A query as it comes in: who asks, and with which parameters. When it is there, the read side has
/// reached the position that the caller asked for.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    pub(crate) params: Params,
    pub(crate) least: Least,
}

/// The position that an answer must have reached, where the caller asked for one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Least(Option<Position>);

impl Least {
    /// What was asked for, or `position` where that is later.
    pub(crate) fn or_later(self, position: Position) -> Self {
        Self(self.0.max(Some(position)))
    }

    /// Whether an answer at `reached` will do. A model that has stopped stands where it stopped, however
    /// far the read side is: what it has is older than what was asked for.
    pub(crate) fn met_by(self, reached: Position) -> Result<(), ApiError> {
        match self.0 {
            Some(asked) if reached < asked => Err(ApiError::Behind { asked, reached }),
            Some(_) | None => Ok(()),
        }
    }
}

impl FromRequestParts<App> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let Ok(OriginalUri(uri)) = OriginalUri::from_request_parts(parts, app).await;
        let mut params = Params::of(&uri);
        let by_parameter = params.position("min_position");
        let by_header = match parts.headers.get(&MIN_POSITION) {
            Some(value) => Some(position(value)?),
            None => None,
        };
        let least = by_parameter.max(by_header);
        if let Some(asked) = least {
            app.wait_for(asked).await?;
        }
        Ok(Self {
            caller,
            params,
            least: Least(least),
        })
    }
}

impl App {
    /// Waits until the read side has everything that the journal has now.
    pub(crate) async fn catch_up(&self) -> Result<(), ApiError> {
        let head = self.journal.head().await?;
        self.wait_for(head).await
    }

    /// Waits until the read side has reached `asked`.
    pub(crate) async fn wait_for(&self, asked: Position) -> Result<(), ApiError> {
        let waited = self
            .reads
            .side
            .wait_for(asked, self.limits.read_wait_max)
            .await;
        waited.map(|_| ()).map_err(|behind| ApiError::Behind {
            asked,
            reached: behind.reached,
        })
    }
}

fn position(value: &HeaderValue) -> Result<Position, ApiError> {
    params::position(value.to_str().unwrap_or_default())
        .map_err(|rule| ApiError::parameter("Ledgerline-Min-Position", rule))
}

/// A JSON answer at `position` of the read side.
pub(crate) fn at<T: Serialize>(position: Position, answer: T) -> Response {
    let mut response = Json(answer).into_response();
    response
        .headers_mut()
        .insert(POSITION, HeaderValue::from(position.0));
    response
}

/// A JSON answer about the one row that was asked for, under its version as entity tag: 304 where the
/// caller has it already, 404 where there is none. `view` says the row's version and shows it.
pub(crate) fn one<R, V: Serialize>(
    headers: &HeaderMap,
    found: Found<R>,
    what: &'static str,
    view: impl FnOnce(R) -> (u64, V),
) -> Result<Response, ApiError> {
    let (version, view) = view(found.item.ok_or(ApiError::NotFound(what))?);
    let tag = etag(version);
    let mut response = if is_matched(headers, &tag) {
        let mut unchanged = StatusCode::NOT_MODIFIED.into_response();
        unchanged
            .headers_mut()
            .insert(POSITION, HeaderValue::from(found.position.0));
        unchanged
    } else {
        at(found.position, view)
    };
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

/// Whether `If-None-Match` names `tag`; entity tags are compared weakly there (RFC 9110, 13.1.2).
fn is_matched(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let sent = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes()
    })
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        /// Whole seconds of the statement's limit, for the message.
        const LIMIT_S: u64 = projections::query::STATEMENT_MS_MAX as u64 / 1_000;
        match error {
            QueryError::Cursor(rule) => Self::Invalid(vec![FieldError::parameter("cursor", rule)]),
            QueryError::TooSlow(_) => Self::TimedOut(LIMIT_S),
            QueryError::Unavailable(source) => Self::Unavailable {
                what: "read side",
                source: source.into(),
            },
        }
    }
}
