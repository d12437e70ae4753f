//! The row of [`Model`](super::Model), and its table.

use domain::job::{
    Capabilities, Death, ErrorText, Message, Parent, Priority, Progress, Retry, Status,
    TimeoutSeconds,
};
use domain::labels::Labels;
use domain::{Json, Name, Position, Tenant, Timestamp, Token};
use uuid::Uuid;

use super::Key;
use crate::model::Row;
use crate::read::{self, Columns};
use crate::table::Kind::{Bigint, Integer, Jsonb, Text, Timestamp as Time, Uuid as Id};
use crate::table::{self, Fields, RowWriter, Table};

/// A job as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: Uuid,
    /// Its queue.
    pub queue: Token,
    /// The sort of work.
    pub kind: Name,
    /// What comes first within the queue.
    pub priority: Priority,
    /// The state.
    pub status: Status,
    /// The number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// How many attempts failed or timed out since it was enqueued or put back.
    pub failures: u32,
    /// Who has it, while it runs.
    pub worker: Option<Name>,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// While it waits: not handed out before.
    pub ready_at: Option<Timestamp>,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it came to its end, where it has.
    pub ended_at: Option<Timestamp>,
    /// Given up at.
    pub deadline: Option<Timestamp>,
    /// How long one attempt may run.
    pub timeout_s: Option<TimeoutSeconds>,
    /// What it shares its turn with.
    pub fairness_key: Option<Name>,
    /// What a worker must be able to do.
    pub capabilities: Capabilities,
    /// What else it is found by.
    pub labels: Labels,
    /// What it is a part of.
    pub parent: Option<Parent>,
    /// How far its worker is, while it runs.
    pub progress: Progress,
    /// What the last failure was.
    pub error: Option<ErrorText>,
    /// Why it is dead, while it is.
    pub death: Option<Death>,
    /// How many milliseconds it could have been handed out before its first start.
    pub wait_ms: Option<u64>,
    /// What the worker needs to know. In a list it is left out.
    pub payload: Option<Json>,
    /// What came of it. In a list it is left out.
    pub result: Option<Json>,
    /// What follows a failure.
    pub retry: Retry,
    /// How many events it has had.
    pub version: u64,
    /// Where its last commit stands.
    pub position: Position,
    /// Who enqueued it.
    pub principal: Name,
}

const fn column(name: &'static str, kind: table::Kind) -> table::Column {
    table::Column { name, kind }
}

pub(super) static TABLE: Table = Table {
    name: "job",
    columns: &[
        column("tenant", Text),
        column("id", Id),
        column("queue", Text),
        column("kind", Text),
        column("priority", Integer),
        column("status", Text),
        column("attempt", Bigint),
        column("failures", Bigint),
        column("worker", Text),
        column("enqueued_at", Time),
        column("ready_at", Time),
        column("started_at", Time),
        column("ended_at", Time),
        column("deadline", Time),
        column("timeout_s", Bigint),
        column("fairness_key", Text),
        column("capabilities", Jsonb),
        column("labels", Jsonb),
        column("parent_kind", Text),
        column("parent_id", Text),
        column("percent", Integer),
        column("message", Text),
        column("error", Text),
        column("death", Text),
        column("wait_ms", Bigint),
        column("payload", Text),
        column("result", Text),
        column("retry", Jsonb),
        column("version", Bigint),
        column("position", Bigint),
        column("principal", Text),
    ],
    key_columns: 2,
    fixed: &[
        "queue",
        "kind",
        "priority",
        "enqueued_at",
        "timeout_s",
        "fairness_key",
        "capabilities",
        "labels",
        "parent_kind",
        "parent_id",
        "payload",
        "retry",
        "principal",
    ],
    large: &["payload"],
    create: include_str!("create.sql"),
    serve: include_str!("serve.sql"),
    views: include_str!("views.sql"),
};

impl Row for JobRow {
    type Key = Key;

