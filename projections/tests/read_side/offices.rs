//! Offices: each is held by one at a time, apart from the others.

use projections::{Lease, Office};
use sqlx::postgres::PgPool;
use tokio::task::JoinHandle;

use crate::support::{database, until};

fn stand_by(pool: &PgPool) -> JoinHandle<Result<Lease, sqlx::Error>> {
    let pool = pool.clone();
    tokio::spawn(async move { Lease::acquire(&pool, Office::Dispatcher).await })
}

/// Waits until somebody has found the office taken.
async fn somebody_stands_by(pool: &PgPool) {
    until("somebody stands by", async || {
        let sql = "select exists (select from pg_stat_activity where pid <> pg_backend_pid() \
                   and datname = current_database() and query like '-- Ends the session%')";
        sqlx::query_scalar(sql)
            .fetch_one(pool)
            .await
            .expect("a query")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_dispatchers_one_stands_by_and_takes_over() {
    let pool = database().await;
    let first = Lease::acquire(&pool, Office::Dispatcher).await;
    let first = first.expect("nobody else");
    let second = stand_by(&pool);
    somebody_stands_by(&pool).await;
    assert!(!second.is_finished() && !first.lost.is_cancelled());
    drop(first);
    let second = second.await.expect("no panic").expect("the office");
    assert!(!second.lost.is_cancelled());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_silent_is_put_out_of_its_office_and_no_other() {
    let pool = database().await;
    let projector = Lease::acquire(&pool, Office::Projector).await;
    let projector = projector.expect("nobody else");
    let first = Lease::acquire(&pool, Office::Dispatcher).await;
    let first = first.expect("an office of its own");
    let second = stand_by(&pool);
    until("the silent one is put out", async || {
        sqlx::raw_sql("update office set beat_at = 'epoch'")
            .execute(&pool)
            .await
            .expect("silenced");
        second.is_finished()
    })
    .await;
    second.await.expect("no panic").expect("the office");
    first.lost.cancelled().await;
    assert!(!projector.lost.is_cancelled());
}
