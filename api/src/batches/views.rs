//! Batches as JSON.

use std::collections::BTreeMap;

use domain::batch::{Counts, Status};
use domain::job::{Priority, Template};
use domain::labels::LabelValue;
use domain::{Json, Name, Timestamp};
use projections::batch::{BatchRow, Standing};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::jobs::template::{BackoffBody, PriorityView};

/// A batch of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Batch")]
pub(crate) struct BatchView {
    /// Its id.
    #[schema(format = "uuid", value_type = String)]
    id: Uuid,
    /// What people call it.
    #[schema(required)]
    name: Option<String>,
    /// The state.
    #[schema(value_type = BatchStatusView)]
    status: Status,
    /// How many jobs it has, once that is said.
    #[schema(required)]
    jobs: Option<u64>,
    /// The job that follows when all of its jobs have ended.
    #[schema(required)]
    on_complete: Option<TemplateView>,
    /// What else it is found by.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Name, LabelValue>,
    /// When it was opened.
    #[schema(format = "date-time", value_type = String)]
    opened_at: Timestamp,
    /// When the number of its jobs was said.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    closed_at: Option<Timestamp>,
    /// When all of its jobs had ended.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    completed_at: Option<Timestamp>,
    /// How they had ended then; what became of a dead one since stands in the progress.
    #[schema(required)]
    completed: Option<CountsView>,
    /// Who opened it.
    principal: String,
    /// How many events it has had.
    version: u64,
    /// Where its last commit stands.
    position: u64,
}

/// A batch, and how far its jobs are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StandingView {
    #[serde(flatten)]
    batch: BatchView,
    /// How far its jobs are.
    progress: ProgressView,
}

/// How far the jobs of a batch are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Progress")]
pub(crate) struct ProgressView {
    /// Of all jobs that there are, or are to be, so many in a hundred have ended.
    #[schema(maximum = 100)]
    percent: u8,
    /// How many there are.
    seen: u64,
    /// How many wait.
    waiting: u32,
    /// How many run.
    running: u32,
    #[serde(flatten)]
    ended: CountsView,
    /// When the first was enqueued.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    first_enqueued_at: Option<Timestamp>,
    /// When the last one that has ended did so.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    last_ended_at: Option<Timestamp>,
}

/// How jobs ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Counts")]
pub(crate) struct CountsView {
    /// Those that are done.
    succeeded: u32,
    /// Those that came to nothing, and wait for somebody to look at them.
    dead: u32,
    /// Those that somebody ended undone.
    cancelled: u32,
}

/// A job that is enqueued later.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "JobTemplate")]
pub(crate) struct TemplateView {
    /// In which queue it waits.
    queue: String,
    /// The sort of work.
    kind: String,
    /// What comes first within the queue.
    #[schema(value_type = PriorityView)]
    priority: Priority,
    /// What the worker needs to know, as it was written; left out in lists, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    payload: Option<Json>,
    /// How many seconds one attempt may run.
    #[schema(required)]
    timeout_s: Option<u64>,
    /// After how many failed attempts it is dead.
    attempts_max: u64,
    /// How long it waits after a failure.
    #[schema(value_type = BackoffBody)]
    backoff: domain::job::Backoff,
    /// What it shares its turn with.
    #[schema(required)]
    fairness_key: Option<String>,
    /// What a worker must be able to do.
    capabilities: Vec<String>,
    /// What else it is found by.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Name, LabelValue>,
}

/// The states of a batch.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(title = "BatchStatus")]
pub(crate) enum BatchStatusView {
    /// It may get more jobs.
    Open,
    /// The number of its jobs is said.
    Closed,
    /// All of its jobs have ended, once at least.
    Completed,
}

/// A part of a list of batches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchList {
    /// The batches, in the order asked for.
    pub(crate) items: Vec<BatchView>,
    /// The cursor of the next page; none at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
    /// How many fit the filter in all, where `count=true` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) total: Option<u64>,
}

impl From<BatchRow> for BatchView {
    fn from(row: BatchRow) -> Self {
        Self {
            id: row.id,
            name: row.name.map(Into::into),
            status: row.status,
            jobs: row.jobs.map(Into::into),
            on_complete: row.on_complete.map(|template| (*template).into()),
            labels: row.labels.into(),
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            completed_at: row.completed_at,
            completed: row.counts.map(Into::into),
            principal: row.principal.into(),
            version: row.version,
            position: row.position.0,
        }
    }
}

impl From<Standing> for StandingView {
    fn from(standing: Standing) -> Self {
        let (percent, progress) = (standing.percent(), standing.progress);
        Self {
            batch: standing.batch.into(),
            progress: ProgressView {
                percent,
                seen: progress.seen(),
                waiting: progress.waiting,
                running: progress.running,
                ended: progress.ended.into(),
                first_enqueued_at: progress.first_enqueued_at,
                last_ended_at: progress.last_ended_at,
            },
        }
    }
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts {
            succeeded,
            dead,
            cancelled,
        } = counts;
        Self {
            succeeded,
            dead,
            cancelled,
        }
    }
}

impl From<Template> for TemplateView {
    fn from(template: Template) -> Self {
        let capabilities = Vec::<Name>::from(template.capabilities).into_iter();
        Self {
            queue: template.queue.into(),
            kind: template.kind.into(),
            priority: template.priority,
            payload: template.payload,
            timeout_s: template.timeout_s.map(Into::into),
            attempts_max: template.retry.attempts_max.into(),
            backoff: template.retry.backoff,
            fairness_key: template.fairness_key.map(Into::into),
            capabilities: capabilities.map(Into::into).collect(),
            labels: template.labels.into(),
        }
    }
}
