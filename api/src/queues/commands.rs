//! Commands on queues, one route a verb.

use axum::response::Response;
use utoipa_axum::routes;

use super::bodies::{ConfigureQueue, PauseQueue, ResumeQueue};
use crate::command::{Call, ReceiptBody};
use crate::problem::ApiError;
use crate::routes::Routes;

/// Replace all limits of a queue; what is left out has none.
#[utoipa::path(post, path = "/v1/queues/{name}/configure", tag = "queues",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "the queue")),
    request_body = ConfigureQueue,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn configure(call: Call<ConfigureQueue>) -> Result<Response, ApiError> {
    call.run().await
}

/// Hand out nothing until it is resumed; what runs goes on.
#[utoipa::path(post, path = "/v1/queues/{name}/pause", tag = "queues",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "the queue")),
    request_body = PauseQueue,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn pause(call: Call<PauseQueue>) -> Result<Response, ApiError> {
    call.run().await
}

/// Hand out again.
#[utoipa::path(post, path = "/v1/queues/{name}/resume", tag = "queues",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "the queue")),
    request_body = ResumeQueue,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn resume(call: Call<ResumeQueue>) -> Result<Response, ApiError> {
    call.run().await
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(configure))
        .add(routes!(pause))
        .add(routes!(resume))
}
