//! Queries on jobs: a list, one as it is, its history, and who works.
//!
//! Rows come from the read side; the history of a job comes from the journal's own stream, which has it
//! whole as soon as it is written.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use domain::Token;
use domain::job::{Job, Parent, Priority, Status};
use projections::job::{self, By, Filter, Sort};
use utoipa_axum::routes;
use uuid::Uuid;

use super::views::{JobList, JobView, WorkerList};
use crate::app::App;
use crate::history::{HistoryList, history_of};
use crate::params::Params;
use crate::problem::ApiError;
use crate::reads::{Asked, at, one};
use crate::routes::Routes;
use crate::texts::parse_id;

/// What the list is sorted by if nothing is said: what was enqueued last comes first.
const SORT_DEFAULT: Sort = Sort {
    by: By::EnqueuedAt,
    descending: true,
};

/// List jobs.
///
/// Every parameter narrows the list. Labels are asked for as `label.<key>=<value>`, once or more. Payloads
/// and results are left out.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs",
    params(
        ("id" = Option<String>, Query, format = "uuid",
            pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$", description = "the one of this id"),
        ("queue" = Option<String>, Query, description = "of this queue"),
        ("kind" = Option<String>, Query, description = "of this kind"),
        ("status" = Option<String>, Query, description = "in one of these states, with commas between",
            pattern = "^(waiting|running|completed|dead|cancelled)(,(waiting|running|completed|dead|cancelled))*$"),
        ("priority" = Option<String>, Query, description = "of one of these priorities, with commas between",
            pattern = "^(critical|high|normal|low)(,(critical|high|normal|low))*$"),
        ("worker" = Option<String>, Query, description = "that this worker has"),
        ("fairness_key" = Option<String>, Query, description = "of this fairness key"),
        ("parent" = Option<String>, Query, description = "a part of this, as `batch:<id>`",
            pattern = "^(batch|run|schedule):[A-Za-z0-9_-]{1,64}$"),
        ("enqueued_from" = Option<String>, Query, format = "date-time", description = "enqueued then or later"),
        ("enqueued_to" = Option<String>, Query, format = "date-time", description = "enqueued before"),
        ("ended_from" = Option<String>, Query, format = "date-time", description = "ended then or later"),
        ("ended_to" = Option<String>, Query, format = "date-time", description = "ended before"),
        ("sort" = Option<String>, Query, pattern = "^-?(enqueued_at|ended_at|priority)$",
            description = "by this, `-` for the greatest first; `-enqueued_at` if nothing is said"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "so many items; 50 if nothing is said"),
        ("cursor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,1500}$", description = "`next` of the page before"),
        ("count" = Option<bool>, Query, description = "whether to count all that fit"),
    ),
    responses((status = 200, description = "a page of jobs", body = JobList)))]
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
    let page = job::list(&app.reads.reader, caller.tenant(), &filter, sort, &paging).await?;
    least.met_by(page.position)?;
    let items = page.items.into_iter().map(JobView::from).collect();
    let next = page.next.map(|cursor| cursor.encode());
    let total = page.total;
    Ok(at(page.position, JobList { items, next, total }))
}

/// One job, with its payload and its result.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs",
    params(
        ("If-None-Match" = Option<String>, Header, description = "answer 304 if this is still its entity tag"),
    ),
    responses(
        (status = 200, description = "the job", body = JobView,
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
    let id = job_id(&id)?;
    params.finish()?;
    let found = job::get(&app.reads.reader, caller.tenant(), id).await?;
    least.met_by(found.position)?;
    one(&headers, found, "job", |row| {
        (row.version, JobView::from(row))
    })
}

/// Every event of a job.
#[utoipa::path(get, path = "/v1/jobs/{id}/history", tag = "jobs",
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
    history_of::<Job>(&app, asked, job_id(&id)?.into(), "job").await
}

/// Who has running jobs.
///
/// The first 1,000, whoever has had a job the longest first.
#[utoipa::path(get, path = "/v1/workers", tag = "jobs",
    responses((status = 200, description = "the workers", body = WorkerList)))]
async fn workers(State(app): State<App>, asked: Asked) -> Result<Response, ApiError> {
    let Asked {
        caller,
        params,
        least,
    } = asked;
    params.finish()?;
    let all = job::workers(&app.reads.reader, caller.tenant()).await?;
    least.met_by(all.position)?;
    let workers = all.items.into_iter().map(Into::into).collect();
    Ok(at(all.position, WorkerList { workers }))
}

fn job_id(id: &str) -> Result<Uuid, ApiError> {
    parse_id(id).map_err(|rule| ApiError::parameter("id", rule))
}

pub(super) fn filter(params: &mut Params) -> Filter {
    Filter {
        id: params.checked("id", parse_id),
        queue: params.text("queue"),
        kind: params.text("kind"),
        status: params.checked("status", statuses).unwrap_or_default(),
        priority: params.checked("priority", priorities).unwrap_or_default(),
        worker: params.text("worker"),
        fairness_key: params.text("fairness_key"),
        parent: params.checked("parent", parent),
        labels: params.prefixed("label.").collect(),
        enqueued_from: params.time("enqueued_from"),
        enqueued_to: params.time("enqueued_to"),
        ended_from: params.time("ended_from"),
        ended_to: params.time("ended_to"),
    }
}

fn statuses(text: &str) -> Result<Vec<Status>, &'static str> {
    let statuses = text.split(',').map(str::parse).collect::<Result<_, _>>();
    statuses.map_err(|_| "must be states of a job, with commas between")
}

fn priorities(text: &str) -> Result<Vec<Priority>, &'static str> {
    let priorities = text.split(',').map(str::parse).collect::<Result<_, _>>();
    priorities.map_err(|_| "must be priorities of jobs, with commas between")
}

/// `<kind>:<id>`
fn parent(text: &str) -> Result<Parent, &'static str> {
    let (kind, id) = text.split_once(':').unwrap_or_default();
    match (kind.parse(), Token::new(id)) {
        (Ok(kind), Ok(id)) => Ok(Parent { kind, id }),
        _ => Err("must be `batch`, `run` or `schedule`, then `:` and its id"),
    }
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(list))
        .add(routes!(get))
        .add(routes!(history))
        .add(routes!(workers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_every_priority_can_be_asked_for() {
        let all = statuses("waiting,running,completed,dead,cancelled");
        assert_eq!(all.map(|all| all.len()), Ok(5));
        let all = priorities("critical,high,normal,low");
        assert_eq!(all, Ok(Priority::ALL.to_vec()));
        for bad in ["", "dead,", "Dead", "retried"] {
            assert!(statuses(bad).is_err() && priorities(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_whole_is_named_by_its_kind_and_its_id() {
        assert!(parent("run:7").is_ok_and(|parent| parent.id.as_str() == "7"));
        for bad in ["", "run", "run:", ":7", "job:7", "run:a:b", "run:*"] {
            assert!(parent(bad).is_err(), "{bad}");
        }
    }
}
