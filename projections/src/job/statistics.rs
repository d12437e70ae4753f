//! Statistics on jobs: how the queues of a tenant do, and who works.

use domain::{Name, Tenant, Timestamp, Token};
use jiff_sqlx::ToSqlx;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::row::TABLE;
use crate::fact::stored;
use crate::query::{QueryError, Reader, Whole};
use crate::read::Columns;

/// Of how many queues statistics are given: the first by name.
const QUEUES_MAX: i64 = 1_000;

/// How many workers are given: those that have had a job the longest.
const WORKERS_MAX: i64 = 1_000;

/// Of how many jobs percentiles are: those that ended last within the hour. At thousands a second more
/// would take longer to read than a query may.
const PERCENTILE_JOBS_MAX: i64 = 100_000;

/// How a queue does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Its name.
    pub queue: Token,
    /// How many jobs wait, for their turn or for their time.
    pub waiting: u64,
    /// How many run.
    pub running: u64,
    /// How many are done, ever.
    pub completed: u64,
    /// How many are dead.
    pub dead: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// Since when the one that has waited longest could have been handed out.
    pub oldest_waiting_at: Option<Timestamp>,
    /// What happened in the last minute.
    pub last_minute: LastMinute,
    /// From when jobs could be handed out to their first start; of the jobs that ended in the last hour.
    pub wait_ms: Option<Percentiles>,
    /// From the last start to the end; of the jobs that were completed in the last hour.
    pub run_ms: Option<Percentiles>,
}

/// What happened in a queue in the last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastMinute {
    /// How many jobs were enqueued.
    pub enqueued: u64,
    /// How many were completed.
    pub completed: u64,
    /// How many ended dead.
    pub failed: u64,
}

/// So many milliseconds, or fewer, for half of them and for all but one in a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// The 99th percentile.
    pub p99: u64,
}

/// Somebody who has running jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The name under which they were claimed.
    pub name: Name,
    /// How many run.
    pub running: u64,
    /// When the one that has run longest began.
    pub oldest_started_at: Timestamp,
}

/// How the queues of `tenant` that have had jobs do at `now`; the first 1,000 by name.
///
/// # Errors
/// When the query takes too long, or the database does not answer.
pub async fn queue_statistics(
    reader: &Reader,
    tenant: &Tenant,
    now: Timestamp,
) -> Result<Whole<QueueStatistics>, QueryError> {
    let mut look = reader.look(tenant, TABLE.name).await?;
    let rows = sqlx::query(include_str!("statistics.sql"))
        .bind(tenant.as_str())
        .bind(stored(now).to_sqlx())
        .bind(PERCENTILE_JOBS_MAX)
        .bind(QUEUES_MAX)
        .fetch_all(&mut *look.snapshot)
        .await?;
    let items = rows.iter().map(QueueStatistics::read);
    Ok(Whole {
        items: items.collect::<Result<_, _>>()?,
        position: look.position,
    })
}

/// Who has running jobs of `tenant`, whoever has had one the longest first; the first 1,000.
///
/// # Errors
/// When the query takes too long, or the database does not answer.
pub async fn workers(reader: &Reader, tenant: &Tenant) -> Result<Whole<Worker>, QueryError> {
    let mut look = reader.look(tenant, TABLE.name).await?;
    let rows = sqlx::query(
        "select worker, count(*) as running, min(started_at) as oldest_started_at \
         from job where tenant = $1 and status = 'running' \
         group by worker order by oldest_started_at, worker limit $2",
    )
    .bind(tenant.as_str())
    .bind(WORKERS_MAX)
    .fetch_all(&mut *look.snapshot)
    .await?;
    let items = rows.iter().map(Worker::read);
    Ok(Whole {
        items: items.collect::<Result<_, _>>()?,
        position: look.position,
    })
}

impl QueueStatistics {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            queue: row.parsed("queue")?,
            waiting: row.count("waiting")?,
            running: row.count("running")?,
            completed: row.count("completed")?,
            dead: row.count("dead")?,
            cancelled: row.count("cancelled")?,
            oldest_waiting_at: row.time_or_null("waiting_since")?,
            last_minute: LastMinute {
                enqueued: row.count("minute_enqueued")?,
                completed: row.count("minute_completed")?,
                failed: row.count("minute_failed")?,
            },
            wait_ms: percentiles(row, "wait_ms")?,
            run_ms: percentiles(row, "run_ms")?,
        })
    }
}

impl Worker {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.parsed("worker")?,
            running: row.count("running")?,
            oldest_started_at: row.time("oldest_started_at")?,
        })
    }
}

/// None, where there was no value to order.
fn percentiles(row: &PgRow, column: &str) -> Result<Option<Percentiles>, sqlx::Error> {
    let values: Option<Vec<Option<i64>>> = row.try_get(column)?;
    let values = values.unwrap_or_default();
    // A clock that went back is no reason for a time below nothing.
    let mut values = values
        .into_iter()
        .flatten()
        .map(|ms| ms.max(0).unsigned_abs());
    Ok(values
        .next()
        .zip(values.next())
        .map(|(p50, p99)| Percentiles { p50, p99 }))
}
