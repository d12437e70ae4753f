//! Queries on jobs: one, or a filtered, sorted, paged list.

use std::collections::BTreeMap;

use domain::job::{Parent, Priority, Status};
use domain::{Tenant, Timestamp};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::JobRow;
use super::row::{TABLE, rank};
use crate::cursor::{Tie, Value};
use crate::query::{
    Found, LATEST, Page, Paging, QueryError, Reader, Sorting, compared, equal, labelled, one, page,
};
use crate::sort::{self, Column};

/// Which jobs are wanted: those that fit everything given. Texts may be anything at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// The one of this id.
    pub id: Option<Uuid>,
    /// Those of this queue.
    pub queue: Option<String>,
    /// Those of this kind.
    pub kind: Option<String>,
    /// Those in one of these states; any, when empty.
    pub status: Vec<Status>,
    /// Those of one of these priorities; any, when empty.
    pub priority: Vec<Priority>,
    /// Those that this worker has.
    pub worker: Option<String>,
    /// Those of this fairness key.
    pub fairness_key: Option<String>,
    /// Those that are a part of this.
    pub parent: Option<Parent>,
    /// Those that have all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Those enqueued at this time or later.
    pub enqueued_from: Option<Timestamp>,
    /// Those enqueued before this time.
    pub enqueued_to: Option<Timestamp>,
    /// Those that ended at this time or later.
    pub ended_from: Option<Timestamp>,
    /// Those that ended before this time.
    pub ended_to: Option<Timestamp>,
}

/// What jobs are sorted by.
pub type Sort = sort::Sort<By>;

/// The columns that can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// When it was enqueued.
    #[default]
    EnqueuedAt,
    /// When it ended; what has not ended comes last in either direction.
    EndedAt,
    /// Its priority, the critical ones first.
    Priority,
}

impl Column for By {
    const LIST: u8 = b'j';
    const NAMED: &'static [(&'static str, Self)] = &[
        ("enqueued_at", Self::EnqueuedAt),
        ("ended_at", Self::EndedAt),
        ("priority", Self::Priority),
    ];
}

impl Sort {
    fn sorting(self, filter: &Filter) -> Sorting {
        let (column, is_time) = match (self.by, self.descending) {
            (By::EnqueuedAt, _) => ("enqueued_at", true),
            // The plain column has an index, which is what a long list of ended jobs needs.
            (By::EndedAt, _) if filter.is_of_ended() => ("ended_at", true),
            (By::EndedAt, false) => (NOT_ENDED_GREATEST, true),
            (By::EndedAt, true) => (NOT_ENDED_LEAST, true),
            (By::Priority, _) => ("priority", false),
        };
        Sorting {
            order: self.order(),
            column,
            is_time,
            tie: "id",
        }
    }

    fn value(self, row: &JobRow) -> Value {
        let at = match self.by {
            By::EnqueuedAt => row.enqueued_at,
            By::EndedAt => row.ended_at.unwrap_or(match self.descending {
                false => LATEST,
                true => Timestamp::UNIX_EPOCH,
            }),
            By::Priority => return Value::Number(rank(row.priority).into()),
        };
        Value::Number(at.as_microsecond())
    }
}

/// When a job ends that has not, for whoever sorts upwards: at [`LATEST`].
const NOT_ENDED_GREATEST: &str = "coalesce(ended_at, timestamptz '9999-12-30 22:00:00Z')";

/// And before every other for whoever sorts downwards: no job ended before 1970.
const NOT_ENDED_LEAST: &str = "coalesce(ended_at, timestamptz '1970-01-01 00:00:00Z')";

/// The jobs of `tenant` that fit `filter`, without their payloads and results: a page of those could
/// have hundreds of megabytes.
///
/// # Errors
/// When the cursor is of another list, the query takes too long, or the database does not answer.
pub async fn list(
    reader: &Reader,
    tenant: &Tenant,
    filter: &Filter,
    sort: Sort,
    paging: &Paging,
) -> Result<Page<JobRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    page(
        look,
        |columns| filter.select(tenant, columns),
        &TABLE.column_names_without(&["payload", "result"]),
        sort.sorting(filter),
        paging,
        |row: &JobRow| (sort.value(row), Tie::Id(row.id)),
    )
    .await
}

/// The job `id` of `tenant`, whole.
///
/// # Errors
/// When the database does not answer.
pub async fn get(reader: &Reader, tenant: &Tenant, id: Uuid) -> Result<Found<JobRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    let filter = Filter {
        id: Some(id),
        ..Filter::default()
    };
    let mut query = filter.select(tenant, &TABLE.column_names());
    one(look, &mut query).await
}

impl Filter {
    /// Whether only jobs that have ended can fit.
    fn is_of_ended(&self) -> bool {
        let is_timed = self.ended_from.is_some() || self.ended_to.is_some();
        let of_ended = !self.status.is_empty() && self.status.iter().all(|s| s.is_ended());
        is_timed || of_ended
    }

    fn select(&self, tenant: &Tenant, columns: &str) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("select ");
        query.push(columns).push(" from job where tenant = ");
        query.push_bind(tenant.as_str().to_owned());
        if let Some(id) = self.id {
            query.push(" and id = ").push_bind(id);
        }
        equal(&mut query, "queue", self.queue.as_ref());
        equal(&mut query, "kind", self.kind.as_ref());
        equal(&mut query, "fairness_key", self.fairness_key.as_ref());
        if self.worker.is_some() {
            // Only a running job has a worker, and running ones are found by their state.
            query.push(" and status = 'running'");
            equal(&mut query, "worker", self.worker.as_ref());
        }
        if !self.status.is_empty() {
            let status: Vec<_> = self.status.iter().map(|status| status.as_str()).collect();
            query.push(" and status = any(").push_bind(status).push(")");
        }
        if self.is_of_ended() {
            // Follows from the rest, but not for Postgres: the index has only these.
            query.push(" and ended_at is not null");
        }
        if !self.priority.is_empty() {
            let ranks: Vec<_> = self.priority.iter().copied().map(rank).collect();
            query
                .push(" and priority = any(")
                .push_bind(ranks)
                .push(")");
        }
        if let Some(parent) = &self.parent {
            let kind: &'static str = parent.kind.into();
            query.push(" and parent_kind = ").push_bind(kind);
            let id = parent.id.as_str().to_owned();
            query.push(" and parent_id = ").push_bind(id);
        }
        compared(&mut query, "enqueued_at >=", self.enqueued_from);
        compared(&mut query, "enqueued_at <", self.enqueued_to);
        compared(&mut query, "ended_at >=", self.ended_from);
        compared(&mut query, "ended_at <", self.ended_to);
        labelled(&mut query, &self.labels);
        query
    }
}
