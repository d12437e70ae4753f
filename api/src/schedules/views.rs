//! Schedules as JSON. The fields of their specs are those that `POST` and `PUT` take.

use std::collections::BTreeMap;

use domain::job::{Backoff, Priority, Template};
use domain::labels::LabelValue;
use domain::schedule::{
    BusinessDays, CatchUp, JitterMs, Overlap, PauseCause, Recurrence, RunOutcome, Status,
};
use domain::{Json, Name, Timestamp};
use projections::schedule::ScheduleRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::recurrence::{BusinessDaysBody, CatchUpBody, RecurrenceBody};
use crate::jobs::template::{BackoffBody, PriorityView};

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Schedule")]
pub(crate) struct ScheduleView {
    /// Its id.
    #[schema(format = "uuid", value_type = String)]
    pub(crate) id: Uuid,
    /// The state.
    #[schema(value_type = ScheduleStatusView)]
    pub(crate) status: Status,
    /// What people call it.
    pub(crate) name: String,
    /// What is enqueued.
    pub(crate) job: TemplateView,
    /// When.
    #[schema(value_type = RecurrenceBody)]
    pub(crate) recurrence: Recurrence,
    /// On which days; on all, where nothing is said.
    #[schema(required, value_type = Option<BusinessDaysBody>)]
    pub(crate) business_days: Option<BusinessDays>,
    /// Each job is ready up to so many milliseconds later.
    #[schema(value_type = u64)]
    pub(crate) jitter_ms: JitterMs,
    /// What becomes of a time while the job of an earlier one runs.
    #[schema(value_type = String, pattern = "^(allow|skip|queue|cancel_running)$")]
    pub(crate) overlap: Overlap,
    /// What becomes of the times that passed while nobody decided, or it was paused.
    #[schema(value_type = CatchUpBody)]
    pub(crate) catch_up: CatchUp,
    /// Nothing is due before.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) starts_at: Option<Timestamp>,
    /// Nothing is due from then on.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) ends_at: Option<Timestamp>,
    /// After so many failures in a row it pauses itself.
    #[schema(required)]
    pub(crate) failures_max: Option<u64>,
    /// Whether the end of a run tells what changed since the last result.
    pub(crate) compare_previous: bool,
    /// The next time to decide on; it may have passed. None while it is paused, and at its end.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) next_at: Option<Timestamp>,
    /// The time that was fired last.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) last_fired_at: Option<Timestamp>,
    /// The job that was fired last.
    #[schema(required, format = "uuid", value_type = Option<String>)]
    pub(crate) last_job: Option<Uuid>,
    /// The run that ended last.
    #[schema(required)]
    pub(crate) last_run: Option<LastRunView>,
    /// Jobs that have not ended.
    pub(crate) running: usize,
    /// Times that wait for the end of what runs.
    pub(crate) queued: usize,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Jobs that were enqueued, ever.
    pub(crate) fired: u64,
    /// Times that were left out, ever.
    pub(crate) skipped: u64,
    /// Jobs that were done, ever.
    pub(crate) succeeded: u64,
    /// Jobs that died, ever.
    pub(crate) failed: u64,
    /// Jobs that were cancelled, ever.
    pub(crate) cancelled: u64,
    /// Why it is paused, while it is.
    #[schema(required)]
    pub(crate) pause: Option<PauseView>,
    /// When it was created.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) created_at: Timestamp,
    /// When it was last created, changed, paused, resumed or deleted.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) changed_at: Timestamp,
    /// Who created it.
    pub(crate) principal: String,
    /// How many events it has had.
    pub(crate) version: u64,
    /// Where its last commit stands.
    pub(crate) position: u64,
}

