//! Commands on assignments, one route a verb.
//!
//! No rule stands here: the aggregate has them, and the body's fields are checked by the domain's own
//! types.

use axum::response::Response;
use utoipa_axum::routes;

use super::bodies::{
    AssignBody, CancelBody, CloseBody, CompleteBody, HoldBody, NoteBody, ReopenBody, RequestBody,
    RequeueBody, ResumeBody, StartBody,
};
use crate::command::{Call, ReceiptBody};
use crate::problem::ApiError;
use crate::routes::Routes;

/// Ask a group for work.
#[utoipa::path(post, path = "/v1/assignments", tag = "assignments", request_body = RequestBody,
    responses(
        (status = 200, description = "there was nothing to change", body = ReceiptBody),
        (status = 201, description = "the receipt", body = ReceiptBody,
            headers(("Location", description = "the assignment"))),
    ))]
async fn request(call: Call<RequestBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Give it to somebody.
#[utoipa::path(post, path = "/v1/assignments/{id}/assign", tag = "assignments",
    request_body = AssignBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn assign(call: Call<AssignBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Put it into a group's queue.
#[utoipa::path(post, path = "/v1/assignments/{id}/requeue", tag = "assignments",
    request_body = RequeueBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn requeue(call: Call<RequeueBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Begin to work on it, taking it over where it was somebody else's.
#[utoipa::path(post, path = "/v1/assignments/{id}/start", tag = "assignments",
    request_body = StartBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn start(call: Call<StartBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Write something down.
#[utoipa::path(post, path = "/v1/assignments/{id}/note", tag = "assignments",
    request_body = NoteBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn note(call: Call<NoteBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Let it wait.
#[utoipa::path(post, path = "/v1/assignments/{id}/hold", tag = "assignments",
    request_body = HoldBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn hold(call: Call<HoldBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Go on where it was put on hold.
#[utoipa::path(post, path = "/v1/assignments/{id}/resume", tag = "assignments",
    request_body = ResumeBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn resume(call: Call<ResumeBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Say that the work is done.
#[utoipa::path(post, path = "/v1/assignments/{id}/complete", tag = "assignments",
    request_body = CompleteBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn complete(call: Call<CompleteBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Confirm the end of what was completed.
#[utoipa::path(post, path = "/v1/assignments/{id}/close", tag = "assignments",
    request_body = CloseBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn close(call: Call<CloseBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Take an ended assignment up again.
#[utoipa::path(post, path = "/v1/assignments/{id}/reopen", tag = "assignments",
    request_body = ReopenBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn reopen(call: Call<ReopenBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// End it undone.
#[utoipa::path(post, path = "/v1/assignments/{id}/cancel", tag = "assignments",
    request_body = CancelBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn cancel(call: Call<CancelBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(request))
        .add(routes!(assign))
        .add(routes!(requeue))
        .add(routes!(start))
        .add(routes!(note))
        .add(routes!(hold))
        .add(routes!(resume))
        .add(routes!(complete))
        .add(routes!(close))
        .add(routes!(reopen))
        .add(routes!(cancel))
}
