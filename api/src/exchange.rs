//! One HTTP exchange: what every request gets on its way in and every answer on its way out.
//!
//! In: a request id, a correlation, a place in a trace, a time limit. Out: those ids, problem details
//! for whatever went wrong (also where the framework itself said no, and where a handler panicked),
//! one line in the log, one observation in the metrics. It is one layer rather than eight because it
//! stands before the hot path.
//!
//! Deliberately absent: compression. Answers to commands are small, and whoever wants it for large
//! ones has a proxy.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::Name;
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::app::App;
use crate::auth::Caller;
use crate::problem::{ApiError, Draft, FieldError};
use crate::routes::{Route, wait_max};
use crate::trace::TraceParent;

/// The request's id, taken from the client or made up.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What ties requests of one errand together.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// The place in the journal that an answer belongs to.
pub const POSITION: HeaderName = HeaderName::from_static("ledgerline-position");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A longer request id of a client is replaced by ours.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What belongs to one request and to nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Exchange(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    request_id: HeaderValue,
    correlation: Option<Name>,
    trace: TraceParent,
}

impl Exchange {
    fn begin(headers: &HeaderMap, fresh: Uuid) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let sent = headers
            .get(&REQUEST_ID)
            .filter(|id| is_request_id(id.as_bytes()));
        let request_id = sent.cloned().unwrap_or_else(|| {
            let mut buffer = Uuid::encode_buffer();
            HeaderValue::from_str(fresh.hyphenated().encode_lower(&mut buffer))
                .expect("an id has only hexadecimal digits and hyphens")
        });
        Self(Arc::new(Inner {
            correlation: text(&CORRELATION_ID).and_then(|id| Name::new(id).ok()),
            trace: TraceParent::of_request(text(&TRACEPARENT), fresh),
            request_id,
        }))
    }

    /// The request's id.
    pub(crate) fn request_id(&self) -> &str {
        self.0
            .request_id
            .to_str()
            .expect("it was made of or checked to be visible ASCII")
    }

    /// What the client sent, else the request's id.
    pub(crate) fn correlation(&self) -> Name {
        let sent = self.0.correlation.clone();
        sent.unwrap_or_else(|| {
            Name::new(self.request_id()).expect("a request id is a short visible text")
        })
    }

    /// The span of this request.
    pub(crate) fn trace(&self) -> TraceParent {
        self.0.trace
    }
}

impl<S: Sync> FromRequestParts<S> for Exchange {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let exchange = parts.extensions.get::<Self>().cloned();
        exchange.ok_or_else(|| ApiError::Internal("route stands outside the exchange".into()))
    }
}

/// The outermost layer.
pub(crate) async fn exchange(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let exchange = Exchange::begin(request.headers(), app.clock.fresh_id());
    let span = tracing::info_span!(
        "http.request",
        request_id = exchange.request_id(),
        trace_id = %exchange.0.trace.trace_id(),
    );
    let refused = check_correlation(request.headers(), &exchange);
    request.extensions_mut().insert(exchange.clone());
    let answered = async {
        match refused {
            Some(error) => error.into_response(),
            None => {
                let limit = app.limits.request_timeout + wait_max(&path);
                answer(limit, next.run(request)).await
            }
        }
    };
    let response = answered.instrument(span.clone()).await;
    span.in_scope(|| {
        let mut response = with_problem(response, &path, &exchange, app.limits.body_bytes_max);
        record(&method, &response, &exchange, started.elapsed());
        finish_headers(&mut response, &exchange);
        response
    })
}

/// The answer, in time and without a panic.
async fn answer(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            let message = message.unwrap_or("of no text").to_owned();
            ApiError::Internal(format!("handler panicked: {message}").into()).into_response()
        }
        Err(_elapsed) => ApiError::TimedOut(limit.as_secs()).into_response(),
    }
}

/// A correlation that was sent and cannot be recorded is refused: the caller would look for it in vain.
fn check_correlation(headers: &HeaderMap, exchange: &Exchange) -> Option<ApiError> {
    let sent = headers.contains_key(&CORRELATION_ID);
    (sent && exchange.0.correlation.is_none()).then(|| {
        let rule = "must be 1 to 200 characters and not blank";
        ApiError::Malformed(vec![FieldError::parameter("X-Correlation-Id", rule)])
    })
}

/// Gives an answer that is not a success its problem details, whoever made it.
fn with_problem(mut response: Response, path: &str, exchange: &Exchange, limit: usize) -> Response {
    if let Some(draft) = response.extensions_mut().remove::<Draft>() {
        let finished = draft.finish(path, exchange.request_id(), &response);
        return keep_extensions(response, finished);
    }
    let status = response.status();
    let error = status.is_client_error() || status.is_server_error();
    let ours = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        // `/health` answers 503 with a report of its own.
        kind == crate::problem::MEDIA_TYPE || kind == "application/json"
    });
    if !error || ours {
        return response;
    }
    let draft = ApiError::from_status(status, limit)
        .into_response()
        .extensions_mut()
        .remove();
    let draft: Draft = draft.expect("every error drafts a problem");
    let finished = draft.finish(path, exchange.request_id(), &response);
    keep_extensions(response, finished)
}

fn keep_extensions(mut from: Response, mut to: Response) -> Response {
    std::mem::swap(from.extensions_mut(), to.extensions_mut());
    to
}

fn finish_headers(response: &mut Response, exchange: &Exchange) {
    let private = response.extensions().get::<Caller>().is_some();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, exchange.0.request_id.clone());
    if private {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// One line in the log and one observation in the metrics. The token is in neither.
fn record(method: &Method, response: &Response, exchange: &Exchange, took: Duration) {
    let route = response
        .extensions()
        .get::<&'static Route>()
        .map_or("unmatched", |row| row.path);
    let status = response.status();
    let labels = [
        ("method", method_label(method)),
        ("route", route),
        ("status", status_label(status)),
    ];
    metrics::counter!("ledgerline_http_requests_total", &labels).increment(1);
    metrics::histogram!("ledgerline_http_request_seconds", "route" => route).record(took);
    if tracing::enabled!(tracing::Level::INFO) {
        let caller = response.extensions().get::<Caller>();
        tracing::info!(
            method = method.as_str(),
            route,
            status = status.as_u16(),
            duration_us = took.as_micros() as u64,
            correlation = exchange.0.correlation.as_ref().map(Name::as_str),
            tenant = caller.map(|caller| caller.tenant().as_str()),
            principal = caller.map(|caller| caller.principal().as_str()),
            "request"
        );
    }
}

/// A label has few values: a client may send any method it likes.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn status_label(status: StatusCode) -> &'static str {
    match status.as_u16() {
        101 => "101",
        200 => "200",
        201 => "201",
        202 => "202",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        409 => "409",
        412 => "412",
        413 => "413",
        415 => "415",
        422 => "422",
        429 => "429",
        500 => "500",
        503 => "503",
        504 => "504",
        _ => "other",
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}
