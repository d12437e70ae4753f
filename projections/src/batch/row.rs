//! The row of [`Model`](super::Model), and its table.

use domain::batch::{Counts, JobCount, Status};
use domain::job::Template;
use domain::labels::Labels;
use domain::{Name, Position, Tenant, Timestamp};
use uuid::Uuid;

use super::Key;
use crate::model::Row;
use crate::read::{self, Columns};
use crate::table::Kind::{Bigint, Jsonb, Text, Timestamp as Time, Uuid as Id};
use crate::table::{self, Fields, RowWriter, Table};

/// A batch as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: Uuid,
    /// What people call it.
    pub name: Option<Name>,
    /// The state.
    pub status: Status,
    /// How many jobs it has, once that is said.
    pub jobs: Option<JobCount>,
    /// The job that follows when all of its jobs have ended.
    pub on_complete: Option<Box<Template>>,
    /// What else it is found by.
    pub labels: Labels,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When the number of its jobs was said.
    pub closed_at: Option<Timestamp>,
    /// When all of its jobs had ended.
    pub completed_at: Option<Timestamp>,
    /// How they had ended then.
    pub counts: Option<Counts>,
    /// How many events it has had.
    pub version: u64,
    /// Where its last commit stands.
    pub position: Position,
    /// Who opened it.
    pub principal: Name,
}

const fn column(name: &'static str, kind: table::Kind) -> table::Column {
    table::Column { name, kind }
}

pub(super) static TABLE: Table = Table {
    name: "batch",
    columns: &[
        column("tenant", Text),
        column("id", Id),
        column("name", Text),
        column("status", Text),
        column("jobs", Bigint),
        column("on_complete", Text),
        column("labels", Jsonb),
        column("opened_at", Time),
        column("closed_at", Time),
        column("completed_at", Time),
        column("succeeded", Bigint),
        column("dead", Bigint),
        column("cancelled", Bigint),
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

impl Row for BatchRow {
    type Key = Key;

    fn key(&self) -> Key {
        (self.tenant.clone(), self.id)
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.tenant.as_str());
        out.uuid(self.id);
        out.text_or_null(self.name.as_ref().map(Name::as_str));
        out.text(self.status.as_str());
        out.count_or_null(self.jobs.map(|jobs| jobs.get()));
        let on_complete = self.on_complete.as_ref().map(|template| {
            serde_json::to_string(template).expect("a template has only text, numbers and JSON")
        });
        out.text_or_null(on_complete.as_deref());
        out.jsonb(&self.labels);
        out.timestamp(self.opened_at);
        out.timestamp_or_null(self.closed_at);
        out.timestamp_or_null(self.completed_at);
        let counts = self.counts;
        out.count_or_null(counts.map(|counts| counts.succeeded.into()));
        out.count_or_null(counts.map(|counts| counts.dead.into()));
        out.count_or_null(counts.map(|counts| counts.cancelled.into()));
        out.count(self.version);
        out.count(self.position.0);
        out.text(self.principal.as_str());
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        let on_complete = row.text_or_null("on_complete")?;
        let on_complete = on_complete.map(serde_json::from_str).transpose();
        Ok(Self {
            tenant: row.tenant("tenant")?,
            id: row.uuid("id")?,
            name: row.parsed_or_null("name")?,
            status: row.parsed("status")?,
            jobs: row
                .count_or_null("jobs")?
                .map(|jobs| read::converted("jobs", jobs))
                .transpose()?,
            on_complete: on_complete.map_err(|error| read::undecodable("on_complete", error))?,
            labels: row.jsonb("labels")?,
            opened_at: row.time("opened_at")?,
            closed_at: row.time_or_null("closed_at")?,
            completed_at: row.time_or_null("completed_at")?,
            counts: counts(row)?,
            version: row.count("version")?,
            position: row.position("position")?,
            principal: row.parsed("principal")?,
        })
    }

    fn is_final(&self) -> bool {
        match self.status {
            Status::Completed => true,
            Status::Open | Status::Closed => false,
        }
    }
}

fn number(row: &dyn Fields, column: &str) -> Result<Option<u32>, sqlx::Error> {
    let count = row.count_or_null(column)?;
    count
        .map(|count| read::converted(column, count))
        .transpose()
}

fn counts(row: &dyn Fields) -> Result<Option<Counts>, sqlx::Error> {
    let succeeded = number(row, "succeeded")?;
    let (dead, cancelled) = (number(row, "dead")?, number(row, "cancelled")?);
    let all = succeeded.zip(dead).zip(cancelled);
    Ok(all.map(|((succeeded, dead), cancelled)| Counts {
        succeeded,
        dead,
        cancelled,
    }))
}
