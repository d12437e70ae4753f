//! Jobs and workers as JSON.

use std::collections::BTreeMap;

use domain::job::{Death, Parent, ParentKind, Priority, Retry, Status};
use domain::labels::LabelValue;
use domain::{Json, Name, Timestamp};
use projections::job::{JobRow, Worker};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::template::{BackoffBody, PriorityView};

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Job")]
pub(crate) struct JobView {
    /// Its id.
    #[schema(format = "uuid", value_type = String)]
    pub(crate) id: Uuid,
    /// Its queue.
    pub(crate) queue: String,
    /// The sort of work.
    pub(crate) kind: String,
    /// What comes first within the queue.
    #[schema(value_type = PriorityView)]
    pub(crate) priority: Priority,
    /// The state.
    #[schema(value_type = JobStatusView)]
    pub(crate) status: Status,
    /// The number of the last attempt; 0 before the first.
    pub(crate) attempt: u32,
    /// How many attempts failed or timed out since it was enqueued or put back.
    pub(crate) failures: u32,
    /// Who has it, while it runs.
    #[schema(required)]
    pub(crate) worker: Option<String>,
    /// When it was enqueued.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) enqueued_at: Timestamp,
    /// While it waits: not handed out before; at once, if nothing is said.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) ready_at: Option<Timestamp>,
    /// When the last attempt began.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) started_at: Option<Timestamp>,
    /// When it came to its end.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) ended_at: Option<Timestamp>,
    /// Given up at.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) deadline: Option<Timestamp>,
    /// How many seconds one attempt may run.
    #[schema(required)]
    pub(crate) timeout_s: Option<u64>,
    /// After how many failed attempts it is dead.
    pub(crate) attempts_max: u64,
    /// How long it waits after a failure.
    #[schema(value_type = BackoffBody)]
    pub(crate) backoff: domain::job::Backoff,
    /// What it shares its turn with.
    #[schema(required)]
    pub(crate) fairness_key: Option<String>,
    /// What a worker must be able to do.
    pub(crate) capabilities: Vec<String>,
    /// What else it is found by.
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) labels: BTreeMap<Name, LabelValue>,
    /// What it is a part of.
    #[schema(required)]
    pub(crate) parent: Option<ParentView>,
    /// How far its worker is, of the whole, while it runs.
    #[schema(required, maximum = 100)]
    pub(crate) percent: Option<u64>,
    /// What its worker is doing, while it runs.
    #[schema(required)]
    pub(crate) message: Option<String>,
    /// What went wrong last.
    #[schema(required)]
    pub(crate) error: Option<String>,
    /// Why it is dead, while it is.
    #[schema(required, value_type = Option<DeathView>)]
    pub(crate) death: Option<Death>,
    /// How many milliseconds it could have been handed out before its first start.
    #[schema(required)]
    pub(crate) wait_ms: Option<u64>,
    /// What the worker needs to know, as it was written; left out in lists, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub(crate) payload: Option<Json>,
    /// What came of it, as it was written; left out in lists, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub(crate) result: Option<Json>,
    /// Who enqueued it.
    pub(crate) principal: String,
    /// How many events it has had.
    pub(crate) version: u64,
    /// Where its last commit stands.
    pub(crate) position: u64,
}

/// The states of a job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(title = "JobStatus")]
pub(crate) enum JobStatusView {
    /// Waits in its queue, perhaps for a time.
    Waiting,
    /// A worker has it.
    Running,
    /// It is done.
    Completed,
    /// It ended undone, and waits for somebody to look at it.
    Dead,
    /// Somebody ended it undone.
    Cancelled,
}

/// Why a job is dead.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(title = "Death")]
pub(crate) enum DeathView {
    /// As many attempts failed as it may have.
    AttemptsUsedUp,
    /// Its worker said that another attempt would fail as well.
    NotRetryable,
    /// It could not be done before its deadline.
    Deadline,
}

/// The sorts of wholes that have jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(title = "ParentKind")]
pub(crate) enum ParentKindView {
    /// Jobs that were enqueued together.
    Batch,
    /// A run of a workflow.
    Run,
    /// The fires of a schedule.
    Schedule,
}

/// What a job is a part of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParentView {
    /// What sort of whole.
    #[schema(value_type = ParentKindView)]
    pub(crate) kind: ParentKind,
    /// Its id.
    pub(crate) id: String,
}

/// A part of a list of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    /// The jobs, in the order asked for.
    pub(crate) items: Vec<JobView>,
    /// The cursor of the next page; none at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
    /// How many fit the filter in all, where `count=true` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) total: Option<u64>,
}

/// Who has running jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerList {
    /// The workers, whoever has had a job the longest first.
    pub(crate) workers: Vec<WorkerView>,
}

/// Somebody who has running jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Worker")]
pub(crate) struct WorkerView {
    /// The name under which they were claimed.
    pub(crate) name: String,
    /// How many run.
    pub(crate) running: u64,
    /// When the one that has run longest began.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) oldest_started_at: Timestamp,
}

impl From<JobRow> for JobView {
    fn from(row: JobRow) -> Self {
        let Retry {
            attempts_max,
            backoff,
        } = row.retry;
        let capabilities = Vec::<Name>::from(row.capabilities).into_iter();
        Self {
            id: row.id,
            queue: row.queue.into(),
            kind: row.kind.into(),
            priority: row.priority,
            status: row.status,
            attempt: row.attempt,
            failures: row.failures,
            worker: row.worker.map(Into::into),
            enqueued_at: row.enqueued_at,
            ready_at: row.ready_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            deadline: row.deadline,
            timeout_s: row.timeout_s.map(Into::into),
            attempts_max: attempts_max.into(),
            backoff,
            fairness_key: row.fairness_key.map(Into::into),
            capabilities: capabilities.map(Into::into).collect(),
            labels: row.labels.into(),
            parent: row.parent.as_ref().map(ParentView::from),
            percent: row.progress.percent.map(Into::into),
            message: row.progress.message.map(Into::into),
            error: row.error.map(Into::into),
            death: row.death,
            wait_ms: row.wait_ms,
            payload: row.payload,
            result: row.result,
            principal: row.principal.into(),
            version: row.version,
            position: row.position.0,
        }
    }
}

impl From<&Parent> for ParentView {
    fn from(parent: &Parent) -> Self {
        Self {
            kind: parent.kind,
            id: parent.id.to_string(),
        }
    }
}

impl From<Worker> for WorkerView {
    fn from(worker: Worker) -> Self {
        Self {
            name: worker.name.into(),
            running: worker.running,
            oldest_started_at: worker.oldest_started_at,
        }
    }
}
