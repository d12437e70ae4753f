//! Queries on assignments: one, or a filtered, sorted, paged list.

use std::collections::BTreeMap;

use domain::assignment::Status;
use domain::{Tenant, Timestamp};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::AssignmentRow;
use super::row::TABLE;
use crate::cursor::{Tie, Value};
use crate::query::{
    Found, Page, Paging, QueryError, Reader, Sorting, compared, equal, labelled, one, page,
};
use crate::sort::{self, Column};

/// Which assignments are wanted: those that fit everything given. Texts may be anything at all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The one of this id.
    pub id: Option<Uuid>,
    /// Those whose title contains this, whatever the case of its letters.
    pub title: Option<String>,
    /// Those whose description contains this, whatever the case of its letters.
    pub description: Option<String>,
    /// Those of this kind.
    pub kind: Option<String>,
    /// Those in one of these states; any, when empty.
    pub status: Vec<Status>,
    /// Those in this group.
    pub group: Option<String>,
    /// Those that this one asked for.
    pub requester: Option<String>,
    /// Those that this one, or nobody, has.
    pub assignee: Option<Assignee>,
    /// The lowest and the highest priority, both included.
    pub priority: Option<(u8, u8)>,
    /// Those that have all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Those of this name in another system.
    pub external_ref: Option<String>,
    /// Those whose outcome is this.
    pub outcome: Option<String>,
    /// Those on hold for this reason.
    pub hold_reason: Option<String>,
    /// Those whose window ends after this.
    pub window_from: Option<Timestamp>,
    /// Those whose window starts before this.
    pub window_to: Option<Timestamp>,
    /// Those of at least so many minutes.
    pub effort_min: Option<u32>,
    /// Those of at most so many minutes.
    pub effort_max: Option<u32>,
    /// Those requested at this time or later.
    pub requested_from: Option<Timestamp>,
    /// Those requested before this time.
    pub requested_to: Option<Timestamp>,
    /// Those updated at this time or later.
    pub updated_from: Option<Timestamp>,
    /// Those updated before this time.
    pub updated_to: Option<Timestamp>,
}

/// Who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignee {
    /// Nobody.
    Nobody,
    /// This person or agent.
    Somebody(String),
}

/// What assignments are sorted by.
pub type Sort = sort::Sort<By>;

/// The columns that can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// When it was requested.
    #[default]
    RequestedAt,
    /// When anything of it last happened.
    UpdatedAt,
    /// Its priority.
    Priority,
    /// Its state's name.
    Status,
    /// Its title.
    Title,
    /// Where its last commit stands.
    Position,
}

impl Column for By {
    const LIST: u8 = b'a';
    const NAMED: &'static [(&'static str, Self)] = &[
        ("requested_at", Self::RequestedAt),
        ("updated_at", Self::UpdatedAt),
        ("priority", Self::Priority),
        ("status", Self::Status),
        ("title", Self::Title),
        ("position", Self::Position),
    ];
}

impl Sort {
    fn sorting(self) -> Sorting {
        let (column, is_time) = match self.by {
            By::RequestedAt => ("requested_at", true),
            By::UpdatedAt => ("updated_at", true),
            By::Priority => ("priority", false),
            By::Status => ("status", false),
            By::Title => ("title", false),
            By::Position => ("position", false),
        };
        Sorting {
            order: self.order(),
            column,
            is_time,
            tie: "id",
        }
    }

    fn value(self, row: &AssignmentRow) -> Value {
        match self.by {
            By::RequestedAt => Value::Number(row.requested_at.as_microsecond()),
            By::UpdatedAt => Value::Number(row.updated_at.as_microsecond()),
            By::Priority => Value::Number(row.priority.get().into()),
            By::Status => Value::Text(row.status.as_str().to_owned()),
            By::Title => Value::Text(row.title.as_str().to_owned()),
            By::Position => Value::Number(row.position.0.cast_signed()),
        }
    }
}

/// The assignments of `tenant` that fit `filter`.
///
/// # Errors
/// When the cursor is of another list, the query takes too long, or the database does not answer.
pub async fn list(
    reader: &Reader,
    tenant: &Tenant,
    filter: &Filter,
    sort: Sort,
    paging: &Paging,
) -> Result<Page<AssignmentRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    let select = |columns: &str| filter.select(tenant, columns);
    page(
        look,
        select,
        &TABLE.column_names(),
        sort.sorting(),
        paging,
        |row: &AssignmentRow| (sort.value(row), Tie::Id(row.id)),
    )
    .await
}

/// The assignment `id` of `tenant`.
///
/// # Errors
/// When the database does not answer.
pub async fn get(
    reader: &Reader,
    tenant: &Tenant,
    id: Uuid,
) -> Result<Found<AssignmentRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    let filter = Filter {
        id: Some(id),
        ..Filter::default()
    };
    let mut query = filter.select(tenant, &TABLE.column_names());
    one(look, &mut query).await
}

impl Filter {
    fn select(&self, tenant: &Tenant, columns: &str) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("select ");
        query.push(columns).push(" from assignment where tenant = ");
        query.push_bind(tenant.as_str().to_owned());
        if let Some(id) = self.id {
            query.push(" and id = ").push_bind(id);
        }
        contains(&mut query, "title", self.title.as_ref());
        contains(&mut query, "description", self.description.as_ref());
        equal(&mut query, "kind", self.kind.as_ref());
        equal(&mut query, "group_name", self.group.as_ref());
        equal(&mut query, "requester", self.requester.as_ref());
        equal(&mut query, "external_ref", self.external_ref.as_ref());
        equal(&mut query, "outcome", self.outcome.as_ref());
        equal(&mut query, "hold_reason", self.hold_reason.as_ref());
        match &self.assignee {
            None => {}
            Some(Assignee::Nobody) => {
                query.push(" and assignee is null");
            }
            Some(Assignee::Somebody(name)) => equal(&mut query, "assignee", Some(name)),
        }
        if !self.status.is_empty() {
            let status: Vec<_> = self.status.iter().map(|status| status.as_str()).collect();
            query.push(" and status = any(").push_bind(status).push(")");
        }
        self.ranges(&mut query);
        labelled(&mut query, &self.labels);
        query
    }

    fn ranges(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some((lowest, highest)) = self.priority {
            query
                .push(" and priority between ")
                .push_bind(i32::from(lowest));
            query.push(" and ").push_bind(i32::from(highest));
        }
        let mut minutes = |comparison: &str, minutes: Option<u32>| {
            if let Some(minutes) = minutes {
                query.push(format_args!(" and effort_minutes {comparison} "));
                query.push_bind(i64::from(minutes));
            }
        };
        minutes(">=", self.effort_min);
        minutes("<=", self.effort_max);
        let mut time = |condition, time| compared(query, condition, time);
        time("window_end >", self.window_from);
        time("window_start <", self.window_to);
        time("requested_at >=", self.requested_from);
        time("requested_at <", self.requested_to);
        time("updated_at >=", self.updated_from);
        time("updated_at <", self.updated_to);
    }
}

/// Adds `and <column> contains <text>`, as plain text: `%` and `_` mean themselves.
fn contains(query: &mut QueryBuilder<Postgres>, column: &str, text: Option<&String>) {
    let Some(text) = text else { return };
    if text.contains('\0') {
        query.push(" and false");
    } else {
        query.push(" and position(lower(").push_bind(text.clone());
        query.push(format_args!(") in lower({column})) > 0"));
    }
}