/// A job that is enqueued later.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TemplateView {
    /// Its queue.
    pub(crate) queue: String,
    /// The sort of work.
    pub(crate) kind: String,
    /// What comes first within the queue.
    #[schema(value_type = PriorityView)]
    pub(crate) priority: Priority,
    /// What the worker needs to know, as it was written; left out in lists, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub(crate) payload: Option<Json>,
    /// How many seconds one attempt may run.
    #[schema(required)]
    pub(crate) timeout_s: Option<u64>,
    /// After how many failed attempts it is dead.
    pub(crate) attempts_max: u64,
    /// How long it waits after a failure.
    #[schema(value_type = BackoffBody)]
    pub(crate) backoff: Backoff,
    /// What it shares its turn with.
    #[schema(required)]
    pub(crate) fairness_key: Option<String>,
    /// What a worker must be able to do.
    pub(crate) capabilities: Vec<String>,
    /// What else it is found by.
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) labels: BTreeMap<Name, LabelValue>,
}

/// The states of a schedule.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(title = "ScheduleStatus")]
pub(crate) enum ScheduleStatusView {
    /// It decides on what is due.
    Active,
    /// It decides on nothing until it is resumed.
    Paused,
    /// It is over.
    Deleted,
}

/// A run that has ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "LastRun")]
pub(crate) struct LastRunView {
    /// Its job.
    #[schema(format = "uuid", value_type = String)]
    pub(crate) job: Uuid,
    /// How it ended.
    #[schema(value_type = String, pattern = "^(succeeded|failed|cancelled)$")]
    pub(crate) outcome: RunOutcome,
    /// When that was recorded.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) ended_at: Timestamp,
}

/// Why a schedule is paused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Pause")]
pub(crate) struct PauseView {
    /// `asked`: somebody asked for it; `failures`: as many jobs in a row failed as may.
    #[schema(value_type = String, pattern = "^(asked|failures)$")]
    pub(crate) cause: PauseCause,
    /// What was said of it.
    #[schema(required)]
    pub(crate) reason: Option<String>,
}

/// A part of a list of schedules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleList {
    /// The schedules, in the order asked for.
    pub(crate) items: Vec<ScheduleView>,
    /// The cursor of the next page; none at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
    /// How many fit the filter in all, where `count=true` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) total: Option<u64>,
}

impl From<ScheduleRow> for ScheduleView {
    fn from(row: ScheduleRow) -> Self {
        let (spec, standing, counts) = (row.spec, row.standing, row.counts);
        Self {
            id: row.id,
            status: standing.status(),
            name: spec.name.into(),
            job: TemplateView::of(spec.job, row.payload),
            recurrence: spec.recurrence,
            business_days: spec.business_days,
            jitter_ms: spec.jitter_ms,
            overlap: spec.overlap,
            catch_up: spec.catch_up,
            starts_at: spec.starts_at,
            ends_at: spec.ends_at,
            failures_max: spec.failures_max.map(Into::into),
            compare_previous: spec.compare_previous,
            next_at: row.next_at,
            last_fired_at: row.last_fired_at,
            last_job: row.last_job,
            last_run: row.last_run.map(|run| LastRunView {
                job: run.job,
                outcome: run.outcome,
                ended_at: run.ended_at,
            }),
            running: standing.running().len(),
            queued: standing.queued(),
            failures: standing.failures(),
            fired: counts.fired,
            skipped: counts.skipped,
            succeeded: counts.succeeded,
            failed: counts.failed,
            cancelled: counts.cancelled,
            pause: row.pause.map(|pause| PauseView {
                cause: pause.cause,
                reason: pause.reason.map(Into::into),
            }),
            created_at: row.created_at,
            changed_at: row.changed_at,
            principal: row.principal.into(),
            version: row.version,
            position: row.position.0,
        }
    }
}

impl TemplateView {
    fn of(template: Template, payload: Option<Json>) -> Self {
        let capabilities = Vec::<Name>::from(template.capabilities).into_iter();
        Self {
            queue: template.queue.into(),
            kind: template.kind.into(),
            priority: template.priority,
            payload,
            timeout_s: template.timeout_s.map(Into::into),
            attempts_max: template.retry.attempts_max.into(),
            backoff: template.retry.backoff,
            fairness_key: template.fairness_key.map(Into::into),
            capabilities: capabilities.map(Into::into).collect(),
            labels: template.labels.into(),
        }
    }
}
