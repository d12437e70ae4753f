//! The row of [`Model`](super::Model), and its table.

use domain::assignment::{
    Description, EffortMinutes, Labels, Outcome, Priority, Reason, Status, Title, Window,
};
use domain::{Name, Position, Tenant, Timestamp};
use uuid::Uuid;

use super::Key;
use crate::model::Row;
use crate::read::{self, Columns};
use crate::table::Kind::{Bigint, Integer, Jsonb, Text, Timestamp as Time, Uuid as Id};
use crate::table::{Column, Fields, RowWriter, Table};

/// An assignment as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct AssignmentRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub title: Title,
    /// What is to be done.
    pub description: Option<Description>,
    /// The sort of work.
    pub kind: Name,
    /// The state.
    pub status: Status,
    /// The group it lies in.
    pub group: Name,
    /// Who asked for it.
    pub requester: Name,
    /// Who has it.
    pub assignee: Option<Name>,
    /// How much it presses.
    pub priority: Priority,
    /// What else it is found by.
    pub labels: Labels,
    /// When it may be done.
    pub window: Option<Window>,
    /// How much work it is thought to be.
    pub effort_minutes: Option<EffortMinutes>,
    /// Its name in another system.
    pub external_ref: Option<Name>,
    /// What came of it, once it is completed.
    pub outcome: Option<Outcome>,
    /// Why it waits, while it is on hold.
    pub hold_reason: Option<Reason>,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// The latest time at which anything of it happened.
    pub updated_at: Timestamp,
    /// When the present standing began.
    pub since: Timestamp,
    /// How often it went from one person straight to another.
    pub hand_overs: u64,
    /// How many notes it has.
    pub notes: u64,
    /// How many events it has had.
    pub version: u64,
    /// Where its last commit stands.
    pub position: Position,
}

const fn column(name: &'static str, kind: crate::table::Kind) -> Column {
    Column { name, kind }
}

pub(super) static TABLE: Table = Table {
    name: "assignment",
    columns: &[
        column("tenant", Text),
        column("id", Id),
        column("title", Text),
        column("description", Text),
        column("kind", Text),
        column("status", Text),
        column("group_name", Text),
        column("requester", Text),
        column("assignee", Text),
        column("priority", Integer),
        column("labels", Jsonb),
        column("window_start", Time),
        column("window_end", Time),
        column("effort_minutes", Integer),
        column("external_ref", Text),
        column("outcome", Text),
        column("hold_reason", Text),
        column("requested_at", Time),
        column("updated_at", Time),
        column("since", Time),
        column("hand_overs", Bigint),
        column("notes", Bigint),
        column("version", Bigint),
        column("position", Bigint),
    ],
    key_columns: 2,
    fixed: &[],
    large: &[],
    create: include_str!("create.sql"),
    serve: include_str!("serve.sql"),
    views: include_str!("views.sql"),
};

impl Row for AssignmentRow {
    type Key = Key;

    fn key(&self) -> Key {
        (self.tenant.clone(), self.id)
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.tenant.as_str());
        out.uuid(self.id);
        out.text(self.title.as_str());
        out.text_or_null(self.description.as_ref().map(Description::as_str));
        out.text(self.kind.as_str());
        out.text(self.status.as_str());
        out.text(self.group.as_str());
        out.text(self.requester.as_str());
        out.text_or_null(self.assignee.as_ref().map(Name::as_str));
        out.integer(self.priority.get().into());
        out.jsonb(&self.labels);
        out.timestamp_or_null(self.window.map(Window::start));
        out.timestamp_or_null(self.window.map(Window::end));
        out.whole_or_null(self.effort_minutes);
        out.text_or_null(self.external_ref.as_ref().map(Name::as_str));
        out.text_or_null(self.outcome.as_ref().map(Outcome::as_str));
        out.text_or_null(self.hold_reason.as_ref().map(Reason::as_str));
        out.timestamp(self.requested_at);
        out.timestamp(self.updated_at);
        out.timestamp(self.since);
        out.count(self.hand_overs);
        out.count(self.notes);
        out.count(self.version);
        out.count(self.position.0);
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant: row.tenant("tenant")?,
            id: row.uuid("id")?,
            title: row.parsed("title")?,
            description: row.parsed_or_null("description")?,
            kind: row.parsed("kind")?,
            status: row.parsed("status")?,
            group: row.parsed("group_name")?,
            requester: row.parsed("requester")?,
            assignee: row.parsed_or_null("assignee")?,
            priority: read::converted("priority", row.small("priority")?)?,
            labels: row.jsonb("labels")?,
            window: window(row)?,
            effort_minutes: row.whole_or_null("effort_minutes")?,
            external_ref: row.parsed_or_null("external_ref")?,
            outcome: row.parsed_or_null("outcome")?,
            hold_reason: row.parsed_or_null("hold_reason")?,
            requested_at: row.time("requested_at")?,
            updated_at: row.time("updated_at")?,
            since: row.time("since")?,
            hand_overs: row.count("hand_overs")?,
            notes: row.count("notes")?,
            version: row.count("version")?,
            position: row.position("position")?,
        })
    }
}

fn window(row: &dyn Fields) -> Result<Option<Window>, sqlx::Error> {
    let start = row.time_or_null("window_start")?;
    let end = row.time_or_null("window_end")?;
    let window = start.zip(end).map(|(start, end)| Window::new(start, end));
    window
        .transpose()
        .map_err(|error| read::undecodable("window_end", error))
}
