//! Commands on one batch.

use axum::response::Response;
use utoipa_axum::routes;

use super::bodies::CloseBatch;
use crate::command::{Call, ReceiptBody};
use crate::problem::ApiError;
use crate::routes::Routes;

/// Say how many jobs it has.
///
/// There will be no more. When as many have ended and none is open, the batch is completed: the event
/// `ledgerline.batch.completed.v1` has how they ended, and the job of `on_complete` is enqueued.
#[utoipa::path(post, path = "/v1/batches/{id}/close", tag = "batches", request_body = CloseBatch,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn close(call: Call<CloseBatch>) -> Result<Response, ApiError> {
    call.run().await
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(close))
}
