//! Queries on schedules: a list, one as it is, and its history.
//!
//! The jobs of a schedule are in the list of jobs, asked for by `parent=schedule:<id>`.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use domain::schedule::{Schedule, Status};
use projections::schedule::{self, By, Filter, Sort};
use utoipa_axum::routes;
use uuid::Uuid;

use super::views::{ScheduleList, ScheduleView};
use crate::app::App;
use crate::history::{HistoryList, history_of};
use crate::params::Params;
use crate::problem::ApiError;
use crate::reads::{Asked, at, one};
use crate::routes::Routes;
use crate::texts::parse_id;

/// What the list is sorted by if nothing is said: what was created last comes first.
const SORT_DEFAULT: Sort = Sort {
    by: By::CreatedAt,
    descending: true,
};

/// List schedules.
///
/// Every parameter narrows the list. Labels of the jobs are asked for as `label.<key>=<value>`, once or
/// more. Payloads are left out.
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules",
    params(
        ("status" = Option<String>, Query, description = "in one of these states, with commas between",
            pattern = "^(active|paused|deleted)(,(active|paused|deleted))*$"),
        ("name" = Option<String>, Query, description = "of this name"),
        ("queue" = Option<String>, Query, description = "whose jobs are of this queue"),
        ("kind" = Option<String>, Query, description = "whose jobs are of this kind"),
        ("next_from" = Option<String>, Query, format = "date-time", description = "next due then or later"),
        ("next_to" = Option<String>, Query, format = "date-time", description = "next due before"),
        ("sort" = Option<String>, Query, pattern = "^-?(created_at|next_at|name)$",
            description = "by this, `-` for the greatest first; `-created_at` if nothing is said"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "so many items; 50 if nothing is said"),
        ("cursor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,1500}$", description = "`next` of the page before"),
        ("count" = Option<bool>, Query, description = "whether to count all that fit"),
    ),
    responses((status = 200, description = "a page of schedules", body = ScheduleList)))]
async fn list(State(app): State<App>, asked: Asked) -> Result<Response, ApiError> {
    let Asked {
        caller,
        mut params,
        least,
    } = asked;
    let filter = filter(&mut params);
    let sort = params.parsed("sort").unwrap_or(SORT_DEFAULT);
    let paging = params.paging(true)?;
    params.finish()?;
    let reader = &app.reads.reader;
    let page = schedule::list(reader, caller.tenant(), &filter, sort, &paging).await?;
    least.met_by(page.position)?;
    let items = page.items.into_iter().map(ScheduleView::from).collect();
    let next = page.next.map(|cursor| cursor.encode());
    let total = page.total;
    Ok(at(page.position, ScheduleList { items, next, total }))
}

/// One schedule, with the payload of its jobs.
#[utoipa::path(get, path = "/v1/schedules/{id}", tag = "schedules",
    params(
        ("If-None-Match" = Option<String>, Header, description = "answer 304 if this is still its entity tag"),
    ),
    responses(
        (status = 200, description = "the schedule", body = ScheduleView,
            headers(("ETag", description = "its version"))),
        (status = 304, description = "it is still the same"),
    ))]
async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Asked {
        caller,
        params,
        least,
    } = asked;
    let id = schedule_id(&id)?;
    params.finish()?;
    let found = schedule::get(&app.reads.reader, caller.tenant(), id).await?;
    least.met_by(found.position)?;
    one(&headers, found, "schedule", |row| {
        (row.version, ScheduleView::from(row))
    })
}

/// Every event of a schedule.
#[utoipa::path(get, path = "/v1/schedules/{id}/history", tag = "schedules",
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
    history_of::<Schedule>(&app, asked, schedule_id(&id)?.into(), "schedule").await
}

pub(super) fn schedule_id(id: &str) -> Result<Uuid, ApiError> {
    parse_id(id).map_err(|rule| ApiError::parameter("id", rule))
}

fn filter(params: &mut Params) -> Filter {
    Filter {
        id: None,
        status: params.checked("status", statuses).unwrap_or_default(),
        name: params.text("name"),
        queue: params.text("queue"),
        kind: params.text("kind"),
        labels: params.prefixed("label.").collect(),
        next_from: params.time("next_from"),
        next_to: params.time("next_to"),
    }
}

fn statuses(text: &str) -> Result<Vec<Status>, &'static str> {
    let statuses = text.split(',').map(str::parse).collect::<Result<_, _>>();
    statuses.map_err(|_| "must be states of a schedule, with commas between")
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(list))
        .add(routes!(get))
        .add(routes!(history))
}
