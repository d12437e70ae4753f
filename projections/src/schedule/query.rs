//! Queries on schedules: one, or a filtered, sorted, paged list.

use std::collections::BTreeMap;

use domain::schedule::Status;
use domain::{Tenant, Timestamp};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::ScheduleRow;
use super::row::TABLE;
use crate::cursor::{Tie, Value};
use crate::query::{
    Found, LATEST, Page, Paging, QueryError, Reader, Sorting, compared, equal, labelled, one, page,
};
use crate::sort::{self, Column};

/// Which schedules are wanted: those that fit everything given. Texts may be anything at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// The one of this id.
    pub id: Option<Uuid>,
    /// Those in one of these states; any, when empty.
    pub status: Vec<Status>,
    /// Those of this name.
    pub name: Option<String>,
    /// Those whose jobs are of this queue.
    pub queue: Option<String>,
    /// Those whose jobs are of this kind.
    pub kind: Option<String>,
    /// Those whose jobs have all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Those that are next due at this time or later.
    pub next_from: Option<Timestamp>,
    /// Those that are next due before this time.
    pub next_to: Option<Timestamp>,
}

/// What schedules are sorted by.
pub type Sort = sort::Sort<By>;

/// The columns that can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// When it was created.
    #[default]
    CreatedAt,
    /// When it is next due; what is not comes last in either direction.
    NextAt,
    /// Its name.
    Name,
}

impl Column for By {
    const LIST: u8 = b's';
    const NAMED: &'static [(&'static str, Self)] = &[
        ("created_at", Self::CreatedAt),
        ("next_at", Self::NextAt),
        ("name", Self::Name),
    ];
}

impl Sort {
    fn sorting(self, filter: &Filter) -> Sorting {
        let (column, is_time) = match (self.by, self.descending) {
            (By::CreatedAt, _) => ("created_at", true),
            // The plain column has an index, and nothing without a next time fits.
            (By::NextAt, _) if filter.is_timed() => ("next_at", true),
            (By::NextAt, false) => (NOT_DUE_GREATEST, true),
            (By::NextAt, true) => (NOT_DUE_LEAST, true),
            (By::Name, _) => ("name", false),
        };
        Sorting {
            order: self.order(),
            column,
            is_time,
            tie: "id",
        }
    }

    fn value(self, row: &ScheduleRow) -> Value {
        let at = match self.by {
            By::CreatedAt => row.created_at,
            By::NextAt => row.next_at.unwrap_or(match self.descending {
                false => LATEST,
                true => Timestamp::UNIX_EPOCH,
            }),
            By::Name => return Value::Text(row.spec.name.as_str().to_owned()),
        };
        Value::Number(at.as_microsecond())
    }
}

/// When a schedule is next due that is not, for whoever sorts upwards: at [`LATEST`].
const NOT_DUE_GREATEST: &str = "coalesce(next_at, timestamptz '9999-12-30 22:00:00Z')";

/// And before every other for whoever sorts downwards: none is due before it was created.
const NOT_DUE_LEAST: &str = "coalesce(next_at, timestamptz '1970-01-01 00:00:00Z')";

/// The schedules of `tenant` that fit `filter`, without the payloads of their jobs: a page of those could
/// have a hundred megabytes.
///
/// # Errors
/// When the cursor is of another list, the query takes too long, or the database does not answer.
pub async fn list(
    reader: &Reader,
    tenant: &Tenant,
    filter: &Filter,
    sort: Sort,
    paging: &Paging,
) -> Result<Page<ScheduleRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    page(
        look,
        |columns| filter.select(tenant, columns),
        &TABLE.column_names_without(&["payload"]),
        sort.sorting(filter),
        paging,
        |row: &ScheduleRow| (sort.value(row), Tie::Id(row.id)),
    )
    .await
}

/// The schedule `id` of `tenant`, whole.
///
/// # Errors
/// When the database does not answer.
pub async fn get(
    reader: &Reader,
    tenant: &Tenant,
    id: Uuid,
) -> Result<Found<ScheduleRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    let filter = Filter {
        id: Some(id),
        ..Filter::default()
    };
    let mut query = filter.select(tenant, &TABLE.column_names());
    one(look, &mut query).await
}

impl Filter {
    /// Whether only schedules that have a next time can fit.
    fn is_timed(&self) -> bool {
        self.next_from.is_some() || self.next_to.is_some()
    }

    fn select(&self, tenant: &Tenant, columns: &str) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("select ");
        query.push(columns).push(" from schedule where tenant = ");
        query.push_bind(tenant.as_str().to_owned());
        if let Some(id) = self.id {
            query.push(" and id = ").push_bind(id);
        }
        if !self.status.is_empty() {
            let status: Vec<_> = self.status.iter().map(|status| status.as_str()).collect();
            query.push(" and status = any(").push_bind(status).push(")");
        }
        equal(&mut query, "name", self.name.as_ref());
        equal(&mut query, "queue", self.queue.as_ref());
        equal(&mut query, "kind", self.kind.as_ref());
        compared(&mut query, "next_at >=", self.next_from);
        compared(&mut query, "next_at <", self.next_to);
        labelled(&mut query, &self.labels);
        query
    }
}
