//! When each schedule is next due: what whoever fires them begins with.
//!
//! Reads the rows of all tenants, past row-level security. Times and position are of one moment.

use domain::{Position, Tenant, Timestamp};
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};
use uuid::Uuid;

use super::Model;
use crate::moment::{Moment, MomentError, Wanted};
use crate::read::Columns;

/// When each schedule is next due, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// How far the journal was read for it.
    pub position: Position,
    /// Those that have a next time, and when it is; it may have passed.
    pub schedules: Vec<(Tenant, Uuid, Timestamp)>,
}

/// When each schedule that is active is next due.
///
/// # Errors
/// When the model does not follow the journal, or the database does not answer.
pub async fn timetable(pool: &PgPool) -> Result<Timetable, MomentError> {
    let wanted = [Wanted::model::<Model>()];
    let Moment {
        mut snapshot,
        position,
    } = Moment::of(pool, wanted).await?;
    // What is paused, deleted or over has no next time.
    let rows = sqlx::query("select tenant, id, next_at from schedule where next_at is not null")
        .fetch_all(&mut *snapshot)
        .await?;
    let schedules = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Timetable {
        position,
        schedules,
    })
}

fn read(row: &PgRow) -> Result<(Tenant, Uuid, Timestamp), sqlx::Error> {
    let (tenant, next_at) = (row.tenant("tenant")?, row.time("next_at")?);
    Ok((tenant, row.try_get("id")?, next_at))
}
