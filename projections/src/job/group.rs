//! Jobs that belong together: those of a queue, or the parts of a whole. How many there are in each
//! state, and which of some jobs are among them.
//!
//! To which queue and to which whole a job belongs is said when it is enqueued and never changes.

use std::collections::{BTreeMap, HashMap};

use domain::job::{Parent, Status};
use domain::{Position, Tenant, Token};
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::row::TABLE;
use crate::query::{QueryError, Reader};
use crate::read::Columns;

/// Jobs that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// Those of this queue.
    Queue(Token),
    /// The parts of this.
    Parent(Parent),
}

/// How many jobs are in each state that is counted.
pub type Counts = BTreeMap<Status, u64>;

impl Group {
    /// The states that are counted: a queue may have had any number of jobs that are done.
    fn counted(&self) -> &'static [Status] {
        match self {
            Self::Queue(_) => &[Status::Waiting, Status::Running, Status::Dead],
            Self::Parent(_) => &[
                Status::Waiting,
                Status::Running,
                Status::Completed,
                Status::Dead,
                Status::Cancelled,
            ],
        }
    }

    /// Adds the condition that a job is one of these.
    fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Queue(queue) => {
                query.push("queue = ").push_bind(queue.as_str().to_owned());
            }
            Self::Parent(parent) => {
                let kind: &'static str = parent.kind.into();
                query.push("(parent_kind = ").push_bind(kind);
                let id = parent.id.as_str().to_owned();
                query.push(" and parent_id = ").push_bind(id).push(")");
            }
        }
    }
}

/// How many jobs of `group` are in each state, and how far the read model had read the journal: of a
/// queue only those that something can still happen to.
///
/// # Errors
/// When the query takes too long, or the database does not answer.
pub async fn counts(
    reader: &Reader,
    tenant: &Tenant,
    group: &Group,
) -> Result<(Counts, Position), QueryError> {
    let mut look = reader.look(tenant, TABLE.name).await?;
    let mut query = QueryBuilder::new("select status, count(*) as jobs from job where tenant = ");
    query.push_bind(tenant.as_str().to_owned()).push(" and ");
    group.push_to(&mut query);
    let counted: Vec<_> = group
        .counted()
        .iter()
        .map(|status| status.as_str())
        .collect();
    query.push(" and status = any(").push_bind(counted);
    query.push(") group by status");
    let rows = query.build().fetch_all(&mut *look.snapshot).await?;
    let mut counts: Counts = group.counted().iter().map(|status| (*status, 0)).collect();
    for row in &rows {
        counts.insert(row.parsed("status")?, row.count("jobs")?);
    }
    Ok((counts, look.position))
}

/// Of each job of `ids` that the read model knows, whether it is one of `group`; and how far it had read
/// the journal.
///
/// # Errors
/// When the query takes too long, or the database does not answer.
pub async fn belonging(
    reader: &Reader,
    tenant: &Tenant,
    group: &Group,
    ids: &[Uuid],
) -> Result<(HashMap<Uuid, bool>, Position), QueryError> {
    let mut look = reader.look(tenant, TABLE.name).await?;
    let mut query = QueryBuilder::new("select id, coalesce(");
    group.push_to(&mut query);
    query.push(", false) as belongs from job where tenant = ");
    query.push_bind(tenant.as_str().to_owned());
    query
        .push(" and id = any(")
        .push_bind(ids.to_vec())
        .push(")");
    let rows = query.build().fetch_all(&mut *look.snapshot).await?;
    let known = rows
        .iter()
        .map(|row| Ok((row.try_get("id")?, row.try_get("belongs")?)))
        .collect::<Result<_, sqlx::Error>>()?;
    Ok((known, look.position))
}
