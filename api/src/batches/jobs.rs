//! `POST /v1/batches/{id}/jobs`: the jobs of a batch, a line each, answered line by line, as
//! `POST /v1/commands` does with commands.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use domain::batch::Batch;
use domain::{Aggregate as _, Position, StreamId};
use futures_util::TryStreamExt as _;
use utoipa_axum::routes;

use super::queries::batch_id;
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{Sort, answer_lines};
use crate::command::issue::key_of;
use crate::exchange::Exchange;
use crate::problem::ApiError;
use crate::routes::Routes;

/// Enqueue jobs of a batch.
///
/// Each line is a job as JSON, as `POST /v1/jobs` takes it but for `parent`, which is the batch, and `unique`,
/// since the job of another batch would not count here. Each line of the answer has `line`, `status`, and
/// `receipt` or `problem`, in the order of the lines. With an `Idempotency-Key` the same lines can be sent
/// again: a job that is there is answered as it was. At most 10,000 lines; the first beyond is answered with
/// 413 and reading stops.
#[utoipa::path(post, path = "/v1/batches/{id}/jobs", tag = "batches",
    request_body(content = String, content_type = "application/x-ndjson", example =
        "{\"queue\":\"mail\",\"kind\":\"send\",\"payload\":{\"to\":\"ann\"}}\n"),
    params(
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "the caller's own name for these lines: each is carried out once under it"),
    ),
    responses((status = 200, description = "one answer a line", body = String,
        content_type = "application/x-ndjson")))]
async fn jobs(
    State(app): State<App>,
    Path(id): Path<String>,
    caller: Caller,
    exchange: Exchange,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let batch = batch_id(&id)?;
    let key = key_of(&headers)?.map(str::to_owned);
    // The read side may not have it yet.
    let stream = StreamId::new(caller.tenant().clone(), Batch::CATEGORY, batch.into());
    let journal = Arc::clone(&app.journal);
    let mut commits = journal.read_stream(&stream, Position::START);
    commits
        .try_next()
        .await?
        .ok_or(ApiError::NotFound("batch"))?;
    let sort = Sort::JobsOf { batch, key };
    answer_lines(app, caller, exchange, &headers, request, sort)
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(jobs))
}
