//! One moment of several models, of all tenants: what the parts of the program go by that act for nobody.
//!
//! Reads as the owner of the tables, past row-level security.

use domain::Position;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool, PgRow};

use crate::model::ReadModel;
use crate::query::QueryError;
use crate::read::Columns;
use crate::snapshot::Snapshot;

/// How long one statement may take: a million rows take some seconds.
const STATEMENT_MS_MAX: u32 = 120_000;

/// Why there is no such moment.
#[derive(Debug, thiserror::Error)]
pub enum MomentError {
    /// The model was not built yet, has stopped, or serves another version.
    #[error("read model `{0}` is not live")]
    NotLive(&'static str),
    /// The database did not answer.
    #[error("read the rows of all tenants")]
    Query(#[from] QueryError),
}

impl From<sqlx::Error> for MomentError {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(error.into())
    }
}

/// A model that has to be live at the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    name: &'static str,
    version: u32,
}

impl Wanted {
    pub(crate) const fn model<M: ReadModel>() -> Self {
        Self {
            name: M::TABLE.name,
            version: M::VERSION,
        }
    }
}

/// A moment, and how far all of its models had read the journal.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) snapshot: Snapshot,
    pub(crate) position: Position,
}

impl Moment {
    /// The moment that it is now.
    pub(crate) async fn of<const MODELS: usize>(
        pool: &PgPool,
        wanted: [Wanted; MODELS],
    ) -> Result<Self, MomentError> {
        /// `undefined_table`
        const UNDEFINED_TABLE: &str = "42P01";
        let names = wanted.map(|wanted| wanted.name);
        let snapshot = Snapshot::of(pool, &names, STATEMENT_MS_MAX).await;
        let mut snapshot = snapshot.map_err(|error| match &error {
            sqlx::Error::Database(refusal)
                if refusal.code().as_deref() == Some(UNDEFINED_TABLE) =>
            {
                MomentError::NotLive(names[0])
            }
            _ => error.into(),
        })?;
        let position = live_at(&mut snapshot, &wanted).await?;
        Ok(Self { snapshot, position })
    }
}

/// Where all of the models stand.
async fn live_at(conn: &mut PgConnection, wanted: &[Wanted]) -> Result<Position, MomentError> {
    let names: Vec<_> = wanted.iter().map(|wanted| wanted.name).collect();
    let rows = sqlx::query(
        "select m.name, m.version, m.status = 'live' as live, r.position \
         from projection m, read_side r where m.name = any($1)",
    )
    .bind(names)
    .fetch_all(conn)
    .await?;
    let mut position = Position::START;
    for Wanted { name, version } in wanted {
        let is_it = |row: &&PgRow| row.try_get("name").is_ok_and(|other: &str| other == *name);
        let row = rows.iter().find(is_it).ok_or(MomentError::NotLive(name))?;
        let serves: i32 = row.try_get("version")?;
        if !row.try_get::<bool, _>("live")? || u32::try_from(serves) != Ok(*version) {
            return Err(MomentError::NotLive(name));
        }
        // Models that are live stand where the read side does, all of them.
        position = row.position("position")?;
    }
    Ok(position)
}
