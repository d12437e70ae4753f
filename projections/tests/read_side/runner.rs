//! The runner: exactly once, whatever happens to it.

use std::sync::Arc;

use domain::assignment::Command;
use projections::assignment;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{House, id, name, tenant, text, until};

/// A short story of three assignments.
fn story(house: &House) {
    let tenant = tenant("acme");
    for number in 1..=3 {
        house.journal.request(&tenant, id(number), "09:00");
    }
    let start = Command::Start {
        assignee: name("ann"),
        group: None,
    };
    house.journal.decide(&tenant, id(1), &start, "10:00");
    let hold = Command::Hold {
        reason: text("no part"),
    };
    house.journal.decide(&tenant, id(1), &hold, "10:30");
    let assign = Command::Assign {
        assignee: name("bob"),
        group: None,
    };
    house.journal.decide(&tenant, id(1), &assign, "11:00");
    let note = Command::Note {
        text: text("the part\nhas come"),
    };
    house.journal.decide(&tenant, id(2), &note, "11:30");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_can_be_queried_at_its_position() {
    let house = House::new().await;
    let _running = house.run();
    story(&house);
    let position = house.caught_up().await;
    let found = assignment::get(&house.reader(), &tenant("acme"), id(1)).await;
    let found = found.expect("a query");
    assert!(found.position >= position);
    let row = found.item.expect("a row");
    assert_eq!(row.assignee, Some(name("bob")));
    assert_eq!((row.hand_overs, row.version), (1, 5));
    assert!(house.clean().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_grows_from_nothing_is_analyzed_soon() {
    let house = House::new().await;
    let _running = house.run();
    let tenant = tenant("acme");
    for number in 1..=1_000 {
        house.journal.request(&tenant, id(number), "09:00");
    }
    house.caught_up().await;
    until("the table is analyzed", async || {
        let rows: f32 =
            sqlx::query_scalar("select reltuples from pg_class where relname = 'assignment'")
                .fetch_one(&house.pool)
                .await
                .expect("a query");
        rows >= 1_000.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_delivered_twice_change_nothing() {
    let house = House::new().await;
    let journal = house.journal.twice();
    let projector = projections::Projector::new(house.pool.clone(), Arc::new(journal));
    let _running = AbortOnDropHandle::new(tokio::spawn(projector.run(CancellationToken::new())));
    story(&house);
    house.caught_up().await;
    assert!(house.clean().await);
    assert_eq!(house.count("assignment_event").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_again_and_again_has_every_effect_once() {
    let house = House::new().await;
    let acme = tenant("acme");
    for round in 0..20_u128 {
        let running = house.run();
        for number in 0..50 {
            house
                .journal
                .request(&acme, id(round * 100 + number), "09:00");
        }
        // Killed in the middle of things, at another point each time.
        let some = house.journal.head_now().0 - 50 + u64::try_from(round).expect("small");
        let somewhere = domain::Position(some);
        until("it has come somewhere", async || {
            house.read_side.position() >= somewhere
        })
        .await;
        drop(running);
    }
    let _running = house.run();
    house.caught_up().await;
    assert_eq!(house.count("assignment").await, 1_000);
    assert!(house.clean().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runners_one_stands_by_and_takes_over() {
    let house = House::new().await;
    let first = house.run();
    story(&house);
    house.caught_up().await;
    let second = house.run();
    house.journal.request(&tenant("acme"), id(4), "12:00");
    house.caught_up().await;
    drop(first);
    house.journal.request(&tenant("acme"), id(5), "12:00");
    house.caught_up().await;
    drop(second);
    assert_eq!(house.count("assignment").await, 5);
    assert!(house.clean().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_has_lost_its_lock_is_fenced() {
    let house = House::new().await;
    let _first = house.run();
    story(&house);
    house.caught_up().await;
    let _second = house.run();
    for round in 0..5_u128 {
        // The session that holds the lock ends, and its runner does not know yet.
        let sql = "select pg_terminate_backend(pid) from office where name = 'projector'";
        sqlx::raw_sql(sql)
            .execute(&house.pool)
            .await
            .expect("ended");
        for number in 0..50 {
            let id = id(100 + round * 100 + number);
            house.journal.request(&tenant("acme"), id, "12:00");
        }
        house.caught_up().await;
    }
    assert_eq!(house.count("assignment").await, 253);
    assert!(house.clean().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_holds_the_reader_and_it_catches_up() {
    let house = House::new().await;
    let _running = house.run();
    story(&house);
    let before = house.caught_up().await;
    let mut lock = house.pool.begin().await.expect("begin");
    sqlx::raw_sql("lock table assignment")
        .execute(&mut *lock)
        .await
        .expect("locked");
    let note = Command::Note {
        text: text(&"x".repeat(10_000)),
    };
    for _ in 0..4_000 {
        house.journal.decide(&tenant("acme"), id(2), &note, "12:00");
    }
    // 4,000 notes take some 80 MB decoded: the reader must stop on the way.
    until("the reader has begun", async || {
        house.journal.read_to() > before
    })
    .await;
    let mut seen = house.journal.read_to();
    until("the reader stands still", async || {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        std::mem::replace(&mut seen, house.journal.read_to()) == house.journal.read_to()
    })
    .await;
    assert!(seen < house.journal.head_now(), "bounded: read to {seen}");
    assert_eq!(house.read_side.position(), before);
    lock.rollback().await.expect("let go");
    house.caught_up().await;
    assert!(house.clean().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_position_is_told_when_it_is_not_reached() {
    let house = House::new().await;
    let wanted = domain::Position(7);
    let soon = std::time::Duration::from_millis(50);
    let behind = house
        .read_side
        .wait_for(wanted, soon)
        .await
        .expect_err("nothing runs");
    assert_eq!(behind.reached, domain::Position::START);
}
