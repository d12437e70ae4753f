//! Batches: facts in, rows out, and how far their jobs are.

use std::sync::Arc;

use domain::batch::{self, Batch, Command, Counts, JobCount, Spec, Status};
use domain::job::{self, Template};
use domain::{Position, Tenant, Token};
use projections::batch::{BatchRow, Filter, Model, Progress, Sort, Standing, get, list};
use projections::{Paging, Projector};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::folds::rows;
use crate::support::{House, Journal, id, json, name, retry, spec, tenant, text, time};

/// The batch that these tests are about.
const BATCH: u128 = 1_000;

fn acme() -> Tenant {
    tenant("acme")
}

fn count(jobs: u32) -> JobCount {
    JobCount::new(jobs).expect("not too many")
}

fn say(journal: &Journal, number: u128, command: &Command, at: &str) -> Position {
    journal.handle::<Batch>(&acme(), id(number).into(), command, at)
}

fn open(journal: &Journal, number: u128, spec: Spec, at: &str) {
    let open = Command::Open(Box::new(spec));
    say(journal, number, &open, at);
}

fn named(text: &str) -> Spec {
    Spec {
        name: Some(name(text)),
        ..Spec::default()
    }
}

/// With a payload that `jsonb` would refuse.
fn template() -> Template {
    Template {
        queue: Token::new("reports").expect("a token"),
        kind: name("summary"),
        priority: job::Priority::Normal,
        payload: Some(json(r#"{"to":"\u0000", "deep":[[[]]]}"#)),
        timeout_s: None,
        retry: retry(2, 1_000),
        fairness_key: None,
        capabilities: job::Capabilities::default(),
        labels: domain::labels::Labels::default(),
    }
}

fn counts(succeeded: u32, dead: u32, cancelled: u32) -> Counts {
    Counts {
        succeeded,
        dead,
        cancelled,
    }
}

/// Five jobs: one waits, one runs, one is done, one dead, one cancelled; and one of another batch.
fn jobs(journal: &Journal) {
    for number in 1..=6 {
        let mut spec = spec();
        spec.parent = Some(batch::parent(id(if number == 6 { 7 } else { BATCH })));
        journal.enqueue(&acme(), id(number), spec, "09:00");
    }
    for number in 2..=4 {
        journal.start(&acme(), id(number), 1, "w1", "09:01");
    }
    let complete = job::Command::Complete {
        attempt: 1,
        result: None,
    };
    journal.job(&acme(), id(3), &complete, "09:02");
    let fail = job::Command::Fail {
        attempt: 1,
        error: text("no such mailbox"),
        retryable: false,
    };
    journal.job(&acme(), id(4), &fail, "09:03");
    journal.job(
        &acme(),
        id(5),
        &job::Command::Cancel { reason: None },
        "09:02",
    );
}

fn row(journal: &Journal) -> BatchRow {
    let rows = rows::<Model>(&journal.commits()).expect("no poison");
    rows[&(acme(), id(BATCH))].clone()
}

#[test]
fn a_batch_is_open_closed_and_completed() {
    let journal = Journal::default();
    open(&journal, BATCH, named("May"), "09:00");
    assert_eq!(
        (row(&journal).status, row(&journal).jobs),
        (Status::Open, None)
    );
    assert_eq!(row(&journal).opened_at, time("09:00"));
    say(&journal, BATCH, &Command::Close { jobs: count(3) }, "09:05");
    assert_eq!(row(&journal).status, Status::Closed);
    assert_eq!(row(&journal).closed_at, Some(time("09:05")));
    say(
        &journal,
        BATCH,
        &Command::Complete(counts(1, 1, 1)),
        "09:10",
    );
    let end = row(&journal);
    assert_eq!((end.status, end.jobs), (Status::Completed, Some(count(3))));
    assert_eq!(end.counts, Some(counts(1, 1, 1)));
    assert_eq!((end.completed_at, end.version), (Some(time("09:10")), 3));
    assert!(rows::<Model>(&journal.commits()[1..]).is_err());
}

#[test]
fn a_batch_that_is_opened_with_its_number_is_closed_at_that_time() {
    let journal = Journal::default();
    let known = Spec {
        jobs: Some(count(3)),
        ..Spec::default()
    };
    open(&journal, BATCH, known, "09:00");
    assert_eq!(row(&journal).status, Status::Closed);
    assert_eq!(row(&journal).closed_at, Some(time("09:00")));
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_batches_delivered_twice_change_nothing() {
    let house = House::new().await;
    let projector = Projector::new(house.pool.clone(), Arc::new(house.journal.twice()));
    let _running = AbortOnDropHandle::new(tokio::spawn(projector.run(CancellationToken::new())));
    let with_follow_up = Spec {
        on_complete: Some(Box::new(template())),
        ..named("May")
    };
    open(&house.journal, BATCH, with_follow_up, "09:00");
    jobs(&house.journal);
    say(
        &house.journal,
        BATCH,
        &Command::Close { jobs: count(5) },
        "09:10",
    );
    house.caught_up().await;
    assert!(house.clean().await);
    let found = get(&house.reader(), &acme(), id(BATCH)).await;
    let standing = found.expect("a query").item.expect("a row");
    assert_eq!(standing.batch, row(&house.journal));
    assert_eq!(standing.batch.on_complete, Some(Box::new(template())));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_a_batch_counts_its_own_jobs_and_no_others() {
    let house = House::new().await;
    let _running = house.run();
    open(&house.journal, BATCH, named("May"), "09:00");
    jobs(&house.journal);
    let position = house.caught_up().await;
    let look = async |tenant: &Tenant, id: Uuid| {
        let found = get(&house.reader(), tenant, id).await.expect("a query");
        assert!(found.position >= position);
        found.item
    };
    let standing = look(&acme(), id(BATCH)).await.expect("a row");
    assert_eq!(
        standing.progress,
        Progress {
            waiting: 1,
            running: 1,
            ended: counts(1, 1, 1),
            first_enqueued_at: Some(time("09:00")),
            last_ended_at: Some(time("09:03")),
        }
    );
    assert_eq!((standing.progress.open(), standing.progress.seen()), (2, 5));
    assert_eq!(standing.percent(), 60);
    assert_eq!(look(&tenant("globex"), id(BATCH)).await, None);
    assert_eq!(look(&acme(), id(7)).await, None, "it was never opened");

    let cancel = job::Command::Cancel { reason: None };
    for number in [1, 2] {
        house.journal.job(&acme(), id(number), &cancel, "10:00");
    }
    house.caught_up().await;
    let standing = look(&acme(), id(BATCH)).await.expect("a row");
    assert_eq!(standing.progress.ended, counts(1, 1, 3));
    assert_eq!(standing.percent(), 100);
}

#[test]
fn a_batch_of_no_jobs_is_at_its_end_once_that_is_said() {
    let journal = Journal::default();
    open(&journal, BATCH, Spec::default(), "09:00");
    let standing = || Standing {
        batch: row(&journal),
        progress: Progress::default(),
    };
    assert_eq!(standing().percent(), 0);
    say(&journal, BATCH, &Command::Close { jobs: count(0) }, "09:01");
    assert_eq!(standing().percent(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_listed_by_what_is_known_of_them() {
    let house = House::new().await;
    let _running = house.run();
    for (number, at) in [(1, "09:00"), (2, "09:01"), (3, "09:02")] {
        open(&house.journal, number, named(&format!("b{number}")), at);
    }
    say(
        &house.journal,
        2,
        &Command::Close { jobs: count(1) },
        "09:05",
    );
    house.caught_up().await;
    let listed = async |filter: Filter| {
        let sort: Sort = "-opened_at".parse().expect("a sort");
        let paging = Paging {
            limit: 10,
            count: true,
            cursor: None,
        };
        let page = list(&house.reader(), &acme(), &filter, sort, &paging).await;
        let page = page.expect("a query");
        assert_eq!(page.total, Some(page.items.len() as u64));
        let numbers = page.items.iter().map(|row| row.id.as_u128());
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(listed(Filter::default()).await, [3, 2, 1]);
    let closed = Filter {
        status: vec![Status::Closed],
        ..Filter::default()
    };
    assert_eq!(listed(closed).await, [2]);
    let of_name = Filter {
        name: Some("b3".to_owned()),
        ..Filter::default()
    };
    assert_eq!(listed(of_name).await, [3]);
    let before = Filter {
        opened_to: Some(time("09:01")),
        ..Filter::default()
    };
    assert_eq!(listed(before).await, [1]);
}
