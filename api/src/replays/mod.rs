//! `/v1/replays`: a slice of the journal again, as the same CloudEvents, on a subject of its own.

mod registry;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use commands::feed::FeedFilter;
use commands::feed::replay::{Pace, Replay};
use domain::{Position, Tenant, Token};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

pub use self::registry::Replays;
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::fields::{Fields, exact, whole};
use crate::problem::ApiError;
use crate::routes::Routes;
use crate::texts::TimeText;

/// The greatest factor: past it the events' own times no longer matter.
const PACE_MAX: f64 = 1_000_000.0;

/// Which slice of the journal to replay, and how fast.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayBody {
    /// Its name, by which listeners choose it: 1 to 64 of letters, digits, `_` and `-`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "audit-2026")]
    pub(crate) name: String,
    /// The first commit, included.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub(crate) from_position: Option<u64>,
    /// The last commit, included.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub(crate) to_position: Option<u64>,
    /// Only what was recorded then or later.
    #[serde(default)]
    pub(crate) from_time: Option<TimeText>,
    /// Only what was recorded before.
    #[serde(default)]
    pub(crate) to_time: Option<TimeText>,
    /// Only of this kind of aggregate.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "assignment")]
    pub(crate) category: Option<String>,
    /// Only of this type.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", example = "handed_over")]
    pub(crate) event: Option<String>,
    /// Only of this aggregate.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub(crate) id: Option<String>,
    /// The events' own times apart, so many times faster; as fast as possible if nothing is said.
    #[serde(default)]
    #[schema(exclusive_minimum = 0, maximum = 1_000_000)]
    pub(crate) pace: Option<f64>,
}

/// How a replay is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Replay")]
pub(crate) struct ReplayView {
    /// Its name.
    pub(crate) name: String,
    /// Where to listen.
    #[schema(example = "replay.default.audit-2026.>")]
    pub(crate) subject: String,
    /// The last commit that was looked at.
    pub(crate) position: u64,
    /// The last commit that will be; 0 until that is known.
    pub(crate) until: u64,
    /// Events sent so far.
    pub(crate) events: u64,
    /// Whether the end was announced.
    pub(crate) ended: bool,
    /// Why it broke off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) error: Option<String>,
}

/// Replay a slice of the journal.
#[utoipa::path(post, path = "/v1/replays", tag = "events", request_body = ReplayBody,
    responses((status = 202, description = "it has begun", body = ReplayView,
        headers(("Location", description = "where to see how far it is")))))]
async fn begin(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body: ReplayBody = read_json(&headers, body, app.limits.body_bytes_max).await?;
    let replay = replay(body, caller.tenant())?;
    let name = replay.name.clone();
    let state = app.replays.begin(replay)?;
    let location = [(LOCATION, format!("/v1/replays/{name}"))];
    let view = view(caller.tenant(), &name, state);
    Ok((StatusCode::ACCEPTED, location, Json(view)).into_response())
}

/// How far a replay is.
#[utoipa::path(get, path = "/v1/replays/{name}", tag = "events",
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "the replay")),
    responses((status = 200, description = "how far it is", body = ReplayView)))]
async fn progress(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ReplayView>, ApiError> {
    let name = Token::new(name).map_err(|rule| ApiError::parameter("name", rule))?;
    let state = app.replays.state(caller.tenant(), &name);
    let state = state.ok_or(ApiError::NotFound("replay"))?;
    Ok(Json(view(caller.tenant(), &name, state)))
}

fn replay(body: ReplayBody, tenant: &Tenant) -> Result<Replay, ApiError> {
    let mut fields = Fields::default();
    let name = fields.text::<Token>("/name", body.name);
    let category = fields.optional::<Token>("/category", body.category);
    let event = fields.optional::<Token>("/event", body.event);
    let id = fields.optional::<Token>("/id", body.id);
    let from = body
        .from_time
        .map(|time| fields.check("/from_time", time.parse()));
    let until = body
        .to_time
        .map(|time| fields.check("/to_time", time.parse()));
    for (pointer, position) in [
        ("/from_position", body.from_position),
        ("/to_position", body.to_position),
    ] {
        if let Some(position) = position {
            fields.check(pointer, exact(position));
        }
    }
    let pace = match body.pace {
        None => Some(Pace::Full),
        Some(factor) if factor > 0.0 && factor <= PACE_MAX => Some(Pace::Times(factor)),
        Some(_) => fields.check("/pace", Err("must be more than `0` and at most `1000000`")),
    };
    let filter = category
        .zip(event)
        .zip(id)
        .map(|((category, event), id)| FeedFilter {
            tenant: tenant.clone(),
            category,
            event,
            id,
        });
    let replay = name
        .zip(filter)
        .zip(pace)
        .map(|((name, filter), pace)| Replay {
            name,
            filter,
            after: Position(body.from_position.unwrap_or_default().saturating_sub(1)),
            until: body.to_position.map(Position),
            recorded_from: from.flatten(),
            recorded_until: until.flatten(),
            pace,
        });
    fields.finish(replay)
}

fn view(tenant: &Tenant, name: &Token, state: registry::State) -> ReplayView {
    ReplayView {
        name: name.to_string(),
        subject: format!("replay.{tenant}.{name}.>"),
        position: state.progress.position.0,
        until: state.progress.until.0,
        events: state.progress.events,
        ended: state.progress.ended,
        error: state.error,
    }
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(begin)).add(routes!(progress))
}
