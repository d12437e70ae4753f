//! Queries on batches: one with its progress, or a filtered, sorted, paged list.

use std::collections::BTreeMap;

use domain::batch::{Counts, Status};
use domain::{Tenant, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::BatchRow;
use super::row::TABLE;
use crate::cursor::{Tie, Value};
use crate::job;
use crate::model::{ReadModel as _, Row as _};
use crate::query::{
    Found, Page, Paging, QueryError, Reader, Sorting, compared, equal, labelled, page,
};
use crate::read::{self, Columns};
use crate::sort::{self, Column};

/// Which batches are wanted: those that fit everything given. Texts may be anything at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Those of this name.
    pub name: Option<String>,
    /// Those in one of these states; any, when empty.
    pub status: Vec<Status>,
    /// Those that have all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Those opened at this time or later.
    pub opened_from: Option<Timestamp>,
    /// Those opened before this time.
    pub opened_to: Option<Timestamp>,
}

/// What batches are sorted by.
pub type Sort = sort::Sort<By>;

/// The columns that can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// When it was opened.
    #[default]
    OpenedAt,
}

/// A batch, and how far its jobs are at the same moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The batch.
    pub batch: BatchRow,
    /// How far its jobs are.
    pub progress: Progress,
}

/// How far the jobs of a batch are: those that the journal has, however many there are to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many wait.
    pub waiting: u32,
    /// How many run.
    pub running: u32,
    /// How those that have ended did so.
    pub ended: Counts,
    /// When the first was enqueued.
    pub first_enqueued_at: Option<Timestamp>,
    /// When the last one that has ended did so.
    pub last_ended_at: Option<Timestamp>,
}

impl Progress {
    /// How many have not ended.
    #[must_use]
    pub fn open(&self) -> u64 {
        u64::from(self.waiting) + u64::from(self.running)
    }

    /// How many there are.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.open() + self.ended.ended()
    }

    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let number =
            |column| -> Result<u32, sqlx::Error> { read::converted(column, row.count(column)?) };
        Ok(Self {
            waiting: number("waiting")?,
            running: number("running")?,
            ended: Counts {
                succeeded: number("succeeded")?,
                dead: number("dead")?,
                cancelled: number("cancelled")?,
            },
            first_enqueued_at: row.time_or_null("first_enqueued_at")?,
            last_ended_at: row.time_or_null("last_ended_at")?,
        })
    }
}

impl Standing {
    /// Of how many jobs there are, or are to be, so many in a hundred have ended; rounded down, so that 100
    /// means all.
    #[must_use]
    pub fn percent(&self) -> u8 {
        let said = self.batch.jobs.map_or(0, |jobs| jobs.get());
        let all = self.progress.seen().max(said);
        let ended = self.progress.ended.ended();
        match (ended * 100).checked_div(all) {
            Some(percent) => u8::try_from(percent).unwrap_or(100),
            // Without any job: it is at its end as soon as it is known that none will come.
            None if self.batch.jobs.is_some() => 100,
            None => 0,
        }
    }
}

impl Column for By {
    const LIST: u8 = b'b';
    const NAMED: &'static [(&'static str, Self)] = &[("opened_at", Self::OpenedAt)];
}

impl Sort {
    fn sorting(self) -> Sorting {
        Sorting {
            order: self.order(),
            column: "opened_at",
            is_time: true,
            tie: "id",
        }
    }
}

/// The batches of `tenant` that fit `filter`.
///
/// # Errors
/// When the cursor is of another list, the query takes too long, or the database does not answer.
pub async fn list(
    reader: &Reader,
    tenant: &Tenant,
    filter: &Filter,
    sort: Sort,
    paging: &Paging,
) -> Result<Page<BatchRow>, QueryError> {
    let look = reader.look(tenant, TABLE.name).await?;
    page(
        look,
        |columns| filter.select(tenant, columns),
        &TABLE.column_names(),
        sort.sorting(),
        paging,
        |row: &BatchRow| {
            let opened_at = Value::Number(row.opened_at.as_microsecond());
            (opened_at, Tie::Id(row.id))
        },
    )
    .await
}

/// The batch `id` of `tenant`, and how far its jobs are.
///
/// # Errors
/// When the database does not answer.
pub async fn get(
    reader: &Reader,
    tenant: &Tenant,
    id: Uuid,
) -> Result<Found<Standing>, QueryError> {
    let tables = [TABLE.name, job::Model::TABLE.name];
    let mut look = reader.look_at(tenant, &tables).await?;
    let mut query = Filter::default().select(tenant, &TABLE.column_names());
    query.push(" and id = ").push_bind(id);
    let row = query.build().fetch_optional(&mut *look.snapshot).await?;
    let item = match row {
        Some(row) => {
            let progress = sqlx::query(include_str!("progress.sql"))
                .bind(tenant.as_str())
                .bind(id.to_string())
                .fetch_one(&mut *look.snapshot)
                .await?;
            Some(Standing {
                batch: BatchRow::read(&row)?,
                progress: Progress::read(&progress)?,
            })
        }
        None => None,
    };
    Ok(Found {
        item,
        position: look.position,
    })
}

impl Filter {
    fn select(&self, tenant: &Tenant, columns: &str) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("select ");
        query.push(columns).push(" from batch where tenant = ");
        query.push_bind(tenant.as_str().to_owned());
        equal(&mut query, "name", self.name.as_ref());
        if !self.status.is_empty() {
            let status: Vec<_> = self.status.iter().map(|status| status.as_str()).collect();
            query.push(" and status = any(").push_bind(status).push(")");
        }
        compared(&mut query, "opened_at >=", self.opened_from);
        compared(&mut query, "opened_at <", self.opened_to);
        labelled(&mut query, &self.labels);
        query
    }
}
