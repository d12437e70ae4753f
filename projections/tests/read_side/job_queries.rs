//! Queries on jobs: filters, pages, workers, statistics.

use std::collections::{BTreeMap, HashMap};

use domain::job::{Command, Parent, ParentKind, Priority, Status};
use domain::{Position, Timestamp, Token};
use projections::job::{self, By, Filter, Group, JobRow, LastMinute, Percentiles, Sort};
use projections::{Cursor, Paging, QueryError};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::support::{House, id, json, name, retry, spec, tenant, text, time};

fn batch() -> Parent {
    Parent {
        kind: ParentKind::Batch,
        id: Token::new("b1").expect("a token"),
    }
}

/// Thirty jobs, every sixth of each: waiting, running, completed, dead, cancelled, and waiting again.
async fn house() -> House {
    let house = House::new().await;
    let acme = tenant("acme");
    let journal = &house.journal;
    for number in 0..30_u8 {
        let job = id(number.into());
        let mut spec = spec();
        spec.queue = Token::new(["mail", "print"][usize::from(number % 2)]).expect("a token");
        spec.kind = name(["send", "fetch", "sort"][usize::from(number % 3)]);
        spec.priority = Priority::ALL[usize::from(number % 4)];
        spec.payload = Some(json("[1, 2]"));
        spec.retry = retry(2, 0);
        spec.fairness_key = (number < 10).then(|| name("bulk"));
        spec.parent = (number < 7).then(batch);
        let site = ["north", "south"][usize::from(number / 15)];
        let labels = BTreeMap::from([(name("site"), text(site))]);
        spec.labels = labels.try_into().expect("one label");
        journal.enqueue(&acme, job, spec, &format!("09:0{}", number % 5));
        let ended = format!("09:3{}", number % 10);
        if matches!(number % 6, 1..=3) {
            let worker = ["w1", "w2"][usize::from(number / 15)];
            journal.start(&acme, job, 1, worker, "09:10");
        }
        match number % 6 {
            2 => {
                let result = Some(json("true"));
                let complete = Command::Complete { attempt: 1, result };
                journal.job(&acme, job, &complete, &ended);
            }
            3 => {
                let fail = Command::Fail {
                    attempt: 1,
                    error: text("never"),
                    retryable: false,
                };
                journal.job(&acme, job, &fail, &ended);
            }
            4 => {
                let cancel = Command::Cancel { reason: None };
                journal.job(&acme, job, &cancel, &ended);
            }
            _ => {}
        }
    }
    journal.enqueue(&tenant("globex"), id(99), spec(), "09:00");
    drop({
        let running = house.run();
        house.caught_up().await;
        running
    });
    house
}

