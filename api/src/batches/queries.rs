//! Queries on batches: a list, one with its progress, its history.

use axum::extract::{Path, State};
use axum::http::header::ETAG;
use axum::response::Response;
use domain::batch::{Batch, Status};
use projections::batch::{self, By, Filter, Sort};
use utoipa_axum::routes;
use uuid::Uuid;

use super::views::{BatchList, BatchView, StandingView};
use crate::app::App;
use crate::command::etag;
use crate::history::{HistoryList, history_of};
use crate::problem::ApiError;
use crate::reads::{Asked, at};
use crate::routes::Routes;
use crate::texts::parse_id;

/// What the list is sorted by if nothing is said: what was opened last comes first.
const SORT_DEFAULT: Sort = Sort {
    by: By::OpenedAt,
    descending: true,
};

/// List batches.
///
/// Every parameter narrows the list. Labels are asked for as `label.<key>=<value>`, once or more. How far
/// their jobs are is told of one batch, not of a list.
#[utoipa::path(get, path = "/v1/batches", tag = "batches",
    params(
        ("name" = Option<String>, Query, description = "of this name"),
        ("status" = Option<String>, Query, description = "in one of these states, with commas between",
            pattern = "^(open|closed|completed)(,(open|closed|completed))*$"),
        ("opened_from" = Option<String>, Query, format = "date-time", description = "opened then or later"),
        ("opened_to" = Option<String>, Query, format = "date-time", description = "opened before"),
        ("sort" = Option<String>, Query, pattern = "^-?opened_at$",
            description = "by this, `-` for the last first; `-opened_at` if nothing is said"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "so many items; 50 if nothing is said"),
        ("cursor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,1500}$", description = "`next` of the page before"),
        ("count" = Option<bool>, Query, description = "whether to count all that fit"),
    ),
    responses((status = 200, description = "a page of batches", body = BatchList)))]
async fn list(State(app): State<App>, asked: Asked) -> Result<Response, ApiError> {
    let Asked {
        caller,
        mut params,
        least,
    } = asked;
    let filter = Filter {
        name: params.text("name"),
        status: params.checked("status", statuses).unwrap_or_default(),
        labels: params.prefixed("label.").collect(),
        opened_from: params.time("opened_from"),
        opened_to: params.time("opened_to"),
    };
    let sort = params.parsed("sort").unwrap_or(SORT_DEFAULT);
    let paging = params.paging(true)?;
    params.finish()?;
    let page = batch::list(&app.reads.reader, caller.tenant(), &filter, sort, &paging).await?;
    least.met_by(page.position)?;
    let items = page.items.into_iter().map(|mut row| {
        // A page of payloads could have hundreds of megabytes.
        row.on_complete = row.on_complete.map(|mut template| {
            template.payload = None;
            template
        });
        BatchView::from(row)
    });
    let list = BatchList {
        items: items.collect(),
        next: page.next.map(|cursor| cursor.encode()),
        total: page.total,
    };
    Ok(at(page.position, list))
}

/// One batch, and how far its jobs are.
///
/// The entity tag is the batch's version, as `If-Match` of its commands takes it; its jobs go on without a new
/// one.
#[utoipa::path(get, path = "/v1/batches/{id}", tag = "batches",
    responses((status = 200, description = "the batch", body = StandingView,
        headers(("ETag", description = "its version")))))]
async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Asked {
        caller,
        params,
        least,
    } = asked;
    let id = batch_id(&id)?;
    params.finish()?;
    let found = batch::get(&app.reads.reader, caller.tenant(), id).await?;
    least.met_by(found.position)?;
    let standing = found.item.ok_or(ApiError::NotFound("batch"))?;
    let tag = etag(standing.batch.version);
    // Its jobs change the answer and not its version: there is no telling that it is still the same.
    let mut response = at(found.position, StandingView::from(standing));
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

/// Every event of a batch.
#[utoipa::path(get, path = "/v1/batches/{id}/history", tag = "batches",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "so many items; 50 if nothing is said"),
        ("cursor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,1500}$", description = "`next` of the page before"),
    ),
    responses((status = 200, description = "a page of events, first to last", body = HistoryList)))]
async fn history(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    history_of::<Batch>(&app, asked, batch_id(&id)?.into(), "batch").await
}

/// The batch that a path names.
pub(super) fn batch_id(id: &str) -> Result<Uuid, ApiError> {
    parse_id(id).map_err(|rule| ApiError::parameter("id", rule))
}

fn statuses(text: &str) -> Result<Vec<Status>, &'static str> {
    let statuses = text.split(',').map(str::parse).collect::<Result<_, _>>();
    statuses.map_err(|_| "must be states of a batch, with commas between")
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(list))
        .add(routes!(get))
        .add(routes!(history))
}
