//! Proof: folds the whole journal again and compares every row with its table.
//!
//! All tables are looked at in one snapshot, each model at the position where it stands in it. One
//! model is proved after another. Rows that change are folded in memory, and where they are too many
//! in several passes over the journal, each for a part of the keys; rows that are written once are
//! compared as they come, in the order of the journal. Memory is bounded either way.

mod folded;
mod once;

use std::marker::PhantomData;

use domain::Position;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool, PgRow};

use crate::fact::Facts;
use crate::fold::Model;
use crate::intake::{Batch, Gather, Intake};
use crate::model::{ReadModel, Row, Rows};
use crate::query::QueryError;
use crate::read::Columns;
use crate::source::{Source, SourceError};
use crate::table::{Table, differing, row_bytes, safe};

/// What was compared, and what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One entry a model.
    pub models: Vec<ModelReport>,
}

/// What was compared of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelReport {
    /// Its name.
    pub name: &'static str,
    /// How far its table had read the journal.
    pub position: Position,
    /// How many rows the fold has.
    pub rows: u64,
    /// How many rows differ, are missing or are too many.
    pub differing: u64,
    /// The first of them, up to [`DIFFERENCES_MAX`].
    pub differences: Vec<Difference>,
    /// Why the model could not be compared to the end.
    pub error: Option<String>,
}

/// A row that is not what the fold says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub kind: DifferenceKind,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The table lacks it.
    Missing,
    /// The fold knows nothing of it.
    Extra,
    /// These columns differ.
    Columns(Vec<&'static str>),
    /// It holds what no fold writes.
    Unreadable(String),
}

/// How many differences of a model are listed: enough to see what they have in common.
pub const DIFFERENCES_MAX: usize = 100;

/// Why nothing could be proved.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The journal did not answer.
    #[error("verify: read the journal")]
    Source(#[from] SourceError),
    /// The database did not answer.
    #[error("verify: read the tables")]
    Query(#[from] QueryError),
}

impl Report {
    /// Whether every row is what the fold says.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let clean = |model: &ModelReport| model.differing == 0 && model.error.is_none();
        self.models.iter().all(clean)
    }
}

/// Folds what the tables have read of the journal again, and compares.
///
/// # Errors
/// When the journal or the database does not answer.
pub async fn verify(source: &dyn Source, pool: &PgPool) -> Result<Report, VerifyError> {
    verify_models(source, pool, &Model::all()).await
}

/// The same for other models.
///
/// # Errors
/// When the journal or the database does not answer.
pub async fn verify_models(
    source: &dyn Source,
    pool: &PgPool,
    models: &[Model],
) -> Result<Report, VerifyError> {
    let mut tx = pool.begin().await.map_err(QueryError::from)?;
    sqlx::raw_sql(
        "set transaction isolation level repeatable read, read only; set local statement_timeout = 0",
    )
    .execute(&mut *tx)
    .await
    .map_err(QueryError::from)?;
    let rows = sqlx::query(include_str!("positions.sql"))
        .fetch_all(&mut *tx)
        .await
        .map_err(QueryError::from)?;
    // Behind the snapshot, so that a journal that is whole reaches every position in it.
    let head = source.head().await?;
    let mut report = Report { models: Vec::new() };
    for model in models {
        let name = |row: &&PgRow| {
            row.try_get("name")
                .is_ok_and(|name: &str| name == model.name())
        };
        let mut proved = ModelReport::empty(model.name());
        match rows.iter().find(name) {
            None => proved.error = Some("was never built".to_owned()),
            Some(row) => {
                let version: i32 = row.try_get("version").map_err(QueryError::from)?;
                proved.position = row.position("position").map_err(QueryError::from)?;
                if u32::try_from(version) != Ok(model.version()) {
                    proved.error = Some(format!("version `{version}` serves, which is not known"));
                } else if head < proved.position {
                    proved.error = Some(format!("journal ends at `{head}`, before the table"));
                } else {
                    let proof = model.proof();
                    proved = proof
                        .prove(source, &mut tx, proved)
                        .await
                        .map_err(QueryError::from)?;
                }
            }
        }
        report.models.push(proved);
    }
    Ok(report)
}

