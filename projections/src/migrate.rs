//! Migrations of what no single read model owns: checkpoints, roles, the schema for analysts.
//!
//! The tables of read models are not migrated: each is created from its model, and rebuilt when the
//! model's version changes.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The database could not be brought to this program's state.
#[derive(Debug, thiserror::Error)]
#[error("migrate the read side")]
pub struct MigrateError(#[source] sqlx::migrate::MigrateError);

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
    migrator.dangerous_set_table_name("projections_migration");
    migrator.run(pool).await.map_err(MigrateError)
}
