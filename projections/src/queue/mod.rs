//! queue: one row a queue that anything was said of: its limits, and whether it is paused.
//! Folds category `queue`; owns table `queue`; the query is at the end of this file.
//!
//! A queue of which nothing was said has no row, no limits, and is not paused.

use std::iter::once;

use domain::queue::{Event, Limits, Queue, Reason};
use domain::{Aggregate, Position, Tenant, Timestamp, Token};

use crate::fact::Fact;
use crate::model::{Poison, ReadModel, Reads, Row, Rows};
use crate::query::{QueryError, Reader, Whole};
use crate::read::Columns;
use crate::table::Kind::{Bigint, Boolean, Jsonb, Text, Timestamp as Time};
use crate::table::{Column, Fields, Kind, RowWriter, Table};

/// How many queues are given: the first by name. Nobody keeps so many apart.
const QUEUES_MAX: i64 = 1_000;

/// The read model.
#[derive(Debug)]
pub struct Model;

/// What names a row: tenant and name.
pub type Key = (Tenant, Token);

/// A queue that something was said of.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRow {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub name: Token,
    /// How much of it may run.
    pub limits: Limits,
    /// Whether it hands out nothing.
    pub is_paused: bool,
    /// Why, while it is paused.
    pub reason: Option<Reason>,
    /// How many events it has had.
    pub version: u64,
    /// Where its last commit stands.
    pub position: Position,
    /// When anything was last said of it.
    pub changed_at: Timestamp,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

static TABLE: Table = Table {
    name: "queue",
    columns: &[
        column("tenant", Text),
        column("name", Text),
        column("limits", Jsonb),
        column("paused", Boolean),
        column("reason", Text),
        column("version", Bigint),
        column("position", Bigint),
        column("changed_at", Time),
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
    const READS: Reads = Reads::Category(Queue::CATEGORY);
    const ROWS: Rows = Rows::Folded;
    type Key = Key;
    type Row = QueueRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        let stream = fact.stream();
        Ok(once((stream.tenant.clone(), stream.id.clone())))
    }

    fn begins(fact: &Fact<'_>, _key: &Key) -> bool {
        fact.version() == 1
    }

    fn apply(row: &mut Option<QueueRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        let event = fact.queue()?;
        let has = row.as_ref().map_or(0, |row| row.version);
        if fact.version() != has + 1 {
            let is = fact.version();
            return Err(Poison::new(format!("event `{is}` follows event `{has}`")));
        }
        let row = row.get_or_insert_with(|| QueueRow {
            tenant: key.0.clone(),
            name: key.1.clone(),
            limits: Limits::default(),
            is_paused: false,
            reason: None,
            version: 0,
            position: fact.position(),
            changed_at: fact.at(),
        });
        match event {
            Event::Configured(limits) => row.limits = *limits,
            Event::Paused { reason } => {
                row.is_paused = true;
                row.reason.clone_from(reason);
            }
            Event::Resumed => {
                row.is_paused = false;
                row.reason = None;
            }
        }
        row.version = fact.version();
        row.position = fact.position();
        row.changed_at = fact.at();
        Ok(())
    }
}

impl crate::model::Key for Key {
    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.0.as_str());
        out.text(self.1.as_str());
    }
}

impl Row for QueueRow {
    type Key = Key;

    fn key(&self) -> Key {
        (self.tenant.clone(), self.name.clone())
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.tenant.as_str());
        out.text(self.name.as_str());
        out.jsonb(&self.limits);
        out.boolean(self.is_paused);
        out.text_or_null(self.reason.as_ref().map(Reason::as_str));
        out.count(self.version);
        out.count(self.position.0);
        out.timestamp(self.changed_at);
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        Ok(Self {
            tenant: row.tenant("tenant")?,
            name: row.parsed("name")?,
            limits: row.jsonb("limits")?,
            is_paused: row.boolean("paused")?,
            reason: row.parsed_or_null("reason")?,
            version: row.count("version")?,
            position: row.position("position")?,
            changed_at: row.time("changed_at")?,
        })
    }
}

/// The queues of `tenant` that anything was said of, by name; the first 1,000.
///
/// # Errors
/// When the query takes too long, or the database does not answer.
pub async fn list(reader: &Reader, tenant: &Tenant) -> Result<Whole<QueueRow>, QueryError> {
    let mut look = reader.look(tenant, TABLE.name).await?;
    let rows = sqlx::query(
        "select tenant, name, limits, paused, reason, version, position, changed_at \
         from queue where tenant = $1 order by name limit $2",
    )
    .bind(tenant.as_str())
    .bind(QUEUES_MAX)
    .fetch_all(&mut *look.snapshot)
    .await?;
    let items = rows.iter().map(|row| QueueRow::read(row));
    Ok(Whole {
        items: items.collect::<Result<_, _>>()?,
        position: look.position,
    })
}
