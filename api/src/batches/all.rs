//! What is told to all jobs of a batch: to be cancelled, or to try again.
//!
//! Each job gets a command of its own, as with `POST /v1/jobs/bulk`. Before they are looked for, the read
//! side has everything that was in the journal when the request came: no job that was acknowledged before
//! is missed.

use axum::body::Body as HttpBody;
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::response::Response;
use domain::batch::parent;
use domain::job::{Command, Status};
use projections::job::Filter;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::queries::batch_id;
use crate::app::App;
use crate::body::read_json;
use crate::command::issue::Issuer;
use crate::exchange::Exchange;
use crate::fields::Fields;
use crate::jobs::bulk::{BulkView, tell_all};
use crate::problem::ApiError;
use crate::reads::{Asked, at};
use crate::routes::Routes;
use crate::texts::ReasonText;

/// End all jobs of a batch.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBatch {
    /// Why.
    #[serde(default)]
    reason: Option<ReasonText>,
}

/// Let all dead jobs of a batch wait again.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryBatch {}

/// Cancel all jobs of a batch that have not ended.
#[utoipa::path(post, path = "/v1/batches/{id}/cancel", tag = "batches", request_body = CancelBatch,
    responses((status = 200, description = "what came of it", body = BulkView)))]
async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let limit = app.limits.body_bytes_max;
    let body: CancelBatch = read_json(&parts.headers, HttpBody::new(body), limit).await?;
    let mut fields = Fields::default();
    let reason = fields.optional("/reason", body.reason);
    let reason = fields.finish(reason)?;
    let not_ended = vec![Status::Waiting, Status::Running];
    tell(app, parts, &id, not_ended, Command::Cancel { reason }).await
}

/// Let all dead jobs of a batch wait again, with their attempts counted anew.
///
/// A batch that is completed stays so, with the counts that it was completed with.
#[utoipa::path(post, path = "/v1/batches/{id}/retry", tag = "batches", request_body = RetryBatch,
    responses((status = 200, description = "what came of it", body = BulkView)))]
async fn retry(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let limit = app.limits.body_bytes_max;
    let RetryBatch {} = read_json(&parts.headers, HttpBody::new(body), limit).await?;
    tell(app, parts, &id, vec![Status::Dead], Command::Requeue).await
}

/// Tells `command` to all jobs of the batch that are in one of these states.
async fn tell(
    app: App,
    mut parts: axum::http::request::Parts,
    id: &str,
    status: Vec<Status>,
    command: Command,
) -> Result<Response, ApiError> {
    let exchange = Exchange::from_request_parts(&mut parts, &app).await?;
    let Asked {
        caller,
        params,
        least,
    } = Asked::from_request_parts(&mut parts, &app).await?;
    let id = batch_id(id)?;
    params.finish()?;
    app.catch_up().await?;
    let batch = projections::batch::get(&app.reads.reader, caller.tenant(), id).await?;
    least.met_by(batch.position)?;
    batch.item.ok_or(ApiError::NotFound("batch"))?;
    let filter = Filter {
        parent: Some(parent(id)),
        status,
        ..Filter::default()
    };
    let correlation = exchange.correlation();
    let trace = exchange.trace().to_string();
    let issuer = Issuer {
        caller: &caller,
        correlation: &correlation,
        trace: &trace,
        clock: &*app.clock,
    };
    let (position, told) = tell_all(&app, &issuer, &filter, least, Some(command)).await?;
    Ok(at(position, told))
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(cancel)).add(routes!(retry))
}
