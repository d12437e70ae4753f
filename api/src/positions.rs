//! `GET /v1/positions`: how far the journal, the read side, its models and the feed are.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::try_join;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::ApiError;
use crate::reads::{Asked, at};
use crate::routes::Routes;

/// How far everything is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Positions")]
pub(crate) struct PositionsView {
    /// Where the journal's last commit stands.
    pub(crate) journal: u64,
    /// How far the live models have read the journal.
    pub(crate) read_side: u64,
    /// The last event in the feed, `<position>.<index>`.
    #[schema(required, example = "12.0")]
    pub(crate) feed: Option<String>,
    /// Every model.
    pub(crate) models: Vec<ModelView>,
}

/// How far one model is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Model")]
pub(crate) struct ModelView {
    /// Its name.
    #[schema(example = "assignment")]
    pub(crate) name: String,
    /// The version of what serves.
    pub(crate) version: u32,
    /// How far what serves has read the journal.
    pub(crate) position: u64,
    /// Commits of the journal that it has not read.
    pub(crate) lag: u64,
    /// `live`, `rebuilding` or `stopped`.
    #[schema(pattern = "^(live|rebuilding|stopped)$")]
    pub(crate) status: &'static str,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) error: Option<String>,
    /// How far a rebuild has come, while one runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) rebuilt_to: Option<u64>,
}

/// How far everything is.
#[utoipa::path(get, path = "/v1/positions", tag = "running",
    responses((status = 200, description = "the positions", body = PositionsView)))]
async fn positions(State(app): State<App>, asked: Asked) -> Result<Response, ApiError> {
    asked.params.finish()?;
    let reads = async { app.reads.reader.positions().await.map_err(ApiError::from) };
    let head = async { app.journal.head().await.map_err(ApiError::from) };
    let feed = async { app.feed.last().await.map_err(ApiError::from) };
    // The read side first: what it has read is then never ahead of the journal's head.
    let positions = reads.await?;
    let (head, feed) = try_join!(head, feed)?;
    let models = positions.models.into_iter().map(|model| ModelView {
        lag: head.0.saturating_sub(model.position.0),
        name: model.name,
        version: model.version,
        position: model.position.0,
        status: model.status.as_str(),
        error: model.error,
        rebuilt_to: model.rebuilt_to.map(|position| position.0),
    });
    let view = PositionsView {
        journal: head.0,
        read_side: positions.read_side.0,
        feed: feed.map(|event| event.to_string()),
        models: models.collect(),
    };
    Ok(at(positions.read_side, view))
}

/// The answer to a rebuild that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RebuildView {
    /// The model that will be rebuilt.
    pub(crate) name: String,
}

/// Rebuild a read model beside the one that serves.
#[utoipa::path(post, path = "/v1/models/{name}/rebuild", tag = "running",
    params(("name" = String, Path, min_length = 1, description = "the model, as `/v1/positions` names it")),
    responses((status = 202, description = "it will be rebuilt", body = RebuildView,
        headers(("Location", description = "where to see how far it is")))))]
async fn rebuild(
    State(app): State<App>,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Result<Response, ApiError> {
    if !app.reads.reader.request_rebuild(&name).await? {
        return Err(ApiError::NotFound("model"));
    }
    let location = [(axum::http::header::LOCATION, "/v1/positions")];
    Ok((
        axum::http::StatusCode::ACCEPTED,
        location,
        Json(RebuildView { name }),
    )
        .into_response())
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(positions)).add(routes!(rebuild))
}
