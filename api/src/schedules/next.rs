//! The next times of a schedule, of one that is there or of one that need not be.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::Timestamp;
use domain::schedule::{Spec, Status};
use projections::schedule;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::bodies::PreviewSchedule;
use super::queries::schedule_id;
use crate::app::App;
use crate::body::read_json;
use crate::fields::Fields;
use crate::params::Params;
use crate::problem::ApiError;
use crate::reads::{Asked, at};
use crate::routes::Routes;

/// How many times are given if nothing is said.
const COUNT_DEFAULT: usize = 10;

/// How many times are given at most: a schedule of minutes has them within a day.
const COUNT_MAX: usize = 1_000;

/// The next times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextTimes {
    /// The times, first to last; fewer than were asked for where there are no more.
    pub(crate) items: Vec<NextTime>,
    /// In whose time `local` is.
    #[schema(example = "Europe/Berlin")]
    pub(crate) time_zone: String,
}

/// A time that is due.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextTime {
    /// When.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) at: Timestamp,
    /// The same in the time of the schedule's zone.
    #[schema(format = "date-time", example = "2026-03-29T03:00:00+02:00")]
    pub(crate) local: String,
}

/// Which times are wanted.
struct Wanted {
    count: usize,
    after: Option<Timestamp>,
}

/// The next times of a schedule.
///
/// By its spec alone: also those of a schedule that is paused, were it resumed. One that is deleted has none.
#[utoipa::path(get, path = "/v1/schedules/{id}/next", tag = "schedules",
    params(
        ("count" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "so many times; 10 if nothing is said"),
        ("after" = Option<String>, Query, format = "date-time", description = "times later than this; than now if nothing is said"),
    ),
    responses((status = 200, description = "the next times", body = NextTimes)))]
async fn next(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Asked {
        caller,
        mut params,
        least,
    } = asked;
    let id = schedule_id(&id)?;
    let mut wanted = Wanted::read(&mut params);
    params.finish()?;
    let found = schedule::get(&app.reads.reader, caller.tenant(), id).await?;
    least.met_by(found.position)?;
    let row = found.item.ok_or(ApiError::NotFound("schedule"))?;
    if row.standing.status() == Status::Deleted {
        wanted.count = 0;
    }
    let times = wanted.times(row.spec, app.clock.now()).await?;
    Ok(at(found.position, times))
}

/// The next times of a schedule that need not be; its body is checked as if it were to be created.
#[utoipa::path(post, path = "/v1/schedules/next", tag = "schedules", request_body = PreviewSchedule,
    params(
        ("count" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "so many times; 10 if nothing is said"),
        ("after" = Option<String>, Query, format = "date-time", description = "times later than this; than now if nothing is said"),
    ),
    responses((status = 200, description = "the next times", body = NextTimes)))]
async fn preview(
    State(app): State<App>,
    request: Request,
) -> Result<axum::Json<NextTimes>, ApiError> {
    let mut params = Params::of(request.uri());
    let wanted = Wanted::read(&mut params);
    params.finish()?;
    let (parts, body) = request.into_parts();
    let limit = app.limits.body_bytes_max;
    let body: PreviewSchedule = read_json(&parts.headers, body, limit).await?;
    let mut fields = Fields::default();
    let spec = body.spec(&mut fields);
    let spec = fields.finish(spec)?;
    let times = wanted.times(spec, app.clock.now()).await?;
    Ok(axum::Json(times))
}

impl Wanted {
    fn read(params: &mut Params) -> Self {
        let count = params.checked("count", |text| {
            let count = text.parse().ok();
            let count = count.filter(|count| (1..=COUNT_MAX).contains(count));
            count.ok_or("must be a number from `1` to `1000`")
        });
        Self {
            count: count.unwrap_or(COUNT_DEFAULT),
            after: params.time("after"),
        }
    }

    /// A thousand times of a line that is rarely due take a good part of a second to find: not among
    /// those who answer others.
    async fn times(self, spec: Box<Spec>, now: Timestamp) -> Result<NextTimes, ApiError> {
        let after = self.after.unwrap_or(now);
        let found = tokio::task::spawn_blocking(move || {
            let zone = spec.recurrence.zone();
            let times = spec.times(after, Timestamp::MAX, self.count);
            let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime(LOCAL).to_string();
            let items = times.into_iter().map(|at| NextTime {
                at,
                local: local(at),
            });
            NextTimes {
                items: items.collect(),
                time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            }
        });
        found
            .await
            .map_err(|error| ApiError::Internal(error.into()))
    }
}

/// RFC 3339, with the zone's offset.
const LOCAL: &str = "%Y-%m-%dT%H:%M:%S%.f%:z";

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(next)).add(routes!(preview))
}