/// A model that can be proved.
pub(crate) trait Proof: Send + Sync {
    fn prove<'a>(
        &'a self,
        source: &'a dyn Source,
        conn: &'a mut PgConnection,
        report: ModelReport,
    ) -> BoxFuture<'a, Result<ModelReport, sqlx::Error>>;
}

/// The proof of `M`.
pub(crate) fn proof<M: ReadModel>() -> Box<dyn Proof> {
    Box::new(Proving::<M>(PhantomData))
}

struct Proving<M>(PhantomData<fn() -> M>);

impl<M: ReadModel> Proof for Proving<M> {
    fn prove<'a>(
        &'a self,
        source: &'a dyn Source,
        conn: &'a mut PgConnection,
        report: ModelReport,
    ) -> BoxFuture<'a, Result<ModelReport, sqlx::Error>> {
        match M::ROWS {
            Rows::Folded => folded::prove::<M>(source, conn, report).boxed(),
            Rows::Once => once::prove::<M>(source, conn, report).boxed(),
        }
    }
}

impl ModelReport {
    fn empty(name: &'static str) -> Self {
        Self {
            name,
            position: Position::START,
            rows: 0,
            differing: 0,
            differences: Vec::new(),
            error: None,
        }
    }

    fn differs(&mut self, key: impl std::fmt::Debug, kind: DifferenceKind) {
        self.differing += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            let key = format!("{key:?}");
            self.differences.push(Difference { key, kind });
        }
    }

    /// Compares the row that the fold has with the row of the table.
    fn compare<M: ReadModel>(&mut self, folded: &M::Row, stored: &M::Row) {
        let columns = M::TABLE.columns;
        let bytes = |row: &M::Row| row_bytes(columns, |out| row.write(out));
        let (folded, stored_bytes) = (bytes(folded), bytes(stored));
        if folded != stored_bytes {
            let columns = differing(columns, &folded, &stored_bytes);
            self.differs(stored.key(), DifferenceKind::Columns(columns));
        }
    }
}

/// The entries of the journal up to one position.
struct Reading {
    intake: Intake,
    position: Position,
    to: Position,
}

impl Reading {
    fn open<M: ReadModel>(source: &dyn Source, to: Position) -> Self {
        Self {
            intake: Intake::open(source, Position::START, vec![M::READS]),
            position: Position::START,
            to,
        }
    }

    /// Some more; none at the end.
    async fn batch(&mut self) -> Option<Batch> {
        /// Enough to make the database's part of a batch worth its while.
        const ENTRIES_MAX: usize = 4_000;
        if self.position >= self.to {
            return None;
        }
        let batch = self
            .intake
            .batch(ENTRIES_MAX, self.to, Gather::default())
            .await?;
        self.position = batch.facts.last().map_or(self.to, Facts::position);
        Some(batch)
    }
}

/// The rows of a table, some at a time.
struct Stored;

impl Stored {
    async fn open(
        conn: &mut PgConnection,
        table: &Table,
        order: &str,
    ) -> Result<Self, sqlx::Error> {
        let select = table.select_all(order);
        let declare = format!("declare verified no scroll cursor for {}", select.as_str());
        sqlx::raw_sql(safe(declare)).execute(conn).await?;
        Ok(Self)
    }

    /// Some more; none at the end.
    async fn rows(&self, conn: &mut PgConnection) -> Result<Vec<PgRow>, sqlx::Error> {
        // Not kept as a prepared statement: the next table has other columns under the same words.
        sqlx::query("fetch 5000 from verified")
            .persistent(false)
            .fetch_all(conn)
            .await
    }

    async fn close(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("close verified").execute(conn).await?;
        Ok(())
    }
}
