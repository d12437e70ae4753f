//! Rebuilds: a new table takes the place of the old one, whole; poison stops one model.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::assignment::Command;
use domain::{Entry, Position};
use projections::fact::Fact;
use projections::model::{ReadModel, Reads, Rows};
use projections::positions::ModelPosition;
use projections::table::Table;
use projections::{Model, Poison, assignment, assignment_event, command, workload};

use crate::support::{House, id, tenant, text, until};

/// The model of assignments in another version.
struct Second;

impl ReadModel for Second {
    const TABLE: &'static Table = assignment::Model::TABLE;
    const VERSION: u32 = 2;
    const READS: Reads = assignment::Model::READS;
    const ROWS: Rows = Rows::Folded;
    type Key = assignment::Key;
    type Row = assignment::AssignmentRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Self::Key>, Poison> {
        assignment::Model::keys(fact)
    }

    fn apply(row: &mut Option<Self::Row>, key: &Self::Key, fact: &Fact<'_>) -> Result<(), Poison> {
        assignment::Model::apply(row, key, fact)
    }
}

/// The model of workload with a mistake that can be mended: it cannot take position 3.
struct Faulty;

static MENDED: AtomicBool = AtomicBool::new(false);

impl ReadModel for Faulty {
    const TABLE: &'static Table = workload::Model::TABLE;
    const VERSION: u32 = workload::Model::VERSION;
    const READS: Reads = workload::Model::READS;
    const ROWS: Rows = Rows::Folded;
    type Key = workload::Key;
    type Row = workload::WorkloadRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Self::Key>, Poison> {
        workload::Model::keys(fact)
    }

    fn apply(row: &mut Option<Self::Row>, key: &Self::Key, fact: &Fact<'_>) -> Result<(), Poison> {
        workload::Model::apply(row, key, fact)?;
        if fact.position() == Position(3) && !MENDED.load(Ordering::Relaxed) {
            return Err(Poison::new("a mistake"));
        }
        Ok(())
    }
}

async fn model(house: &House, name: &str) -> ModelPosition {
    let positions = projections::positions(&house.pool)
        .await
        .expect("positions");
    let model = positions
        .models
        .into_iter()
        .find(|model| model.name == name);
    model.expect("a model of that name")
}

