//! Commands on jobs, one route a verb.
//!
//! Whoever reports on an attempt names it: a worker that lost its lease is refused, and told which
//! attempt runs. No rule stands here: the aggregate has them.

use axum::response::Response;
use utoipa_axum::routes;

use super::bodies::{CancelJob, CompleteJob, EnqueueJob, FailJob, ReleaseJob, RequeueJob};
use crate::command::{Call, ReceiptBody};
use crate::problem::ApiError;
use crate::routes::Routes;

/// Put a job into its queue.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = EnqueueJob,
    responses(
        (status = 200, description = "there was nothing to change", body = ReceiptBody),
        (status = 201, description = "the receipt", body = ReceiptBody,
            headers(("Location", description = "the job"))),
    ))]
async fn enqueue(call: Call<EnqueueJob>) -> Result<Response, ApiError> {
    call.run().await
}

/// Say that it is done.
#[utoipa::path(post, path = "/v1/jobs/{id}/complete", tag = "jobs", request_body = CompleteJob,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn complete(call: Call<CompleteJob>) -> Result<Response, ApiError> {
    call.run().await
}

/// Say that the attempt failed; what follows is the job's retries.
#[utoipa::path(post, path = "/v1/jobs/{id}/fail", tag = "jobs", request_body = FailJob,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn fail(call: Call<FailJob>) -> Result<Response, ApiError> {
    call.run().await
}

/// Give it back undone, as a worker does that goes away; the attempt does not count as a failure.
#[utoipa::path(post, path = "/v1/jobs/{id}/release", tag = "jobs", request_body = ReleaseJob,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn release(call: Call<ReleaseJob>) -> Result<Response, ApiError> {
    call.run().await
}

/// End it undone, also while it runs: its worker is refused from then on.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", request_body = CancelJob,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn cancel(call: Call<CancelJob>) -> Result<Response, ApiError> {
    call.run().await
}

/// Let a dead job wait again, with its attempts counted anew and without its deadline.
#[utoipa::path(post, path = "/v1/jobs/{id}/requeue", tag = "jobs", request_body = RequeueJob,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn requeue(call: Call<RequeueJob>) -> Result<Response, ApiError> {
    call.run().await
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(enqueue))
        .add(routes!(complete))
        .add(routes!(fail))
        .add(routes!(release))
        .add(routes!(cancel))
        .add(routes!(requeue))
}
