//! command: one row a command that was committed, by which a retry finds its first answer.
//! Folds every category, undecoded; owns table `command`; the query is at the end of this file.
//!
//! A command id that is committed a second time leaves the first row as it is.

use domain::{CommandId, Digest, Name, Position, StreamId, Tenant, Timestamp, Token};
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use crate::fact::Fact;
use crate::model::{Poison, ReadModel, Reads, Row, Rows};
use crate::query::QueryError;
use crate::read::Columns;
use crate::table::Kind::{Bigint, Jsonb, Text, Timestamp as Time, Uuid as Id};
use crate::table::{Column, Kind, RowWriter, Table};

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
    create: include_str!("create.sql"),
    serve: include_str!("serve.sql"),
    views: include_str!("views.sql"),
};

impl ReadModel for Model {
    const TABLE: &'static Table = &TABLE;
    const VERSION: u32 = 1;
    const READS: Reads = Reads::Commits;
    const ROWS: Rows = Rows::Once;
    type Key = Key;
    type Row = CommandRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        let key = || (fact.stream().tenant.clone(), fact.commit.id());
        Ok((fact.index == 0).then(key).into_iter())
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

    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let events: sqlx::types::Json<Vec<String>> = row.try_get("events")?;
        let request: Uuid = row.try_get("request")?;
        let id: Token = row.parsed("stream")?;
        Ok(Self {
            id: CommandId(row.try_get("id")?),
            stream: StreamId {
                tenant: row.tenant("tenant")?,
                category: row.parsed("category")?,
                id,
            },
            position: row.position("position")?,
            version: row.count("version")?,
            events: events.0,
            request: Digest(request.into_bytes()),
            principal: row.parsed("principal")?,
            at: row.time("at")?,
        })
    }
}

/// What is known of some commands, all at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The rows that were found, in no order.
    pub rows: Vec<CommandRow>,
    /// How far the read model had read the journal: later commits may be unknown to it.
    pub position: Position,
}

/// A connection of its own for [`find_many`], for somebody who asks all the time: its plan is made
/// once. To plan the statement takes Postgres three times as long as to run it.
///
/// # Errors
/// When the database does not answer.
pub async fn seeker(pool: &PgPool) -> Result<PgConnection, QueryError> {
    let mut connection = pool.acquire().await?.detach();
    // Rows are found by their key, also by a plan that was made while the table was small.
    sqlx::raw_sql(
        "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
         set plan_cache_mode = force_generic_plan",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

/// Looks for `commands`, in one round trip.
///
/// This is for the write side itself: it spans tenants, so it runs as the pool's own user, past
/// row-level security.
///
/// # Errors
/// When the database does not answer.
pub async fn find_many<'c>(
    executor: impl PgExecutor<'c>,
    commands: &[(Tenant, CommandId)],
) -> Result<Known, QueryError> {
    let tenants: Vec<_> = commands.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let ids: Vec<_> = commands.iter().map(|(_, command)| command.0).collect();
    let rows = sqlx::query(include_str!("find_many.sql"))
        .bind(tenants)
        .bind(ids)
        .fetch_all(executor)
        .await?;
    let mut known = Known {
        rows: Vec::new(),
        position: Position::START,
    };
    for row in &rows {
        known.position = row.position("read_to")?;
        if row.try_get::<Option<Uuid>, _>("id")?.is_some() {
            known.rows.push(CommandRow::read(row)?);
        }
    }
    Ok(known)
}
