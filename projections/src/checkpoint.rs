//! Checkpoints: where the read side and each model are, and who may move them.
//!
//! The position of the read side is moved in the transaction that writes the rows, and only by the
//! runner of the present term, from exactly where it thinks it is. Whoever is wrong about either
//! moves nothing: that fence is what makes two runners harmless.

use domain::Position;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Row as _};

use crate::connection;
use crate::fold::{Model, Poisoned};
use crate::postgres::execute;
use crate::read::Columns;
use crate::store::Term;
use crate::table::{Writes, safe};

/// Opens a connection of our own for work that must not be slowed by plans made for other data.
///
/// - Rows are found by their keys: with a table that grows from nothing a plan made at the beginning
///   would scan it for ever. That leaves one good plan, so it is made once and not for each batch.
/// - A commit need not be on disk: the rows and their checkpoint are lost together, and the journal
///   has everything.
/// - A transaction of a runner that was stopped, or is gone, must not hold its locks for long.
pub(crate) async fn connection(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut conn = connection::kept(pool).await?;
    sqlx::raw_sql(
        "set application_name = 'ledgerline projector'; \
         set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
         set plan_cache_mode = force_generic_plan; \
         set synchronous_commit = off; \
         set statement_timeout = 0; set lock_timeout = 0; \
         set client_connection_check_interval = '1s'; \
         set idle_in_transaction_session_timeout = '15s'",
    )
    .execute(&mut conn)
    .await?;
    Ok(conn)
}

/// Begins a term: creates the tables that are missing, and finds out what is live.
pub(crate) async fn take_office(
    conn: &mut PgConnection,
    models: &[Model],
) -> Result<Term, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let row = sqlx::query("update read_side set term = term + 1 returning position, term")
        .fetch_one(&mut *tx)
        .await?;
    let mut term = Term {
        number: row.try_get("term")?,
        position: row.position("position")?,
        live: Vec::new(),
        pending: Vec::new(),
    };
    for model in models {
        if is_live(&mut tx, model, term.position).await? {
            term.live.push(*model);
        } else {
            term.pending.push(*model);
        }
    }
    tx.commit().await?;
    Ok(term)
}

/// Whether what serves of `model` can go on from where the read side is.
async fn is_live(
    conn: &mut PgConnection,
    model: &Model,
    position: Position,
) -> Result<bool, sqlx::Error> {
    let version = i32::try_from(model.version()).unwrap_or(i32::MAX);
    let row =
        sqlx::query("select version, status, rebuild_requested from projection where name = $1")
            .bind(model.name())
            .fetch_optional(&mut *conn)
            .await?;
    let Some(row) = row else {
        create(conn, model, model.table().name).await?;
        serve(conn, model).await?;
        // From nothing it can begin at once; later it has a journal to catch up with.
        let live = position == Position::START;
        sqlx::query(include_str!("new_model.sql"))
            .bind(model.name())
            .bind(version)
            .bind(if live { "live" } else { "stopped" })
            .bind((!live).then_some("was never built"))
            .execute(conn)
            .await?;
        return Ok(live);
    };
    sqlx::query("update projection set rebuild_position = null where name = $1")
        .bind(model.name())
        .execute(&mut *conn)
        .await?;
    let (serves, live) = (
        row.try_get::<i32, _>("version")?,
        row.try_get::<&str, _>("status")? == "live",
    );
    if live && serves != version {
        let error = format!("version `{serves}` serves until version `{version}` is built");
        let mut writes = Writes::always();
        writes.stop(model.name(), position, error);
        execute(conn, writes).await?;
    }
    Ok(live && serves == version)
}

/// Creates the table of `model` under `name`, without any index.
pub(crate) async fn create(
    conn: &mut PgConnection,
    model: &Model,
    name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(safe(format!("drop table if exists {name} cascade")))
        .execute(&mut *conn)
        .await?;
    let table = model.table();
    sqlx::raw_sql(table.script(table.create, name))
        .execute(conn)
        .await?;
    Ok(())
}

/// Drops the table of a rebuild that came to nothing.
pub(crate) async fn discard(conn: &mut PgConnection, model: &Model) -> Result<(), sqlx::Error> {
    let next = model.table().next_name();
    sqlx::raw_sql(safe(format!("drop table if exists {next}")))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes an empty table of `model` fit to serve under its own name.
async fn serve(conn: &mut PgConnection, model: &Model) -> Result<(), sqlx::Error> {
    let table = model.table();
    sqlx::raw_sql(table.add_key(table.name))
        .execute(&mut *conn)
        .await?;
    sqlx::raw_sql(table.script(table.serve, table.name))
        .execute(&mut *conn)
        .await?;
    sqlx::raw_sql(table.script(table.views, table.name))
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds that `model` stops before the fact that it cannot take.
pub(crate) fn stop(writes: &mut Writes, model: &Model, poisoned: &Poisoned) {
    let error = format!("commit at `{}`: {}", poisoned.position, poisoned.poison);
    writes.stop(model.name(), before(poisoned.position), error);
}

/// The position before `position`.
pub(crate) fn before(position: Position) -> Position {
    Position(position.0.saturating_sub(1))
}