    fn key(&self) -> Key {
        (self.tenant.clone(), self.id)
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.tenant.as_str());
        out.uuid(self.id);
        out.text(self.queue.as_str());
        out.text(self.kind.as_str());
        out.integer(rank(self.priority));
        out.text(self.status.as_str());
        out.count(self.attempt.into());
        out.count(self.failures.into());
        out.text_or_null(self.worker.as_ref().map(Name::as_str));
        out.timestamp(self.enqueued_at);
        out.timestamp_or_null(self.ready_at);
        out.timestamp_or_null(self.started_at);
        out.timestamp_or_null(self.ended_at);
        out.timestamp_or_null(self.deadline);
        out.count_or_null(self.timeout_s.map(TimeoutSeconds::get));
        out.text_or_null(self.fairness_key.as_ref().map(Name::as_str));
        out.jsonb(&self.capabilities);
        out.jsonb(&self.labels);
        let parent = self.parent.as_ref();
        out.text_or_null(parent.map(|parent| parent.kind.into()));
        out.text_or_null(parent.map(|parent| parent.id.as_str()));
        out.whole_or_null(self.progress.percent);
        out.text_or_null(self.progress.message.as_ref().map(Message::as_str));
        out.text_or_null(self.error.as_ref().map(ErrorText::as_str));
        out.text_or_null(self.death.map(Into::into));
        out.count_or_null(self.wait_ms);
        out.text_or_null(self.payload.as_ref().map(Json::get));
        out.text_or_null(self.result.as_ref().map(Json::get));
        out.jsonb(&self.retry);
        out.count(self.version);
        out.count(self.position.0);
        out.text(self.principal.as_str());
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant: row.tenant("tenant")?,
            id: row.uuid("id")?,
            queue: row.parsed("queue")?,
            kind: row.parsed("kind")?,
            priority: priority(row)?,
            status: row.parsed("status")?,
            attempt: number(row, "attempt")?,
            failures: number(row, "failures")?,
            worker: row.parsed_or_null("worker")?,
            enqueued_at: row.time("enqueued_at")?,
            ready_at: row.time_or_null("ready_at")?,
            started_at: row.time_or_null("started_at")?,
            ended_at: row.time_or_null("ended_at")?,
            deadline: row.time_or_null("deadline")?,
            timeout_s: timeout(row)?,
            fairness_key: row.parsed_or_null("fairness_key")?,
            capabilities: row.jsonb("capabilities")?,
            labels: row.jsonb("labels")?,
            parent: parent(row)?,
            progress: Progress {
                percent: row.whole_or_null("percent")?,
                message: row.parsed_or_null("message")?,
            },
            error: row.parsed_or_null("error")?,
            death: row.parsed_or_null("death")?,
            wait_ms: row.count_or_null("wait_ms")?,
            payload: row.json_text("payload")?,
            result: row.json_text("result")?,
            retry: row.jsonb("retry")?,
            version: row.count("version")?,
            position: row.position("position")?,
            principal: row.parsed("principal")?,
        })
    }

    fn is_final(&self) -> bool {
        match self.status {
            Status::Completed | Status::Cancelled => true,
            Status::Waiting | Status::Running | Status::Dead => false,
        }
    }

    fn written(&mut self) {
        self.payload = None;
    }
}

/// The place of `priority` in the order, as it is stored.
pub(super) fn rank(priority: Priority) -> i32 {
    match priority {
        Priority::Critical => 0,
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}

/// A rank that no priority has.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is the rank of no priority")]
struct UnknownRank(i32);

pub(super) fn priority(row: &dyn Fields) -> Result<Priority, sqlx::Error> {
    let stored = row.integer("priority")?;
    let found = Priority::ALL
        .into_iter()
        .find(|priority| rank(*priority) == stored);
    found.ok_or_else(|| read::undecodable("priority", UnknownRank(stored)))
}

pub(super) fn number(row: &dyn Fields, column: &str) -> Result<u32, sqlx::Error> {
    read::converted(column, row.bigint(column)?)
}

pub(super) fn timeout(row: &dyn Fields) -> Result<Option<TimeoutSeconds>, sqlx::Error> {
    let seconds = row.count_or_null("timeout_s")?;
    let seconds = seconds.map(|seconds| read::converted("timeout_s", seconds));
    seconds.transpose()
}

fn parent(row: &dyn Fields) -> Result<Option<Parent>, sqlx::Error> {
    let kind = row.parsed_or_null("parent_kind")?;
    let id = row.parsed_or_null("parent_id")?;
    Ok(kind.zip(id).map(|(kind, id)| Parent { kind, id }))
}
