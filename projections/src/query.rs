//! Queries: a transaction that can see one tenant, for a bounded time, at one moment.
//!
//! Every query runs as the role `ledgerline_api`, which row-level security confines to the tenant of
//! the transaction, and filters by tenant itself as well. It is read only and repeatable: rows,
//! count and position are of the same moment.

use std::collections::BTreeMap;

use domain::{Position, Tenant, Timestamp};
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{Postgres, QueryBuilder, Row as _};

use crate::cursor::{Cursor, InvalidCursor, Order, Tie, Value};
use crate::model::Row;
use crate::read::Columns;
use crate::snapshot::Snapshot;

/// How long one statement of a query may take: past this a client has gone, or a filter fits nothing.
pub const STATEMENT_MS_MAX: u32 = 5_000;

/// How many rows one page may have.
pub const PAGE_ITEMS_MAX: u32 = 500;

/// The last whole second that there is: when something is that will not be, for whoever sorts upwards.
pub(crate) const LATEST: Timestamp = Timestamp::constant(253_402_207_200, 0);

/// Answers queries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pool: PgPool,
    statement_ms_max: u32,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows, in the order asked for.
    pub items: Vec<T>,
    /// Where the next page begins; none at the end.
    pub next: Option<Cursor>,
    /// How many rows the filter fits in all, where that was asked for.
    pub total: Option<u64>,
    /// How far the read model had read the journal: whoever waits for more has to look at it.
    pub position: Position,
}

/// One row, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<T> {
    /// The row.
    pub item: Option<T>,
    /// How far the read model had read the journal.
    pub position: Position,
}