fn request(house: &House, numbers: std::ops::Range<u128>) {
    for number in numbers {
        house.journal.request(&tenant("acme"), id(number), "09:00");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_stops_one_model_visibly_and_it_goes_on_when_mended() {
    let house = House::new().await;
    let models = || {
        vec![
            Model::of::<assignment::Model>(),
            Model::of::<Faulty>(),
            Model::of::<command::Model>(),
        ]
    };
    request(&house, 0..10);
    let running = house.run_models(models());
    house.caught_up().await;
    let stopped = model(&house, "workload").await;
    assert_eq!(
        (stopped.status.as_str(), stopped.position),
        ("stopped", Position(2))
    );
    assert!(stopped.error.expect("a reason").contains("a mistake"));
    let open: i64 = sqlx::query_scalar("select queued from workload where name = 'plant'")
        .fetch_one(&house.pool)
        .await
        .expect("a row");
    assert_eq!(
        open, 2,
        "what came before the fact is in the table, and nothing of it"
    );
    assert_eq!(model(&house, "assignment").await.status.as_str(), "live");
    assert_eq!(house.count("assignment").await, 10);

    drop(running);
    MENDED.store(true, Ordering::Relaxed);
    request(&house, 10..12);
    let _running = house.run_models(models());
    house.all_live().await;
    assert!(house.clean_of(&["assignment", "workload", "command"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_knows_stops_the_models_that_need_it_and_no_other() {
    let house = House::new().await;
    request(&house, 0..3);
    house.journal.push(|position| {
        let stream = "acme.assignment.00000000-0000-0000-0000-000000000001".parse();
        let payload = r#"{"commit":"00000000-0000-0000-0000-0000000000ff","at":"2026-01-05T10:00:00Z",
            "actor":{"principal":"eve"},"request":"00000000000000000000000000000000","version":1,
            "events":[{"type":"exploded","data":{},"v":1}]}"#;
        let stream = stream.expect("three tokens");
        let chain = domain::Chain::default();
        let commit = domain::Commit::decode(position, stream, chain, None, payload.as_bytes());
        Entry::Commit(commit.expect("a commit").into())
    });
    request(&house, 3..5);
    let _running = house.run();
    house.caught_up().await;
    for (name, status) in [
        ("assignment", "stopped"),
        ("workload", "stopped"),
        ("assignment_event", "live"),
        ("command", "live"),
    ] {
        assert_eq!(model(&house, name).await.status.as_str(), status, "{name}");
    }
    assert_eq!(house.count("assignment_event").await, 6);
    assert_eq!(house.count("assignment").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_no_commit_stops_everybody() {
    let house = House::new().await;
    request(&house, 0..2);
    let reason = "no JSON".to_owned();
    house
        .journal
        .push(|position| Entry::Unreadable { position, reason });
    request(&house, 2..4);
    let _running = house.run();
    house.caught_up().await;
    for model in projections::positions(&house.pool)
        .await
        .expect("positions")
        .models
    {
        assert_eq!(
            (model.status.as_str(), model.position),
            ("stopped", Position(2)),
            "{}",
            model.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_postgres_will_not_store_is_poison_too() {
    let house = House::new().await;
    let running = house.run();
    request(&house, 0..2);
    house.caught_up().await;
    drop(running);
    let check = "alter table command add check (position <> 4)";
    sqlx::raw_sql(check)
        .execute(&house.pool)
        .await
        .expect("a constraint");
    request(&house, 2..5);
    let _running = house.run();
    house.caught_up().await;
    let stopped = model(&house, "command").await;
    assert_eq!(
        (stopped.status.as_str(), stopped.position),
        ("stopped", Position(3))
    );
    assert_eq!(house.count("command").await, 3);
    assert_eq!(house.count("assignment").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_there_although_it_cannot_be_stops_its_model_and_a_rebuild_mends_it() {
    let house = House::new().await;
    let running = house.run();
    request(&house, 0..2);
    house.caught_up().await;
    let forge = "create temp table forged as select * from assignment where id = $1;
        update forged set id = $2; insert into assignment select * from forged";
    let forge = forge
        .replace("$1", &format!("'{}'", id(1)))
        .replace("$2", &format!("'{}'", id(3)));
    sqlx::raw_sql(sqlx::AssertSqlSafe(forge))
        .execute(&house.pool)
        .await
        .expect("a row of nobody's making");
    request(&house, 2..5);
    house.caught_up().await;
    let stopped = model(&house, "assignment").await;
    assert_eq!(
        (stopped.status.as_str(), stopped.position),
        ("stopped", Position(3))
    );
    assert!(stopped.error.expect("a reason").contains("duplicate key"));
    assert_eq!(model(&house, "workload").await.status.as_str(), "live");
    drop(running);

    let _running = house.run();
    house.all_live().await;
    assert_eq!(house.count("assignment").await, 5);
    assert!(house.clean().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_model_is_rebuilt_while_the_old_table_serves_whole() {
    let house = House::new().await;
    request(&house, 0..3_000);
    let running = house.run();
    house.caught_up().await;
    drop(running);

    let _running = house.run_models(vec![
        Model::of::<Second>(),
        Model::of::<assignment_event::Model>(),
        Model::of::<workload::Model>(),
        Model::of::<command::Model>(),
    ]);
    let mut written = 3_000;
    until("the new version serves", async || {
        let number = written;
        written += 1;
        house.journal.request(&tenant("acme"), id(number), "09:00");
        assert!(
            house.count("assignment").await >= 3_000,
            "readers see a whole table"
        );
        let model = model(&house, "assignment").await;
        model.version == 2 && model.status.as_str() == "live"
    })
    .await;
    house.caught_up().await;
    assert_eq!(
        house.count("assignment").await,
        i64::try_from(written).expect("small")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_killed_midway_leaves_the_old_table_and_is_begun_again() {
    let house = House::new().await;
    request(&house, 0..2_000);
    let running = house.run();
    house.caught_up().await;
    // Nobody can take the place of a table that is being read: the rebuild gets to the swap.
    let mut reading = house.pool.begin().await.expect("begin");
    sqlx::raw_sql("lock table assignment in access share mode")
        .execute(&mut *reading)
        .await
        .expect("locked");
    assert!(
        projections::request_rebuild(&house.pool, "assignment")
            .await
            .expect("asked")
    );
    until("it is being rebuilt", async || {
        model(&house, "assignment").await.status.as_str() == "rebuilding"
    })
    .await;
    drop(running);
    assert_eq!(house.count("assignment").await, 2_000);
    reading.rollback().await.expect("let go");
    let note = Command::Note {
        text: text("meanwhile"),
    };
    house.journal.decide(&tenant("acme"), id(1), &note, "10:00");

    let _running = house.run();
    house.all_live().await;
    until("the rebuild is done", async || !is_asked_for(&house).await).await;
    house.all_live().await;
    assert!(house.clean().await);
    assert!(
        !projections::request_rebuild(&house.pool, "nothing\0")
            .await
            .expect("asked")
    );
}

async fn is_asked_for(house: &House) -> bool {
    sqlx::query_scalar("select rebuild_requested from projection where name = 'assignment'")
        .fetch_one(&house.pool)
        .await
        .expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_model_is_the_same_rebuilt() {
    let house = House::new().await;
    request(&house, 0..500);
    let _running = house.run();
    house.caught_up().await;
    for model in Model::all() {
        assert!(
            projections::request_rebuild(&house.pool, model.name())
                .await
                .expect("asked")
        );
    }
    until("all are rebuilt", async || {
        let sql = "select count(*) from projection where rebuild_requested";
        let left: i64 = sqlx::query_scalar(sql)
            .fetch_one(&house.pool)
            .await
            .expect("count");
        left == 0
    })
    .await;
    request(&house, 500..510);
    house.all_live().await;
    assert!(house.clean().await);
    // Again over the table that was swapped in: names of indexes must not collide.
    assert!(
        projections::request_rebuild(&house.pool, "assignment")
            .await
            .expect("asked")
    );
    until("it is rebuilt again", async || !is_asked_for(&house).await).await;
    assert!(house.clean().await);
}
