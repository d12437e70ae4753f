//! The row of [`Model`](super::Model), and its table.

use domain::job::Template;
use domain::schedule::{PauseCause, Reason, Recurrence, RunOutcome, Spec, Standing};
use domain::{Json, Name, Position, Tenant, Timestamp};
use uuid::Uuid;

use super::Key;
use crate::model::Row;
use crate::read::Columns;
use crate::table::Kind::{Bigint, Jsonb, Text, Timestamp as Time, Uuid as Id};
use crate::table::{self, Fields, RowWriter, Table};

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: Uuid,
    /// What it enqueues and when, without the payload of the job.
    pub spec: Box<Spec>,
    /// The payload of the job. In a list it is left out.
    pub payload: Option<Json>,
    /// What its next decision goes by.
    pub standing: Standing,
    /// The next time to decide on, which may have passed; none while it decides on nothing. A time between
    /// two microseconds is the later one.
    pub next_at: Option<Timestamp>,
    /// The time that was fired last.
    pub last_fired_at: Option<Timestamp>,
    /// The job that was fired last.
    pub last_job: Option<Uuid>,
    /// The run that ended last.
    pub last_run: Option<LastRun>,
    /// What became of all of its times.
    pub counts: Counts,
    /// Why it is paused, while it is.
    pub pause: Option<Pause>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last created, changed, paused, resumed or deleted.
    pub changed_at: Timestamp,
    /// How many events it has had.
    pub version: u64,
    /// Where its last commit stands.
    pub position: Position,
    /// Who created it.
    pub principal: Name,
}

/// A run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRun {
    /// Its job.
    pub job: Uuid,
    /// How it ended.
    pub outcome: RunOutcome,
    /// When that was recorded.
    pub ended_at: Timestamp,
}

/// What became of the times of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that were enqueued for them, or because somebody asked.
    pub fired: u64,
    /// Times that were left out.
    pub skipped: u64,
    /// Jobs that were done.
    pub succeeded: u64,
    /// Jobs that died.
    pub failed: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
}

/// Why a schedule is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Whether somebody asked for it.
    pub cause: PauseCause,
    /// What was said of it.
    pub reason: Option<Reason>,
}

const fn column(name: &'static str, kind: table::Kind) -> table::Column {
    table::Column { name, kind }
}

pub(super) static TABLE: Table = Table {
    name: "schedule",
    columns: &[
        column("tenant", Text),
        column("id", Id),
        column("name", Text),
        column("status", Text),
        column("recurrence", Text),
        column("line", Text),
        column("time_zone", Text),
        column("queue", Text),
        column("kind", Text),
        column("labels", Jsonb),
        column("spec", Jsonb),
        column("payload", Text),
        column("standing", Jsonb),
        column("next_at", Time),
        column("last_fired_at", Time),
        column("last_job", Id),
        column("last_ended_job", Id),
        column("last_outcome", Text),
        column("last_ended_at", Time),
        column("running", Bigint),
        column("queued", Bigint),
        column("failures", Bigint),
        column("fired", Bigint),
        column("skipped", Bigint),
        column("succeeded", Bigint),
        column("failed", Bigint),
        column("cancelled", Bigint),
        column("pause_cause", Text),
        column("pause_reason", Text),
        column("created_at", Time),
        column("changed_at", Time),
        column("version", Bigint),
        column("position", Bigint),
        column("principal", Text),
    ],
    key_columns: 2,
    fixed: &[],
    large: &[],
    create: include_str!("create.sql"),
    serve: include_str!("serve.sql"),
    views: include_str!("views.sql"),
};

impl Row for ScheduleRow {
    type Key = Key;

    fn key(&self) -> Key {
        (self.tenant.clone(), self.id)
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.tenant.as_str());
        out.uuid(self.id);
        self.write_spec(out);
        out.text_or_null(self.payload.as_ref().map(Json::get));
        self.write_course(out);
        out.timestamp(self.created_at);
        out.timestamp(self.changed_at);
        out.count(self.version);
        out.count(self.position.0);
        out.text(self.principal.as_str());
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant: row.tenant("tenant")?,
            id: row.uuid("id")?,
            spec: row.jsonb("spec")?,
            payload: row.json_text("payload")?,
            standing: row.jsonb("standing")?,
            next_at: row.time_or_null("next_at")?,
            last_fired_at: row.time_or_null("last_fired_at")?,
            last_job: row.uuid_or_null("last_job")?,
            last_run: last_run(row)?,
            counts: Counts {
                fired: row.count("fired")?,
                skipped: row.count("skipped")?,
                succeeded: row.count("succeeded")?,
                failed: row.count("failed")?,
                cancelled: row.count("cancelled")?,
            },
            pause: pause(row)?,
            created_at: row.time("created_at")?,
            changed_at: row.time("changed_at")?,
            version: row.count("version")?,
            position: row.position("position")?,
            principal: row.parsed("principal")?,
        })
    }
}

impl ScheduleRow {
    /// The columns that say what it enqueues and when.
    fn write_spec(&self, out: &mut RowWriter<'_>) {
        let (recurrence, line, time_zone) = match &self.spec.recurrence {
            Recurrence::Cron { line, time_zone } => ("cron", Some(line), Some(time_zone)),
            Recurrence::Every { .. } => ("every", None, None),
            Recurrence::Once { .. } => ("once", None, None),
        };
        let Template {
            queue,
            kind,
            labels,
            ..
        } = &self.spec.job;
        out.text(self.spec.name.as_str());
        out.text(self.standing.status().as_str());
        out.text(recurrence);
        out.text_or_null(line.map(|line| line.as_str()));
        out.text_or_null(time_zone.map(|zone| zone.as_str()));
        out.text(queue.as_str());
        out.text(kind.as_str());
        out.jsonb(labels);
        out.jsonb(&self.spec);
    }

    /// The columns that say how it goes.
    fn write_course(&self, out: &mut RowWriter<'_>) {
        out.jsonb(&self.standing);
        out.timestamp_or_null(self.next_at);
        out.timestamp_or_null(self.last_fired_at);
        out.uuid_or_null(self.last_job);
        let last_run = self.last_run.as_ref();
        out.uuid_or_null(last_run.map(|run| run.job));
        out.text_or_null(last_run.map(|run| run.outcome.into()));
        out.timestamp_or_null(last_run.map(|run| run.ended_at));
        out.count(self.standing.running().len() as u64);
        out.count(self.standing.queued() as u64);
        out.count(self.standing.failures().into());
        out.count(self.counts.fired);
        out.count(self.counts.skipped);
        out.count(self.counts.succeeded);
        out.count(self.counts.failed);
        out.count(self.counts.cancelled);
        let pause = self.pause.as_ref();
        out.text_or_null(pause.map(|pause| pause.cause.into()));
        let reason = pause.and_then(|pause| pause.reason.as_ref());
        out.text_or_null(reason.map(Reason::as_str));
    }
}

fn last_run(row: &dyn Fields) -> Result<Option<LastRun>, sqlx::Error> {
    let job = row.uuid_or_null("last_ended_job")?;
    let outcome = row.parsed_or_null("last_outcome")?;
    let ended_at = row.time_or_null("last_ended_at")?;
    let all = job.zip(outcome).zip(ended_at);
    Ok(all.map(|((job, outcome), ended_at)| LastRun {
        job,
        outcome,
        ended_at,
    }))
}

fn pause(row: &dyn Fields) -> Result<Option<Pause>, sqlx::Error> {
    let cause = row.parsed_or_null("pause_cause")?;
    let reason = row.parsed_or_null("pause_reason")?;
    Ok(cause.map(|cause| Pause { cause, reason }))
}
