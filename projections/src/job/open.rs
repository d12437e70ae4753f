//! What waits and what runs: what a dispatcher begins with.
//!
//! Reads the rows of all tenants, past row-level security, as the owner of the tables. Jobs, queues and
//! position are of one moment. The tables are locked against being swapped before that moment is
//! chosen: a table that takes the place of another later would show it as empty.

use domain::job::{Retry, Spec, Status};
use domain::labels::Labels;
use domain::{Position, Tenant, Timestamp};
use futures_util::TryStreamExt;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use super::Model;
use super::row::{number, priority, timeout};
use crate::model::{ReadModel, Row};
use crate::query::QueryError;
use crate::queue::{self, QueueRow};
use crate::read::Columns;
use crate::table::safe;

/// How long one statement may take: a million jobs take some seconds.
const STATEMENT_MS_MAX: u32 = 120_000;

/// Everything that waits or runs, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Open {
    /// How far the journal was read for it.
    pub position: Position,
    /// The jobs, in the order in which they are to be handed out.
    pub jobs: Vec<OpenJob>,
    /// The queues that anything was said of.
    pub queues: Vec<QueueRow>,
}

/// A job that waits or runs.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenJob {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: Uuid,
    /// What it was enqueued as, with the deadline that it has now, and without what a dispatcher does not
    /// go by: payload, labels, parent and `run_after`.
    pub spec: Spec,
    /// The number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// While it waits: not handed out before.
    pub ready_at: Option<Timestamp>,
    /// Since when the last attempt runs, if it does.
    pub running_since: Option<Timestamp>,
}

/// Why it is not known what waits and what runs.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The model was not built yet, has stopped, or serves another version.
    #[error("read model `{0}` is not live")]
    NotLive(&'static str),
    /// The database did not answer.
    #[error("load the open jobs")]
    Query(#[from] QueryError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(error.into())
    }
}

/// Everything that waits or runs.
///
/// # Errors
/// When one of the models `job` and `queue` does not follow the journal, or the database does not answer.
pub async fn open(pool: &PgPool) -> Result<Open, OpenError> {
    let begin = "begin isolation level repeatable read, read only";
    let mut tx = pool.begin_with(begin).await?;
    hold(&mut tx).await?;
    let position = live_at(&mut tx).await?;
    let queues = sqlx::query(queue::Model::TABLE.select_all("tenant, name"))
        .fetch_all(&mut *tx)
        .await?;
    let queues = queues
        .iter()
        .map(QueueRow::read)
        .collect::<Result<_, _>>()?;
    let rows = sqlx::query(include_str!("open.sql")).fetch(&mut *tx);
    let jobs = rows.and_then(|row| std::future::ready(OpenJob::read(&row)));
    let jobs = jobs.try_collect().await?;
    Ok(Open {
        position,
        jobs,
        queues,
    })
}

/// Keeps the tables from being swapped. Neither statement chooses the moment that is looked at.
async fn hold(conn: &mut PgConnection) -> Result<(), OpenError> {
    /// `undefined_table`
    const UNDEFINED_TABLE: &str = "42P01";
    let (job, queue) = (Model::TABLE.name, queue::Model::TABLE.name);
    let held = sqlx::raw_sql(safe(format!(
        "set local statement_timeout = {STATEMENT_MS_MAX}; lock table {queue}, {job} in access share mode"
    )))
    .execute(conn)
    .await;
    match held {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => {
            Err(OpenError::NotLive(job))
        }
        held => {
            held?;
            Ok(())
        }
    }
}

/// Where both models stand.
async fn live_at(conn: &mut PgConnection) -> Result<Position, OpenError> {
    let wanted = [
        (Model::TABLE.name, Model::VERSION),
        (queue::Model::TABLE.name, queue::Model::VERSION),
    ];
    let names: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
    let rows = sqlx::query(
        "select m.name, m.version, m.status = 'live' as live, r.position \
         from projection m, read_side r where m.name = any($1)",
    )
    .bind(names)
    .fetch_all(conn)
    .await?;
    let mut position = None;
    for (name, version) in wanted {
        let is_it = |row: &&PgRow| row.try_get("name").is_ok_and(|other: &str| other == name);
        let row = rows.iter().find(is_it).ok_or(OpenError::NotLive(name))?;
        let serves: i32 = row.try_get("version")?;
        if !row.try_get::<bool, _>("live")? || u32::try_from(serves) != Ok(version) {
            return Err(OpenError::NotLive(name));
        }
        // Models that are live stand where the read side does, all of them.
        position = Some(row.position("position")?);
    }
    position.ok_or(OpenError::NotLive(Model::TABLE.name))
}

impl OpenJob {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let status: Status = row.parsed("status")?;
        let started_at = row.time_or_null("started_at")?;
        Ok(Self {
            tenant: row.tenant("tenant")?,
            id: row.try_get("id")?,
            spec: Spec {
                queue: row.parsed("queue")?,
                kind: row.parsed("kind")?,
                priority: priority(row)?,
                payload: None,
                run_after: None,
                deadline: row.time_or_null("deadline")?,
                timeout_s: timeout(row)?,
                retry: row.try_get::<Json<Retry>, _>("retry")?.0,
                fairness_key: row.parsed_or_null("fairness_key")?,
                capabilities: row.try_get::<Json<_>, _>("capabilities")?.0,
                labels: Labels::default(),
                parent: None,
                unique: None,
            },
            attempt: number(row, "attempt")?,
            ready_at: row.time_or_null("ready_at")?,
            running_since: started_at.filter(|_| status == Status::Running),
        })
    }
}
