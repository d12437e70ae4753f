//! Migrations of what no single read model owns: checkpoints, roles, the schema for analysts.
//!
//! The tables of read models are not migrated: each is created from its model, and rebuilt when the
//! model's version changes.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;

/// Where it is kept which migrations were applied.
const TABLE: &str = "projections_migration";

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The database could not be brought to this program's state.
#[derive(Debug, thiserror::Error)]
#[error("migrate the read side")]
pub struct MigrateError(#[source] sqlx::migrate::MigrateError);

/// The database is not at this program's state.
#[derive(Debug, thiserror::Error)]
pub enum NotMigrated {
    /// It does not answer.
    #[error("look at the migrations")]
    Unavailable(#[source] sqlx::Error),
    /// A migration was not applied.
    #[error("migration `{0}` is missing")]
    Missing(i64),
}

/// Brings the database to this program's state. Programs that start at the same time wait for
/// each other.
///
/// # Errors
/// When the database does not answer, or was migrated by a newer program.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let mut migrator = Migrator {
        migrations: MIGRATOR.migrations.clone(),
        ..Migrator::DEFAULT
    };
    // A table of its own: other crates migrate their own tables in the same database.
    migrator.dangerous_set_table_name(TABLE);
    migrator.run(pool).await.map_err(MigrateError)
}

/// Makes sure that the database is at this program's state, and changes nothing.
///
/// # Errors
/// When the database does not answer, or a migration is missing.
pub async fn check_migrated(pool: &PgPool) -> Result<(), NotMigrated> {
    let is_there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(TABLE)
        .fetch_one(pool)
        .await
        .map_err(NotMigrated::Unavailable)?;
    let mut applied: Vec<i64> = Vec::new();
    if is_there {
        applied = sqlx::query_scalar("select version from projections_migration where success")
            .fetch_all(pool)
            .await
            .map_err(NotMigrated::Unavailable)?;
    }
    let missing = MIGRATOR
        .iter()
        .find(|migration| !applied.contains(&migration.version));
    missing.map_or(Ok(()), |migration| {
        Err(NotMigrated::Missing(migration.version))
    })
}
