//! Positions: how far the read side and each of its models are.

use domain::Position;
use sqlx::Row as _;
use sqlx::postgres::PgPool;

use crate::query::QueryError;
use crate::read::{self, Columns};

/// How far everything is, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// How far the live models have read the journal.
    pub read_side: Position,
    /// Every model that has a table.
    pub models: Vec<ModelPosition>,
}

/// How far one model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPosition {
    /// Its name.
    pub name: String,
    /// The version of what serves.
    pub version: u32,
    /// How far what serves has read the journal.
    pub position: Position,
    /// What it does.
    pub status: Status,
    /// Why it stopped.
    pub error: Option<String>,
    /// How far a rebuild has come, while one runs.
    pub rebuilt_to: Option<Position>,
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Follows the journal.
    Live,
    /// Serves what it has, while a new table is filled.
    Rebuilding,
    /// Met a fact that it cannot take, or was never built.
    Stopped,
}

impl Status {
    /// The name, as the API gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Rebuilding => "rebuilding",
            Self::Stopped => "stopped",
        }
    }
}

/// How far the read side is.
///
/// # Errors
/// When the database does not answer.
pub async fn positions(pool: &PgPool) -> Result<Positions, QueryError> {
    let rows = sqlx::query(include_str!("positions.sql"))
        .fetch_all(pool)
        .await?;
    let mut positions = Positions {
        read_side: Position::START,
        models: Vec::new(),
    };
    for row in &rows {
        positions.read_side = row.position("read_side")?;
        if let Some(name) = row.try_get::<Option<String>, _>("name")? {
            let rebuilt_to: Option<i64> = row.try_get("rebuild_position")?;
            let status: &str = row.try_get("status")?;
            positions.models.push(ModelPosition {
                name,
                version: read::converted("version", row.try_get::<i32, _>("version")?)?,
                position: row.position("position")?,
                status: match (rebuilt_to, status) {
                    (Some(_), _) => Status::Rebuilding,
                    (None, "live") => Status::Live,
                    (None, _) => Status::Stopped,
                },
                error: row.try_get("error")?,
                rebuilt_to: rebuilt_to.map(|position| Position(position.cast_unsigned())),
            });
        }
    }
    Ok(positions)
}

/// Asks the runner, wherever it runs, to rebuild the model `name`. Tells whether there is such a model.
/// What was asked for is on the disk then: unlike rows, it cannot be folded from the journal again.
///
/// # Errors
/// When the database does not answer.
pub async fn request_rebuild(pool: &PgPool, name: &str) -> Result<bool, QueryError> {
    if name.contains('\0') {
        return Ok(false);
    }
    let asked = sqlx::query(
        "update projection set rebuild_requested = true \
         where name = $1 and set_config('synchronous_commit', 'on', true) is not null",
    )
    .bind(name)
    .execute(pool)
    .await?;
    Ok(asked.rows_affected() > 0)
}

impl crate::Reader {
    /// [`positions`], through this reader's connections.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn positions(&self) -> Result<Positions, QueryError> {
        positions(self.pool()).await
    }

    /// [`request_rebuild`], through this reader's connections.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn request_rebuild(&self, name: &str) -> Result<bool, QueryError> {
        request_rebuild(self.pool(), name).await
    }
}
