//! assignment_event: one row an event of an assignment: the audit trail.
//! Folds category `assignment`; owns table `assignment_event`; the query is at the end of this file.
//!
//! `data` is kept as it was recorded, byte for byte, in a column of type `json`: what an auditor
//! reads is what was written. Nothing is decoded for it: an event that no other model can take is
//! in the trail all the same.

use std::iter::once;

use domain::assignment::Assignment;
use domain::{Aggregate, CommandId, EventPosition, Name, Tenant, Timestamp};
use serde_json::value::RawValue;
use sqlx::QueryBuilder;
use uuid::Uuid;

use crate::cursor::{Order, Tie, Value};
use crate::fact::Fact;
use crate::model::{Poison, ReadModel, Reads, Row, Rows};
use crate::query::{Page, Paging, QueryError, Reader, Sorting, page};
use crate::read::{self, Columns};
use crate::table::Kind::{Bigint, Integer, Json as JsonText, Text, Timestamp as Time, Uuid as Id};
use crate::table::{Column, Fields, Kind, RowWriter, Table};

/// The read model.
#[derive(Debug)]
pub struct Model;

/// What names a row: its commit's position and its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub EventPosition);

/// An event of an assignment, with everything that is known of it.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Where it stands.
    pub event: EventPosition,
    /// Whose it is.
    pub tenant: Tenant,
    /// The assignment.
    pub id: Uuid,
    /// How many events the assignment has had with this one.
    pub version: u64,
    /// The value of `type`.
    pub name: Box<str>,
    /// The version of the shape of its data.
    pub shape: u16,
    /// What it says, as it was recorded.
    pub data: Box<RawValue>,
    /// When it was recorded.
    pub at: Timestamp,
    /// When it happened, where that was named.
    pub occurred_at: Option<Timestamp>,
    /// Who did it.
    pub principal: Name,
    /// For whom.
    pub on_behalf_of: Option<Name>,
    /// The command that asked for it.
    pub command: CommandId,
    /// What ties commands of one errand together.
    pub correlation: Option<Name>,
    /// The event that led to it.
    pub causation: Option<EventPosition>,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

static TABLE: Table = Table {
    name: "assignment_event",
    columns: &[
        column("position", Bigint),
        column("index", Integer),
        column("tenant", Text),
        column("id", Id),
        column("version", Bigint),
        column("type", Text),
        column("v", Integer),
        column("data", JsonText),
        column("at", Time),
        column("occurred_at", Time),
        column("principal", Text),
        column("on_behalf_of", Text),
        column("command", Id),
        column("correlation", Text),
        column("causation", Text),
    ],
    key_columns: 2,
    fixed: &[],
    large: &[],
    create: include_str!("create.sql"),
    serve: include_str!("serve.sql"),
    views: include_str!("views.sql"),
};

impl ReadModel for Model {
    const TABLE: &'static Table = &TABLE;
    const VERSION: u32 = 1;
    const READS: Reads = Reads::Category(Assignment::CATEGORY);
    const ROWS: Rows = Rows::Once;
    type Key = Key;
    type Row = EventRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        Ok(once(Key(EventPosition {
            position: fact.position(),
            index: fact.index,
        })))
    }

    fn apply(row: &mut Option<EventRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        let name = &fact.recorded.name;
        if name.contains('\0') {
            return Err(Poison::new("name of the event holds a NUL"));
        }
        let payload = &fact.commit.payload;
        let causation = payload.causation.as_deref().map(str::parse).transpose();
        *row = Some(EventRow {
            event: key.0,
            tenant: fact.stream().tenant.clone(),
            id: fact.id()?,
            version: fact.version(),
            name: name.clone(),
            shape: fact.recorded.version,
            data: fact.recorded.data().to_owned(),
            at: fact.at(),
            occurred_at: fact.recorded.occurred_at.map(crate::fact::stored),
            principal: payload.actor.principal.clone(),
            on_behalf_of: payload.actor.on_behalf_of.clone(),
            command: payload.id,
            correlation: payload.correlation.clone(),
            causation: causation.map_err(|error| Poison::from_error(&error))?,
        });
        Ok(())
    }
}

impl PartialEq for EventRow {
    /// Rows are equal when they would be written alike.
    fn eq(&self, other: &Self) -> bool {
        let bytes = |row: &Self| crate::table::row_bytes(TABLE.columns, |out| row.write(out));
        bytes(self) == bytes(other)
    }
}

impl crate::model::Key for Key {
    fn write(&self, out: &mut RowWriter<'_>) {
        out.count(self.0.position.0);
        out.integer(self.0.index.cast_signed());
    }
}

impl Row for EventRow {
    type Key = Key;

    fn key(&self) -> Key {
        Key(self.event)
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        crate::model::Key::write(&self.key(), out);
        out.text(self.tenant.as_str());
        out.uuid(self.id);
        out.count(self.version);
        out.text(&self.name);
        out.integer(self.shape.into());
        out.json(self.data.get());
        out.timestamp(self.at);
        out.timestamp_or_null(self.occurred_at);
        out.text(self.principal.as_str());
        out.text_or_null(self.on_behalf_of.as_ref().map(Name::as_str));
        out.uuid(self.command.0);
        out.text_or_null(self.correlation.as_ref().map(Name::as_str));
        match self.causation {
            Some(causation) => out.text(&causation.to_string()),
            None => out.null(),
        }
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        Ok(Self {
            event: EventPosition {
                position: row.position("position")?,
                index: row.integer("index")?.cast_unsigned(),
            },
            tenant: row.tenant("tenant")?,
            id: row.uuid("id")?,
            version: row.count("version")?,
            name: row.text("type")?.into(),
            shape: read::converted("v", row.integer("v")?)?,
            data: row.json("data")?,
            at: row.time("at")?,
            occurred_at: row.time_or_null("occurred_at")?,
            principal: row.parsed("principal")?,
            on_behalf_of: row.parsed_or_null("on_behalf_of")?,
            command: CommandId(row.uuid("command")?),
            correlation: row.parsed_or_null("correlation")?,
            causation: row.parsed_or_null("causation")?,
        })
    }
}

/// The events of the assignment `id` of `tenant`, first to last.
///
/// # Errors
/// When the cursor is of another list, the query takes too long, or the database does not answer.
pub async fn history(
    reader: &Reader,
    tenant: &Tenant,
    id: Uuid,
    paging: &Paging,
) -> Result<Page<EventRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    let select = |columns: &str| {
        let mut query = QueryBuilder::new("select ");
        query
            .push(columns)
            .push(" from assignment_event where tenant = ");
        query.push_bind(tenant.as_str().to_owned());
        query.push(" and id = ").push_bind(id);
        query
    };
    let sorting = Sorting {
        order: Order {
            list: b'e',
            column: 0,
            descending: false,
        },
        column: "version",
        is_time: false,
        tie: "position, index",
    };
    let columns = TABLE.column_names();
    page(look, select, &columns, sorting, paging, |row: &EventRow| {
        let version = Value::Number(row.version.cast_signed());
        (version, Tie::Event(row.event))
    })
    .await
}
