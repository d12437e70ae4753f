//! `POST /v1/commands`: many commands in one request, a line each, answered line by line.
//!
//! Lines are read as they come and answered in their order. Commands on the same aggregate are
//! carried out one after the other, in the order of their lines; those on different ones at the same
//! time, up to a limit, which is what fills the journal's group commits. There is no transaction over
//! the lines: each is answered for itself.
//!
//! Memory: at most the limit of lines in flight, each at most as long as one body, and the answers
//! that the client has not read yet, of which there cannot be more than lines.

mod command;
mod lines;
mod run;
#[cfg(test)]
mod tests;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use utoipa_axum::routes;

pub(crate) use self::command::Sort;
use self::run::Run;
use crate::app::App;
use crate::auth::Caller;
use crate::body::is_of_type;
use crate::exchange::Exchange;
use crate::problem::ApiError;
use crate::routes::Routes;

/// One JSON object a line.
const NDJSON: &str = "application/x-ndjson";

/// Carry out many commands.
///
/// Each line is one command as JSON: `command` (`assignment.<verb>`, `job.<verb>`, `queue.<verb>`,
/// `batch.<verb>`), `id` of the assignment, the job or the batch, or name of the queue (may be left out for
/// `assignment.request`, `job.enqueue` and `batch.open`), `key` (an idempotency key), `occurred_at` (of assignments), `on_behalf_of`,
/// `expected_version`, and the verb's body as `data`. Each line of the answer has `line`, `status`, and
/// `receipt` or `problem`, in the order of the lines. Commands on the same aggregate are carried out in
/// order. At most 10,000 lines; the first beyond is answered with 413 and reading stops.
#[utoipa::path(post, path = "/v1/commands", tag = "batch",
    request_body(content = String, content_type = "application/x-ndjson", example =
        "{\"command\":\"assignment.request\",\"key\":\"1\",\"data\":{\"title\":\"Fan\",\"kind\":\"incident\",\"group\":\"network\"}}\n"),
    responses((status = 200, description = "one answer a line", body = String,
        content_type = "application/x-ndjson")))]
async fn commands(
    State(app): State<App>,
    caller: Caller,
    exchange: Exchange,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    answer_lines(app, caller, exchange, &headers, request, Sort::Commands)
}

/// Carries out the lines of `request`, and answers each.
pub(crate) fn answer_lines(
    app: App,
    caller: Caller,
    exchange: Exchange,
    headers: &HeaderMap,
    request: Request,
    sort: Sort,
) -> Result<Response, ApiError> {
    if !is_of_type(headers, NDJSON) {
        return Err(ApiError::UnsupportedMediaType(NDJSON));
    }
    let place = app.admit_batch()?;
    // The answers are kept for a client that sends everything before it reads anything: were they
    // not, it would wait for us and we for it. There are no more of them than lines.
    let (answers, mut answered) = mpsc::unbounded_channel::<Bytes>();
    let run = Run::new(app, caller, exchange, request, sort, answers);
    tokio::spawn(
        async move {
            run.finish_all().await;
            drop(place);
        }
        .in_current_span(),
    );
    let body = stream::poll_fn(move |context| {
        answered
            .poll_recv(context)
            .map(|bytes| bytes.map(Ok::<_, std::convert::Infallible>))
    });
    let mut response = Response::new(Body::from_stream(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(response)
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(commands))
}
