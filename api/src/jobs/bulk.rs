//! `POST /v1/jobs/bulk`: the same command on every job that fits a filter, with a look at how many there
//! are before.
//!
//! Each job gets a command of its own, so one that refuses does not stop the others. What is there is what
//! the read side has; `min_position` waits for one's own writes.

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::Response;
use domain::Position;
use domain::job::{Command, Job};
use futures_util::{StreamExt as _, stream};
use projections::job::{self, By, Filter, Sort};
use projections::query::{PAGE_ITEMS_MAX, Paging};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::queries::filter;
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::command::issue::Issuer;
use crate::exchange::Exchange;
use crate::fields::Fields;
use crate::problem::{ApiError, FieldError};
use crate::reads::{Asked, Least, at};
use crate::routes::Routes;
use crate::texts::ReasonText;

/// How many jobs one request changes: as many as a batch has lines. Who has more asks again.
const JOBS_MAX: usize = 10_000;

/// Commands of one request that are carried out at the same time: what fills a group commit.
const IN_FLIGHT_MAX: usize = 1_000;

/// What every job is told.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bulk {
    /// `cancel` or `requeue`.
    #[schema(pattern = "^(cancel|requeue)$", example = "cancel")]
    pub(crate) command: String,
    /// Why; only for `cancel`.
    #[serde(default)]
    pub(crate) reason: Option<ReasonText>,
    /// Only count; no, if nothing is said.
    #[serde(default)]
    pub(crate) dry_run: Option<bool>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkView {
    /// How many jobs fit the filter.
    pub(crate) matched: u64,
    /// How many were changed.
    pub(crate) changed: u64,
    /// How many were as they should be already, or refused, as one that has ended meanwhile.
    pub(crate) unchanged: u64,
}

/// Tell every job that fits the same.
///
/// The parameters are those of `GET /v1/jobs`; at least one must be given. At most 10,000 jobs are
/// changed, those enqueued first; `dry_run` tells how many fit.
#[utoipa::path(post, path = "/v1/jobs/bulk", tag = "jobs", request_body = Bulk,
    params(
        ("queue" = Option<String>, Query, description = "of this queue"),
        ("kind" = Option<String>, Query, description = "of this kind"),
        ("status" = Option<String>, Query, description = "in one of these states, with commas between",
            pattern = "^(waiting|running|completed|dead|cancelled)(,(waiting|running|completed|dead|cancelled))*$"),
        ("parent" = Option<String>, Query, description = "a part of this, as `batch:<id>`",
            pattern = "^(batch|run|schedule):[A-Za-z0-9_-]{1,64}$"),
    ),
    responses((status = 200, description = "what came of it", body = BulkView)))]
async fn bulk(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let exchange = Exchange::from_request_parts(&mut parts, &app).await?;
    let Asked {
        caller,
        mut params,
        least,
    } = Asked::from_request_parts(&mut parts, &app).await?;
    let filter = filter(&mut params);
    params.finish()?;
    if filter == Filter::default() {
        let rule = "must be given, or another filter: all jobs are too many";
        let error = FieldError::parameter("queue", rule);
        return Err(ApiError::Invalid(vec![error]));
    }
    let body = Body::new(body);
    let body: Bulk = read_json(&parts.headers, body, app.limits.body_bytes_max).await?;
    let is_dry = body.dry_run.unwrap_or(false);
    let command = body.checked()?;
    let correlation = exchange.correlation();
    let trace = exchange.trace().to_string();
    let issuer = Issuer {
        caller: &caller,
        correlation: &correlation,
        trace: &trace,
        clock: &*app.clock,
    };
    let command = (!is_dry).then_some(command);
    let (position, told) = tell_all(&app, &issuer, &filter, least, command).await?;
    Ok(at(position, told))
}

/// Tells `command` to the jobs that fit `filter`, the first 10,000 of them; without one, only counts them. Beside
/// what came of it, where the read side was.
pub(crate) async fn tell_all(
    app: &App,
    issuer: &Issuer<'_>,
    filter: &Filter,
    least: Least,
    command: Option<Command>,
) -> Result<(Position, BulkView), ApiError> {
    let (position, matched, ids) =
        matching(app, issuer.caller, filter, least, command.is_none()).await?;
    let issued: Vec<_> = ids
        .into_iter()
        .zip(command.iter().cycle())
        .map(|(id, command)| issuer.issue_unkeyed::<Job>(id.into(), command.clone()))
        .collect();
    let told = stream::iter(issued).map(|issued| {
        let app = app.clone();
        async move { app.jobs.handle(&issued.stream, issued.request).await }
    });
    let mut told = told.buffer_unordered(IN_FLIGHT_MAX);
    let (mut changed, mut unchanged) = (0, 0);
    while let Some(told) = told.next().await {
        match told {
            Ok(receipt) if !receipt.unchanged => changed += 1,
            Ok(_) | Err(commands::Failure::Refused(_)) => unchanged += 1,
            Err(failure) => return Err(failure.into()),
        }
    }
    let view = BulkView {
        matched,
        changed,
        unchanged,
    };
    Ok((position, view))
}

impl Bulk {
    fn checked(self) -> Result<Command, ApiError> {
        let mut fields = Fields::default();
        let reason = fields.optional("/reason", self.reason);
        let command = match self.command.as_str() {
            "cancel" => reason.map(|reason| Command::Cancel { reason }),
            "requeue" if reason == Some(None) => Some(Command::Requeue),
            "requeue" => fields.check("/reason", Err("is taken only by `cancel`")),
            _ => fields.check("/command", Err("must be `cancel` or `requeue`")),
        };
        fields.finish(command)
    }
}

/// In which order they are told: an earlier one is not overtaken by a later one.
const EARLIEST_FIRST: Sort = Sort {
    by: By::EnqueuedAt,
    descending: false,
};

/// Where the read side is, how many jobs fit, and the first of them; none of them where they are only counted.
async fn matching(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    least: Least,
    is_dry: bool,
) -> Result<(Position, u64, Vec<Uuid>), ApiError> {
    let mut ids = Vec::new();
    let mut matched = 0;
    let mut cursor = None;
    loop {
        let paging = Paging {
            limit: if is_dry { 1 } else { PAGE_ITEMS_MAX },
            count: cursor.is_none(),
            cursor,
        };
        let tenant = caller.tenant();
        let page = job::list(&app.reads.reader, tenant, filter, EARLIEST_FIRST, &paging).await?;
        least.met_by(page.position)?;
        matched = page.total.unwrap_or(matched);
        if is_dry {
            return Ok((page.position, matched, ids));
        }
        ids.extend(page.items.iter().map(|row| row.id));
        let position = page.position;
        cursor = page.next;
        if cursor.is_none() || ids.len() >= JOBS_MAX {
            ids.truncate(JOBS_MAX);
            return Ok((position, matched, ids));
        }
    }
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(bulk))
}
