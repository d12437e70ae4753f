//! `POST /v1/jobs/{id}/heartbeat`: how a worker keeps a job, and tells how far it is.
//!
//! Progress is an event of the job; that the worker is alive is not, and only the dispatcher knows it.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use commands::Failure;
use commands::dispatch::Beat;
use domain::job::{Command, Event, Job, Progress};
use domain::{Aggregate as _, Context, Position, StreamId, Timestamp};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::bodies::attempt;
use super::claim::lease;
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::command::issue::Issuer;
use crate::exchange::Exchange;
use crate::fields::{Fields, whole, whole_required};
use crate::problem::ApiError;
use crate::routes::Routes;
use crate::texts::{LineText, parse_id};

/// Be heard of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Heartbeat {
    /// The attempt that is worked on.
    #[serde(deserialize_with = "whole_required")]
    #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
    pub(crate) attempt: i64,
    /// How many seconds until it has to be heard of again, where that is to change.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 3600)]
    pub(crate) lease_s: Option<i64>,
    /// How far it is, of the whole.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 100)]
    pub(crate) percent: Option<i64>,
    /// What it is doing.
    #[serde(default)]
    pub(crate) message: Option<LineText>,
}

/// How long the worker keeps the job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeaseView {
    /// When the lease ends, unless the worker is heard of before.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) lease_until: Timestamp,
}

/// Keep a job, and tell how far it is.
///
/// A worker that is refused should stop: the attempt is over, or another one runs.
#[utoipa::path(post, path = "/v1/jobs/{id}/heartbeat", tag = "jobs", request_body = Heartbeat,
    responses((status = 200, description = "the lease", body = LeaseView)))]
async fn heartbeat(
    State(app): State<App>,
    caller: Caller,
    exchange: Exchange,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = parse_id(&id).map_err(|rule| ApiError::parameter("id", rule))?;
    let body: Heartbeat = read_json(&headers, body, app.limits.body_bytes_max).await?;
    let (attempt, lease, progress) = body.checked()?;
    let issuer = Issuer {
        caller: &caller,
        correlation: &exchange.correlation(),
        trace: &exchange.trace().to_string(),
        clock: &*app.clock,
    };
    if let Some(progress) = progress {
        let progress = Command::Progress { attempt, progress };
        let issued = issuer.issue_unkeyed::<Job>(id.into(), progress);
        app.jobs.handle(&issued.stream, issued.request).await?;
    }
    let beat = Beat {
        tenant: caller.tenant().clone(),
        id,
        attempt,
        lease,
    };
    match app.dispatch.beat(beat).await? {
        Some(lease_until) => Ok(Json(LeaseView { lease_until }).into_response()),
        None => Err(why_not(&app, &issuer.stream::<Job>(id.into()), attempt).await?),
    }
}

impl Heartbeat {
    fn checked(self) -> Result<(u32, Option<Duration>, Option<Progress>), ApiError> {
        let mut fields = Fields::default();
        let attempt = attempt(self.attempt, &mut fields);
        let lease = match self.lease_s {
            Some(seconds) => fields.check("/lease_s", lease(seconds)).map(Some),
            None => Some(None),
        };
        let percent = fields.optional_number("/percent", self.percent);
        let message = fields.optional("/message", self.message);
        let progress = percent.zip(message).map(|(percent, message)| {
            let is_told = percent.is_some() || message.is_some();
            is_told.then_some(Progress { percent, message })
        });
        let checked = attempt.zip(lease).zip(progress);
        fields.finish(checked.map(|((attempt, lease), progress)| (attempt, lease, progress)))
    }
}

/// Why the dispatcher does not know the attempt, in the words of the job itself.
async fn why_not(app: &App, stream: &StreamId, attempt: u32) -> Result<ApiError, ApiError> {
    let mut job = Job::default();
    let mut commits = app.journal.read_stream(stream, Position::START);
    while let Some(commit) = commits.try_next().await? {
        for recorded in &commit.payload.events {
            let event = recorded.decode::<Event>();
            let event = event.map_err(|error| ApiError::Internal(error.into()))?;
            job.evolve(&event, commit.happened_at(recorded));
        }
    }
    let release = Command::Release { attempt };
    Ok(match job.decide(&release, &Context::at(app.clock.now())) {
        Err(refusal) => Failure::Refused(refusal).into(),
        // It has just come into office, or has lost it.
        Ok(_) => ApiError::Unavailable {
            what: "dispatcher",
            source: "attempt runs, and the dispatcher does not know of it yet".into(),
        },
    })
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(heartbeat))
}
