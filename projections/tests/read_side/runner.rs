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
