//! The proof finds whatever is not as the journal says.

use domain::assignment::Command;
use projections::verify::DifferenceKind;

use crate::support::{House, hourly, id, spec, tenant, text};

async fn house() -> House {
    let house = House::new().await;
    for number in 1..=20 {
        house.journal.request(&tenant("acme"), id(number), "09:00");
    }
    let note = Command::Note {
        text: text("a note"),
    };
    house.journal.decide(&tenant("acme"), id(1), &note, "10:00");
    house
        .journal
        .enqueue(&tenant("acme"), id(1), spec(), "11:00");
    let pause = domain::queue::Command::Pause { reason: None };
    house
        .journal
        .queue(&tenant("acme"), "mail", &pause, "11:00");
    house
        .journal
        .plan(&tenant("acme"), id(1), hourly(""), "11:00");
    let running = house.run();
    house.caught_up().await;
    drop(running);
    house
}

/// What the proof says of `model` after `sql`.
async fn after(sql: &'static str, model: &str) -> Vec<DifferenceKind> {
    let house = house().await;
    assert!(house.clean().await);
    let done = sqlx::raw_sql(sql)
        .execute(&house.pool)
        .await
        .expect("change a row");
    assert_eq!(done.rows_affected(), 1, "{sql}");
    let report = projections::verify(&house.journal, &house.pool)
        .await
        .expect("verify");
    assert!(!report.is_clean());
    for other in report.models.iter().filter(|other| other.name != model) {
        assert_eq!(other.differing, 0, "{}", other.name);
    }
    let report = report
        .models
        .into_iter()
        .find(|report| report.name == model)
        .expect("a model");
    report
        .differences
        .into_iter()
        .map(|difference| difference.kind)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_row_is_found_with_its_column() {
    let sql =
        "update assignment set title = 'mine' where id = '00000000-0000-0000-0000-000000000003'";
    assert_eq!(
        after(sql, "assignment").await,
        [DifferenceKind::Columns(vec!["title"])]
    );
    let sql = "update workload set queued_us = queued_us + 1 where name = 'plant'";
    assert_eq!(
        after(sql, "workload").await,
        [DifferenceKind::Columns(vec!["queued_us"])]
    );
    let sql = "update assignment_event set data = '{\"text\":\"an other\"}' where type = 'noted'";
    assert_eq!(
        after(sql, "assignment_event").await,
        [DifferenceKind::Columns(vec!["data"])]
    );
    let sql = "update command set principal = 'eve' where position = 21";
    assert_eq!(
        after(sql, "command").await,
        [DifferenceKind::Columns(vec!["principal"])]
    );
    assert_eq!(
        after("update job set worker = 'eve', payload = '1'", "job").await,
        [DifferenceKind::Columns(vec!["worker", "payload"])]
    );
    assert_eq!(
        after("update queue set paused = false", "queue").await,
        [DifferenceKind::Columns(vec!["paused"])]
    );
    assert_eq!(
        after("update schedule set next_at = null, fired = 9", "schedule").await,
        [DifferenceKind::Columns(vec!["next_at", "fired"])]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_row_is_found() {
    let sql = "delete from assignment where id = '00000000-0000-0000-0000-000000000003'";
    assert_eq!(after(sql, "assignment").await, [DifferenceKind::Missing]);
    let sql = "delete from assignment_event where type = 'noted'";
    assert_eq!(
        after(sql, "assignment_event").await,
        [DifferenceKind::Missing]
    );
    assert_eq!(
        after("delete from command where position = 7", "command").await,
        [DifferenceKind::Missing]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_row_is_found() {
    let sql = "insert into workload select tenant, dimension, 'nobody', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
               0, 0, 0, 0 from workload";
    assert_eq!(after(sql, "workload").await, [DifferenceKind::Extra]);
    let sql = "insert into assignment_event select position, 9, tenant, id, version, type, v, data, at, \
               occurred_at, principal, on_behalf_of, command, correlation, causation \
               from assignment_event where type = 'noted'";
    assert_eq!(
        after(sql, "assignment_event").await,
        [DifferenceKind::Extra]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_found() {
    let sql =
        "update assignment set status = 'lost' where id = '00000000-0000-0000-0000-000000000003'";
    let found = after(sql, "assignment").await;
    assert!(
        matches!(
            found[..],
            [DifferenceKind::Unreadable(_), DifferenceKind::Missing]
        ),
        "{found:?}"
    );
}
