//! Queries on workload: a filtered, sorted, paged list.

use domain::Tenant;
use sqlx::QueryBuilder;

use super::{Dimension, TABLE, WorkloadRow};
use crate::cursor::{Tie, Value};
use crate::query::{Page, Paging, QueryError, Reader, Sorting, equal, page};
use crate::sort::{self, Column};

/// Which rows are wanted: those that fit everything given.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only persons, or only groups.
    pub dimension: Option<Dimension>,
    /// Only of this name.
    pub name: Option<String>,
}

/// What rows are sorted by.
pub type Sort = sort::Sort<By>;

/// The columns that can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// The name, by its bytes.
    #[default]
    Name,
    /// What waits or is assigned.
    Open,
    /// What is worked on.
    InProgress,
    /// What is on hold.
    OnHold,
    /// What is completed or closed.
    Completed,
    /// What was cancelled.
    Cancelled,
    /// How often work was handed over.
    HandOvers,
}

impl Column for By {
    const LIST: u8 = b'w';
    const NAMED: &'static [(&'static str, Self)] = &[
        ("name", Self::Name),
        ("open", Self::Open),
        ("in_progress", Self::InProgress),
        ("on_hold", Self::OnHold),
        ("completed", Self::Completed),
        ("cancelled", Self::Cancelled),
        ("hand_overs", Self::HandOvers),
    ];
}

impl Sort {
    fn sorting(self) -> Sorting {
        let column = match self.by {
            By::Name => "name",
            By::Open => "(queued + assigned)",
            By::InProgress => "in_progress",
            By::OnHold => "on_hold",
            By::Completed => "(completed + closed)",
            By::Cancelled => "cancelled",
            By::HandOvers => "hand_overs",
        };
        Sorting {
            order: self.order(),
            column,
            is_time: false,
            // One text that tells a person and a group of the same name apart.
            tie: "(dimension || ':' || name)",
        }
    }

    fn value(self, row: &WorkloadRow) -> Value {
        use domain::assignment::Status;
        match self.by {
            By::Name => Value::Text(row.key.name.as_str().to_owned()),
            By::Open => Value::Number(row.open()),
            By::InProgress => Value::Number(row.count(Status::InProgress)),
            By::OnHold => Value::Number(row.count(Status::OnHold)),
            By::Completed => Value::Number(row.completed()),
            By::Cancelled => Value::Number(row.count(Status::Cancelled)),
            By::HandOvers => Value::Number(row.hand_overs),
        }
    }
}

/// The workload rows of `tenant` that fit `filter`.
///
/// # Errors
/// When the cursor is of another list, the query takes too long, or the database does not answer.
pub async fn list(
    reader: &Reader,
    tenant: &Tenant,
    filter: &Filter,
    sort: Sort,
    paging: &Paging,
) -> Result<Page<WorkloadRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    let select = |columns: &str| {
        let mut query = QueryBuilder::new("select ");
        query.push(columns).push(" from workload where tenant = ");
        query.push_bind(tenant.as_str().to_owned());
        let dimension = filter.dimension.map(|d| d.as_str().to_owned());
        equal(&mut query, "dimension", dimension.as_ref());
        equal(&mut query, "name", filter.name.as_ref());
        query
    };
    page(
        look,
        select,
        &TABLE.column_names(),
        sort.sorting(),
        paging,
        |row: &WorkloadRow| {
            let tie = format!("{}:{}", row.key.dimension.as_str(), row.key.name);
            (sort.value(row), Tie::Name(tie))
        },
    )
    .await
}
