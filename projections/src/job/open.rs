//! What waits and what runs: what a dispatcher begins with.
//!
//! Reads the rows of all tenants, past row-level security. Jobs, queues and position are of one moment.

use domain::job::{Retry, Spec, Status};
use domain::labels::Labels;
use domain::{Position, Tenant, Timestamp};
use futures_util::TryStreamExt;
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use super::Model;
use super::row::{number, priority, timeout};
use crate::model::{ReadModel, Row};
use crate::moment::{Moment, MomentError, Wanted};
use crate::queue::{self, QueueRow};
use crate::read::Columns;

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

/// Everything that waits or runs.
///
/// # Errors
/// When one of the models `job` and `queue` does not follow the journal, or the database does not answer.
pub async fn open(pool: &PgPool) -> Result<Open, MomentError> {
    let wanted = [Wanted::model::<Model>(), Wanted::model::<queue::Model>()];
    let Moment {
        mut snapshot,
        position,
    } = Moment::of(pool, wanted).await?;
    let queues = sqlx::query(queue::Model::TABLE.select_all("tenant, name"))
        .fetch_all(&mut *snapshot)
        .await?;
    let queues = queues
        .iter()
        .map(|row| QueueRow::read(row))
        .collect::<Result<_, _>>()?;
    let rows = sqlx::query(include_str!("open.sql")).fetch(&mut *snapshot);
    let jobs = rows.and_then(|row| std::future::ready(OpenJob::read(&row)));
    let jobs = jobs.try_collect().await?;
    Ok(Open {
        position,
        jobs,
        queues,
    })
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
