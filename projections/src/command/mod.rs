//! command: one row a command that was committed and may be sent again, by which a retry finds its
//! first answer. Folds every category, undecoded; owns table `command`; the queries are in `query`.
//!
//! A command id that is committed a second time leaves the first row as it is. A command without a key
//! has an id that was drawn for this once: nobody can ask for it, and it has no row.

mod query;

use domain::{CommandId, Digest, Name, Position, StreamId, Tenant, Timestamp, Token};
use uuid::Uuid;

use crate::fact::Fact;
use crate::model::{Poison, ReadModel, Reads, Row, Rows};
use crate::read::Columns;
use crate::table::Kind::{Bigint, Jsonb, Text, Timestamp as Time, Uuid as Id};
use crate::table::{Column, Fields, Kind, RowWriter, Table};

pub use self::query::{Ids, Known, find_many, ids_behind, seeker};

/// The read model.
#[derive(Debug)]
pub struct Model;

/// What names a row: tenant and command.
pub type Key = (Tenant, CommandId);

/// A command that was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRow {
    /// Its id.
    pub id: CommandId,
    /// The stream that it changed, with its tenant.
    pub stream: StreamId,
    /// Where its commit stands.
    pub position: Position,
    /// How many events the aggregate had with it.
    pub version: u64,
    /// The names of its events.
    pub events: Vec<String>,
    /// The digest of its body.
    pub request: Digest,
    /// Who did it.
    pub principal: Name,
    /// When it was recorded.
    pub at: Timestamp,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

static TABLE: Table = Table {
    name: "command",
    columns: &[
        column("tenant", Text),
        column("id", Id),
        column("category", Text),
        column("stream", Text),
        column("position", Bigint),
        column("version", Bigint),
        column("events", Jsonb),
        column("request", Id),
        column("principal", Text),
        column("at", Time),
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
    const VERSION: u32 = 3;
    const READS: Reads = Reads::Commits;
    const ROWS: Rows = Rows::Once;
    type Key = Key;
    type Row = CommandRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        let id = fact.commit.id();
        let key = || (fact.stream().tenant.clone(), id);
        Ok((fact.index == 0 && !id.is_drawn()).then(key).into_iter())
    }

    fn apply(row: &mut Option<CommandRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        if row.is_some() {
            return Ok(());
        }
        let payload = &fact.commit.payload;
        let events = payload.events.iter().map(|event| event.name.to_string());
        let events: Vec<_> = events.collect();
        if events.iter().any(|name| name.contains('\0')) {
            return Err(Poison::new("name of an event holds a NUL"));
        }
        *row = Some(CommandRow {
            id: key.1,
            stream: fact.stream().clone(),
            position: fact.position(),
            version: fact.commit.version_after(),
            events,
            request: payload.request,
            principal: payload.actor.principal.clone(),
            at: fact.at(),
        });
        Ok(())
    }
}

impl crate::model::Key for Key {
    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.0.as_str());
        out.uuid(self.1.0);
    }
}

impl Row for CommandRow {
    type Key = Key;

    fn key(&self) -> Key {
        (self.stream.tenant.clone(), self.id)
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.stream.tenant.as_str());
        out.uuid(self.id.0);
        out.text(self.stream.category.as_str());
        out.text(self.stream.id.as_str());
        out.count(self.position.0);
        out.count(self.version);
        out.jsonb(&self.events);
        // A digest has as many bytes as a uuid, and Postgres no shorter type for so many.
        out.uuid(Uuid::from_bytes(self.request.0));
        out.text(self.principal.as_str());
        out.timestamp(self.at);
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        let id: Token = row.parsed("stream")?;
        Ok(Self {
            id: CommandId(row.uuid("id")?),
            stream: StreamId {
                tenant: row.tenant("tenant")?,
                category: row.parsed("category")?,
                id,
            },
            position: row.position("position")?,
            version: row.count("version")?,
            events: row.jsonb("events")?,
            request: Digest(row.uuid("request")?.into_bytes()),
            principal: row.parsed("principal")?,
            at: row.time("at")?,
        })
    }
}
