//! What the write side asks of the commands that were committed.
//!
//! These queries span tenants, so they run as the pool's own user, past row-level security.

use domain::{CommandId, Position, Tenant};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use super::CommandRow;
use crate::connection;
use crate::model::Row as _;
use crate::query::QueryError;
use crate::read::Columns;

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
    let mut connection = connection::kept(pool).await?;
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

/// Some ids in the order of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Ids {
    /// The ids.
    pub ids: Vec<CommandId>,
    /// Every command that was committed behind where the question began and up to here is among them.
    pub position: Position,
    /// Whether the read model has read no further.
    pub is_end: bool,
}

/// The ids of the commands that were committed behind `after`, the first `limit` of them.
///
/// # Errors
/// When the database does not answer.
pub async fn ids_behind<'c>(
    executor: impl PgExecutor<'c>,
    after: Position,
    limit: u32,
) -> Result<Ids, QueryError> {
    let rows = sqlx::query(include_str!("ids_behind.sql"))
        .bind(after.0.cast_signed())
        .bind(i64::from(limit))
        .fetch_all(executor)
        .await?;
    let mut found = Ids {
        ids: Vec::with_capacity(rows.len()),
        position: after,
        is_end: rows.len() < limit as usize,
    };
    for row in &rows {
        if let Some(id) = row.try_get::<Option<Uuid>, _>("id")? {
            found.ids.push(CommandId(id));
        }
        let reached = if found.is_end { "read_to" } else { "position" };
        found.position = row.position(reached)?.max(after);
    }
    Ok(found)
}