/// A list that is given whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole<T> {
    /// The entries.
    pub items: Vec<T>,
    /// How far the read model had read the journal.
    pub position: Position,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// How many rows: 1 to [`PAGE_ITEMS_MAX`], and taken as the nearest of them.
    pub limit: u32,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
    /// Whether to count all rows that fit.
    pub count: bool,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor is not of this list.
    #[error("read the cursor")]
    Cursor(#[from] InvalidCursor),
    /// It took longer than [`STATEMENT_MS_MAX`].
    #[error("query took longer than its limit")]
    TooSlow(#[source] sqlx::Error),
    /// The database did not answer, or not as it should.
    #[error("query the read side")]
    Unavailable(#[source] sqlx::Error),
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        /// `query_canceled`, which is how `statement_timeout` ends.
        const QUERY_CANCELED: &str = "57014";
        let code = error.as_database_error().and_then(|error| error.code());
        if code.as_deref() == Some(QUERY_CANCELED) {
            Self::TooSlow(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

impl Reader {
    /// Reads through `pool`, whose user may take the role `ledgerline_api`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            statement_ms_max: STATEMENT_MS_MAX,
        }
    }

    /// The same with another limit for a statement, in milliseconds.
    #[must_use]
    pub fn with_statement_ms_max(self, statement_ms_max: u32) -> Self {
        Self {
            statement_ms_max,
            ..self
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a look at `model` as `tenant`.
    pub(crate) async fn look(&self, tenant: &Tenant, model: &str) -> Result<Look, QueryError> {
        self.look_at(tenant, &[model]).await
    }

    /// Begins a look at the rows of several models of one moment. Its position is that of the model that
    /// has come least far, where one has stopped.
    pub(crate) async fn look_at(
        &self,
        tenant: &Tenant,
        models: &[&str],
    ) -> Result<Look, QueryError> {
        let mut snapshot = Snapshot::of(&self.pool, models, self.statement_ms_max).await?;
        let row = sqlx::query(include_str!("look.sql"))
            .bind(tenant.as_str())
            .bind(models)
            .fetch_one(&mut *snapshot)
            .await?;
        let position = row.position("position")?;
        Ok(Look { snapshot, position })
    }
}

/// One moment of the read side, as one tenant sees it.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) snapshot: Snapshot,
    /// How far the model had read the journal.
    pub(crate) position: Position,
}

/// How a list is sorted: by one column, and by the tie-breaker for equal ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sorting {
    pub(crate) order: Order,
    pub(crate) column: &'static str,
    pub(crate) is_time: bool,
    pub(crate) tie: &'static str,
}

/// The one row that `query` finds, or none.
pub(crate) async fn one<R: Row>(
    mut look: Look,
    query: &mut QueryBuilder<Postgres>,
) -> Result<Found<R>, QueryError> {
    let row = query.build().fetch_optional(&mut *look.snapshot).await?;
    let item = row.as_ref().map(|row| R::read(row)).transpose()?;
    Ok(Found {
        item,
        position: look.position,
    })
}

/// Runs the list `select … where …` that `query` begins, sorted and cut to the page.
pub(crate) async fn page<T: Row>(
    mut look: Look,
    filter: impl Fn(&str) -> QueryBuilder<Postgres>,
    columns: &str,
    sorting: Sorting,
    paging: &Paging,
    cursor_of: impl Fn(&T) -> (Value, Tie),
) -> Result<Page<T>, QueryError> {
    let limit = paging.limit.clamp(1, PAGE_ITEMS_MAX);
    let mut query = filter(columns);
    if let Some(cursor) = &paging.cursor {
        behind(&mut query, cursor.of(sorting.order)?, sorting);
    }
    let direction = if sorting.order.descending {
        "desc"
    } else {
        "asc"
    };
    query.push(format_args!(" order by {} {direction}", sorting.column));
    for tie in sorting.tie.split(", ") {
        query.push(format_args!(", {tie} {direction}"));
    }
    // One more than asked for tells whether there is a next page.
    query.push(" limit ").push_bind(i64::from(limit) + 1);
    let rows = query.build().fetch_all(&mut *look.snapshot).await?;
    let mut items = rows
        .iter()
        .map(|row| T::read(row))
        .collect::<Result<Vec<T>, _>>()?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| {
        let (value, tie) = cursor_of(last);
        Cursor {
            order: sorting.order,
            value,
            tie,
        }
    });
    let total = match paging.count {
        true => Some(count(&mut look, filter("count(*)")).await?),
        false => None,
    };
    Ok(Page {
        items,
        next,
        total,
        position: look.position,
    })
}

async fn count(look: &mut Look, mut query: QueryBuilder<Postgres>) -> Result<u64, QueryError> {
    let row: PgRow = query.build().fetch_one(&mut *look.snapshot).await?;
    let count: i64 = row.try_get(0)?;
    Ok(count.unsigned_abs())
}

/// Only the rows behind `cursor`.
fn behind(query: &mut QueryBuilder<Postgres>, cursor: &Cursor, sorting: Sorting) {
    let than = if sorting.order.descending { "<" } else { ">" };
    query.push(format_args!(
        " and ({}, {}) {than} (",
        sorting.column, sorting.tie
    ));
    match &cursor.value {
        Value::Number(number) if sorting.is_time => {
            let time = domain::Timestamp::from_microsecond(*number);
            let time = crate::fact::stored(time.unwrap_or(domain::Timestamp::MIN));
            query.push_bind(jiff_sqlx::ToSqlx::to_sqlx(time));
        }
        Value::Number(number) => {
            query.push_bind(*number);
        }
        Value::Text(text) => {
            query.push_bind(text.clone());
        }
    }
    query.push(", ");
    match &cursor.tie {
        Tie::Id(id) => {
            query.push_bind(*id);
        }
        Tie::Event(event) => {
            query.push_bind(event.position.0.cast_signed());
            query.push(", ").push_bind(event.index.cast_signed());
        }
        Tie::Name(name) => {
            query.push_bind(name.clone());
        }
    }
    query.push(")");
}

/// Adds `and <column> = <text>`; a text with NUL is in no column, and Postgres would refuse it.
pub(crate) fn equal(query: &mut QueryBuilder<Postgres>, column: &str, text: Option<&String>) {
    let Some(text) = text else { return };
    if text.contains('\0') {
        query.push(" and false");
    } else {
        query
            .push(format_args!(" and {column} = "))
            .push_bind(text.clone());
    }
}

/// Adds that the column `labels` has all of `labels`.
pub(crate) fn labelled(query: &mut QueryBuilder<Postgres>, labels: &BTreeMap<String, String>) {
    if labels.is_empty() {
        return;
    }
    let mut texts = labels.iter().flat_map(|(key, value)| [key, value]);
    if texts.any(|text| text.contains('\0')) {
        query.push(" and false");
    } else {
        let labels = sqlx::types::Json(labels.clone());
        query.push(" and labels @> ").push_bind(labels);
    }
}

/// Adds `and <condition> <time>`, a comparison without its right side.
pub(crate) fn compared(
    query: &mut QueryBuilder<Postgres>,
    condition: &str,
    time: Option<domain::Timestamp>,
) {
    if let Some(time) = time {
        query.push(format_args!(" and {condition} "));
        query.push_bind(jiff_sqlx::ToSqlx::to_sqlx(crate::fact::stored(time)));
    }
}