async fn count(house: &House, filter: Filter) -> usize {
    let paging = Paging {
        limit: 500,
        cursor: None,
        count: true,
    };
    let (reader, acme) = (house.reader(), tenant("acme"));
    let page = job::list(&reader, &acme, &filter, Sort::default(), &paging).await;
    let page = page.expect("a page");
    assert_eq!(page.total, Some(page.items.len() as u64));
    page.items.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_belong_together_are_counted_and_told_from_others() {
    let house = house().await;
    let (reader, acme) = (house.reader(), tenant("acme"));
    let (mail, batch) = (
        Group::Queue(Token::new("mail").expect("a token")),
        Group::Parent(batch()),
    );
    let counts = async |group: &Group| {
        let (counts, position) = job::counts(&reader, &acme, group).await.expect("counts");
        assert!(position > Position::START);
        let counts = counts
            .into_iter()
            .map(|(status, jobs)| (status.as_str(), jobs));
        counts.collect::<Vec<_>>()
    };
    let of_queue = [("waiting", 5), ("running", 0), ("dead", 0)];
    assert_eq!(counts(&mail).await, of_queue);
    let of_batch = [
        ("waiting", 3),
        ("running", 1),
        ("completed", 1),
        ("dead", 1),
        ("cancelled", 1),
    ];
    assert_eq!(counts(&batch).await, of_batch);
    // One of another tenant and one that there is not are no answer.
    let asked = [0, 1, 6, 8, 99, 200].map(id);
    for (group, expected) in [
        (&mail, [(0, true), (1, false), (6, true), (8, true)]),
        (&batch, [(0, true), (1, true), (6, true), (8, false)]),
    ] {
        let (known, _) = job::belonging(&reader, &acme, group, &asked)
            .await
            .expect("an answer");
        let expected = expected.map(|(number, belongs)| (id(number), belongs));
        assert_eq!(known, HashMap::from(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_jobs_gives_what_fits() {
    let house = house().await;
    let any = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let labels = |site: &str| BTreeMap::from([("site".to_owned(), site.to_owned())]);
    #[rustfmt::skip]
    let expected = [
        (any(), 30),
        (Filter { id: Some(id(7)), ..any() }, 1),
        (Filter { id: Some(id(99)), ..any() }, 0),
        (Filter { queue: text("mail"), ..any() }, 15),
        (Filter { queue: text("ma%"), ..any() }, 0),
        (Filter { kind: text("fetch"), ..any() }, 10),
        (Filter { status: vec![Status::Waiting], ..any() }, 10),
        (Filter { status: vec![Status::Running, Status::Dead], ..any() }, 10),
        (Filter { status: vec![Status::Completed], queue: text("mail"), ..any() }, 5),
        (Filter { priority: vec![Priority::Critical], ..any() }, 8),
        (Filter { priority: vec![Priority::High, Priority::Low], ..any() }, 15),
        (Filter { worker: text("w1"), ..any() }, 3),
        (Filter { worker: text("w3"), ..any() }, 0),
        (Filter { worker: text("w1"), status: vec![Status::Dead], ..any() }, 0),
        (Filter { fairness_key: text("bulk"), ..any() }, 10),
        (Filter { parent: Some(batch()), ..any() }, 7),
        (Filter { parent: Some(Parent { kind: ParentKind::Run, ..batch() }), ..any() }, 0),
        (Filter { labels: labels("north"), ..any() }, 15),
        (Filter { labels: labels("nor"), ..any() }, 0),
        (Filter { enqueued_from: Some(time("09:03")), ..any() }, 12),
        (Filter { enqueued_to: Some(time("09:03")), ..any() }, 18),
        (Filter { ended_from: Some(time("09:38")), ..any() }, 3),
        (Filter { ended_to: Some(time("09:38")), ..any() }, 12),
    ];
    for (filter, fits) in expected {
        assert_eq!(count(&house, filter.clone()).await, fits, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_jobs_give_every_row_once_and_in_order() {
    let house = house().await;
    let (reader, acme) = (house.reader(), tenant("acme"));
    let ended = Filter {
        status: vec![Status::Completed, Status::Dead, Status::Cancelled],
        ..Filter::default()
    };
    for filter in [Filter::default(), ended] {
        for text in ["enqueued_at", "ended_at", "priority"] {
            for text in [text.to_owned(), format!("-{text}")] {
                let sort: Sort = text.parse().expect("a sort");
                let list = async |limit, cursor| {
                    let paging = Paging {
                        limit,
                        cursor,
                        count: false,
                    };
                    job::list(&reader, &acme, &filter, sort, &paging)
                        .await
                        .expect("a page")
                };
                let whole = list(500, None).await.items;
                let mut paged: Vec<JobRow> = Vec::new();
                let mut cursor = None;
                // A list that never ends is found as well.
                while paged.len() <= whole.len() {
                    let page = list(7, cursor).await;
                    paged.extend(page.items);
                    let Some(next) = page.next else { break };
                    cursor = Some(Cursor::decode(&next.encode()).expect("our own cursor"));
                }
                let ids = |rows: &[JobRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
                assert_eq!(ids(&paged), ids(&whole), "{text}");
                assert_eq!(paged, whole, "{text}");
                assert!(is_sorted(&whole, sort), "{text}");
                assert!(whole.iter().all(|row| row.payload.is_none()));
            }
        }
    }
}

/// Whether `rows` are in the order of `sort`, those that have not ended last.
fn is_sorted(rows: &[JobRow], sort: Sort) -> bool {
    let ended = |row: &JobRow| row.ended_at.map_or((true, None), |at| (false, Some(at)));
    rows.is_sorted_by(|one, other| match (sort.by, sort.descending) {
        (By::EnqueuedAt, false) => one.enqueued_at <= other.enqueued_at,
        (By::EnqueuedAt, true) => one.enqueued_at >= other.enqueued_at,
        (By::EndedAt, false) => ended(one) <= ended(other),
        (By::EndedAt, true) => match (one.ended_at, other.ended_at) {
            (Some(one), Some(other)) => one >= other,
            (_, other) => other.is_none(),
        },
        (By::Priority, false) => one.priority <= other.priority,
        (By::Priority, true) => one.priority >= other.priority,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_order_of_jobs_is_refused() {
    let house = house().await;
    let (reader, acme) = (house.reader(), tenant("acme"));
    let first = Paging {
        limit: 1,
        ..Paging::default()
    };
    let list = async |sort: &str, paging: &Paging| {
        let sort = sort.parse().expect("a sort");
        job::list(&reader, &acme, &Filter::default(), sort, paging).await
    };
    let cursor = list("ended_at", &first).await.expect("a page").next;
    let rest = Paging { cursor, ..first };
    let page = list("-ended_at", &rest).await;
    assert!(matches!(page, Err(QueryError::Cursor(_))));
    assert!("payload".parse::<Sort>().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_asked_of_jobs_is_an_error_of_sql() {
    let house = house().await;
    let cases = (".{0,40}", ".{0,40}", any::<i64>(), any::<u128>());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..100 {
        let case = cases.new_tree(&mut runner).expect("a case").current();
        let (one, other, at, number) = case;
        let at = Timestamp::from_microsecond(at).unwrap_or(Timestamp::MIN);
        let characters = if number % 2 == 0 { 99 } else { 5 };
        let one: String = format!("{one}\0").chars().take(characters).collect();
        let filter = Filter {
            queue: Some(one.clone()),
            kind: Some(other.clone()),
            worker: (number % 3 == 0).then(|| one.clone()),
            fairness_key: Some(one.clone()),
            labels: BTreeMap::from([(other, one)]),
            enqueued_from: Some(at),
            ended_to: (number % 5 == 0).then_some(at),
            ..Filter::default()
        };
        let sort = Sort {
            by: By::EndedAt,
            descending: number % 7 == 0,
        };
        let paging = Paging::default();
        let page = job::list(&house.reader(), &tenant("acme"), &filter, sort, &paging).await;
        assert!(page.is_ok(), "{filter:?}: {page:?}");
    }
    let stats = job::queue_statistics(&house.reader(), &tenant("acme"), Timestamp::MAX).await;
    assert!(stats.is_ok(), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_those_that_have_running_jobs() {
    let house = house().await;
    let workers = job::workers(&house.reader(), &tenant("acme")).await;
    let workers = workers.expect("a query");
    assert_eq!(workers.position, house.journal.head_now());
    let told = workers.items.iter().map(|w| (w.name.as_str(), w.running));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("w1", 3), ("w2", 2)]);
    assert_eq!(workers.items[0].oldest_started_at, time("09:10"));
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_say_what_queues_have_and_how_they_fared() {
    let house = house().await;
    let (journal, acme) = (&house.journal, tenant("acme"));
    // What waits for later does not wait yet; one waits and runs longer than all others.
    let mut later = spec();
    later.run_after = Some(time("12:00"));
    journal.enqueue(&acme, id(50), later, "09:35:30");
    journal.enqueue(&acme, id(51), spec(), "09:20");
    journal.start(&acme, id(51), 1, "w1", "09:35");
    let complete = Command::Complete {
        attempt: 1,
        result: None,
    };
    journal.job(&acme, id(51), &complete, "09:35:50");
    let _running = house.run();
    house.caught_up().await;
    let reader = house.reader();
    let now = time("09:35:55");
    let told = job::queue_statistics(&reader, &acme, now).await;
    let told = told.expect("a query").items;
    let names: Vec<_> = told.iter().map(|queue| queue.queue.as_str()).collect();
    assert_eq!(names, ["mail", "print"]);
    let mail = &told[0];
    assert_eq!((mail.waiting, mail.running), (6, 0));
    assert_eq!((mail.completed, mail.dead, mail.cancelled), (6, 0, 5));
    assert_eq!(mail.oldest_waiting_at, Some(time("09:00")));
    let minute = LastMinute {
        enqueued: 1,
        completed: 1,
        failed: 0,
    };
    assert_eq!(mail.last_minute, minute);
    let print = &told[1];
    assert_eq!((print.waiting, print.running, print.dead), (5, 5, 5));
    assert_eq!((print.run_ms, print.completed), (None, 0));

    let told = job::queue_statistics(&reader, &acme, time("10:00")).await;
    let mail = told.expect("a query").items.swap_remove(0);
    assert_eq!(mail.last_minute, LastMinute::default());
    let wait_ms = mail.wait_ms.expect("some were started");
    // From five to ten minutes, and once a quarter of an hour.
    assert!((360_000..=600_000).contains(&wait_ms.p50), "{wait_ms:?}");
    assert_eq!(wait_ms.p99, 900_000);
    let run_ms = mail.run_ms.expect("some were completed");
    assert_eq!(run_ms.p99, 28 * 60_000);

    let late = job::queue_statistics(&reader, &acme, time("23:00")).await;
    let mail = late.expect("a query").items.swap_remove(0);
    assert_eq!((mail.wait_ms, mail.run_ms), (None::<Percentiles>, None));
    assert_eq!(mail.waiting, 6);
}
