//! The raw measurements of `ledgerline bench`, on real servers.

mod embedded_rig;

use embedded_rig::{Folder, TestResult, options, own_arguments, postgres_as_owner};
use infra::ceilings::{RawAppend, RawLog, RawTables};
use infra::embedded::{Servers, child_main};
use sqlx::Executor as _;

const TABLE: &str = "create table stock (id uuid primary key, name text, count bigint not null) \
                     with (fillfactor = 70)";
const FILL: &str = "insert into stock select gen_random_uuid(), nullif(n, 3)::text, n \
                    from generate_series(1, 10) n";

#[test]
fn a_process_becomes_a_server_when_told_to() {
    if let Some(arguments) = own_arguments() {
        let error = child_main(arguments);
        panic!("becoming a server failed: {error}");
    }
}

#[tokio::test]
async fn raw_appends_are_read_back_and_leave_nothing() -> TestResult {
    let folder = Folder::new("raw-log")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let log = RawLog::connect(&servers.endpoints().nats.url()).await?;
    log.make().await?;
    let append = |number: u64, expected| RawAppend {
        id: "one".to_owned(),
        expected,
        message_id: Some(number.to_string()),
        payload: "{}".into(),
        headers: vec![("Ledgerline-Chain", "0".to_owned())],
    };
    let first = log.append(append(1, 0)).await?;
    log.append(append(2, first)).await?;
    assert!(
        log.append(append(3, first)).await.is_err(),
        "the expectation is checked"
    );
    assert_eq!(log.read("BENCH_RAW").await?.messages, 2);
    log.make().await?;
    assert_eq!(log.read("BENCH_RAW").await?.messages, 0);
    log.remove().await?;
    assert!(log.read("BENCH_RAW").await.is_err());
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn raw_tables_take_the_very_rows_of_the_programs_tables_and_leave_nothing() -> TestResult {
    let folder = Folder::new("raw-tables")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let mut owner = postgres_as_owner(servers.endpoints()).await?;
    owner.execute(TABLE).await?;
    owner.execute(FILL).await?;
    let tables = RawTables::connect(&servers.endpoints().postgres).await?;
    let stock = tables.like("stock").await?;
    let rows = tables.rows("stock", "count <= 8").await?;
    tables
        .upsert(&[(&stock, &rows, 0..5), (&stock, &rows, 3..8)])
        .await?;
    let same = "select count(*) from stock natural join bench.stock";
    let differing = "select count(*) from stock s full join bench.stock b using (id) \
                     where s is distinct from b and s.count <= 8";
    let count = |sql: &'static str| sqlx::query_scalar::<_, i64>(sql);
    // A natural join does not match nulls: the third row has one.
    assert_eq!(count(same).fetch_one(&mut owner).await?, 7);
    assert_eq!(count(differing).fetch_one(&mut owner).await?, 0);
    let stock = tables.like("stock").await?;
    tables.copy(&stock, &rows).await?;
    assert_eq!(tables.count("bench.stock").await?, 8);
    tables.remove().await?;
    assert!(tables.count("bench.stock").await.is_err());
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_held_table_is_read_and_not_written() -> TestResult {
    let folder = Folder::new("raw-hold")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let mut owner = postgres_as_owner(servers.endpoints()).await?;
    owner.execute(TABLE).await?;
    let tables = RawTables::connect(&servers.endpoints().postgres).await?;
    let hold = tables.hold("stock").await?;
    owner.execute("set lock_timeout = '100ms'").await?;
    assert_eq!(tables.count("stock").await?, 0);
    assert!(owner.execute(FILL).await.is_err());
    hold.release().await?;
    owner.execute(FILL).await?;
    servers.stop().await;
    Ok(())
}
