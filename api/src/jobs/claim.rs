//! `POST /v1/jobs/claim`: how a worker gets jobs.
//!
//! It may wait for one, so it has a limit of time of its own and takes no place among the requests but
//! one among the claims. A worker that goes away while it waits is handed nothing: what was on its way
//! to it is given back at once.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use commands::dispatch::{
    CLAIM_BYTES_MAX, CLAIM_JOBS_MAX, CLAIM_QUEUES_MAX, CLAIM_WAIT_MAX, Claim, HandedOut,
    LEASE_DEFAULT, LEASE_S,
};
use domain::labels::Labels;
use domain::{Actor, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::template::{PriorityView, capabilities};
use super::views::ParentView;
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::exchange::POSITION;
use crate::fields::{Fields, whole};
use crate::problem::ApiError;
use crate::routes::Routes;
use crate::texts::{NameText, TokenText};

/// Ask for jobs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimJobs {
    /// From which queues; they take turns.
    #[schema(min_items = 1, max_items = 50)]
    pub(crate) queues: Vec<TokenText>,
    /// Under which name.
    pub(crate) worker: NameText,
    /// How many at most; 1 if nothing is said.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 1000)]
    pub(crate) jobs_max: Option<i64>,
    /// How many seconds until it has to be heard of again; 30 if nothing is said.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 3600)]
    pub(crate) lease_s: Option<i64>,
    /// How many milliseconds it waits where there is no job; it does not, if nothing is said.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 60_000)]
    pub(crate) wait_ms: Option<i64>,
    /// What it can do.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub(crate) capabilities: Option<Vec<NameText>>,
}

/// What an answer to a claim may have at most, where it does not go over HTTP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BytesMax(pub(crate) usize);

/// The jobs that a worker got.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedJobs {
    /// The jobs; none, where there was none in time.
    pub(crate) jobs: Vec<ClaimedJob>,
}

/// A job that a worker got.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedJob {
    /// Its id.
    #[schema(format = "uuid", value_type = String)]
    pub(crate) id: Uuid,
    /// The number of the attempt, which every report names.
    pub(crate) attempt: u32,
    /// The queue that it waited in.
    pub(crate) queue: String,
    /// The sort of work.
    pub(crate) kind: String,
    /// What came first within the queue.
    #[schema(value_type = PriorityView)]
    pub(crate) priority: domain::job::Priority,
    /// What the worker needs to know, as it was written.
    #[schema(required, value_type = serde_json::Value)]
    pub(crate) payload: Option<Box<RawValue>>,
    /// What else it is found by.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) labels: Labels,
    /// What it shares its turn with.
    #[schema(required)]
    pub(crate) fairness_key: Option<String>,
    /// What it is a part of.
    #[schema(required)]
    pub(crate) parent: Option<ParentView>,
    /// Given up at.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) deadline: Option<Timestamp>,
    /// How many seconds the attempt may run.
    #[schema(required)]
    pub(crate) timeout_s: Option<u64>,
    /// When the lease ends, unless the worker is heard of before.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) lease_until: Timestamp,
    /// Where the hand-out stands in the journal.
    pub(crate) position: u64,
}

/// Get jobs to work on, waiting for one where there is none.
#[utoipa::path(post, path = "/v1/jobs/claim", tag = "jobs", request_body = ClaimJobs,
    responses((status = 200, description = "the jobs; none, where there was none in time",
        body = ClaimedJobs,
        headers(("Ledgerline-Position", description = "where the last hand-out stands, if there is one")))))]
async fn claim(
    State(app): State<App>,
    caller: Caller,
    bytes_max: Option<Extension<BytesMax>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body: ClaimJobs = read_json(&headers, body, app.limits.body_bytes_max).await?;
    let mut claim = body.into_claim(&caller)?;
    if let Some(Extension(BytesMax(bytes_max))) = bytes_max {
        claim.bytes_max = bytes_max;
    }
    let handed_out = tokio::select! {
        biased;
        handed_out = app.dispatch.claim(claim) => handed_out?,
        // Nothing was handed out: the worker asks again, wherever somebody answers.
        () = app.shutdown.cancelled() => vec![],
    };
    let position = handed_out.iter().map(|job| job.position).max();
    let jobs = handed_out.into_iter().map(ClaimedJob::from).collect();
    let mut response = Json(ClaimedJobs { jobs }).into_response();
    if let Some(position) = position {
        let headers = response.headers_mut();
        headers.insert(POSITION, HeaderValue::from(position.0));
    }
    Ok(response)
}

impl ClaimJobs {
    fn into_claim(self, caller: &Caller) -> Result<Claim, ApiError> {
        let mut fields = Fields::default();
        let queues = match self.queues.len() {
            1..=CLAIM_QUEUES_MAX => fields.texts("/queues", self.queues),
            _ => fields.check("/queues", Err("must name from `1` to `50` queues")),
        };
        let worker = fields.text("/worker", self.worker);
        let jobs_max = usize::try_from(self.jobs_max.unwrap_or(1)).ok();
        let jobs_max = jobs_max.filter(|jobs| (1..=CLAIM_JOBS_MAX).contains(jobs));
        let jobs_max = fields.check("/jobs_max", jobs_max.ok_or("must be from `1` to `1000`"));
        let lease = match self.lease_s {
            Some(seconds) => fields.check("/lease_s", lease(seconds)),
            None => Some(LEASE_DEFAULT),
        };
        let wait = u64::try_from(self.wait_ms.unwrap_or(0)).map(Duration::from_millis);
        let wait = wait.ok().filter(|wait| *wait <= CLAIM_WAIT_MAX);
        let wait = fields.check("/wait_ms", wait.ok_or("must be from `0` to `60000`"));
        let capabilities = capabilities(self.capabilities, &mut fields);
        let claim = queues.zip(worker).zip(jobs_max).zip(lease).zip(wait);
        let claim = claim.zip(capabilities).map(
            |(((((queues, worker), jobs_max), lease), wait), capabilities)| Claim {
                tenant: caller.tenant().clone(),
                queues,
                worker,
                capabilities,
                jobs_max,
                bytes_max: CLAIM_BYTES_MAX,
                lease,
                wait,
                actor: Actor {
                    principal: caller.principal().clone(),
                    on_behalf_of: None,
                },
            },
        );
        fields.finish(claim)
    }
}

/// A lease of so many seconds.
pub(super) fn lease(seconds: i64) -> Result<Duration, &'static str> {
    let seconds = u32::try_from(seconds).ok();
    let seconds = seconds.filter(|seconds| LEASE_S.contains(seconds));
    let seconds = seconds.ok_or("must be from `1` to `3600`")?;
    Ok(Duration::from_secs(seconds.into()))
}

impl From<HandedOut> for ClaimedJob {
    fn from(job: HandedOut) -> Self {
        let spec = job.spec;
        Self {
            id: job.id,
            attempt: job.attempt,
            queue: spec.queue.to_string(),
            kind: spec.kind.to_string(),
            priority: spec.priority,
            payload: spec.payload.as_ref().map(|json| json.as_raw().to_owned()),
            labels: spec.labels.clone(),
            fairness_key: spec.fairness_key.as_ref().map(ToString::to_string),
            parent: spec.parent.as_ref().map(ParentView::from),
            deadline: spec.deadline,
            timeout_s: spec.timeout_s.map(Into::into),
            lease_until: job.lease_until,
            position: job.position.0,
        }
    }
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(claim))
}
