//! Queries: filters, cursors and pages take anything, and give what fits.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use domain::Timestamp;
use domain::assignment::{Command, Status};
use projections::assignment::{self, Assignee, By, Filter, Sort};
use projections::{Cursor, Paging, QueryError, Reader, assignment_event, command, workload};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::support::{House, id, name, request, tenant, text};

/// Thirty assignments with few different values, so that ties are common.
async fn house() -> House {
    let house = House::new().await;
    let acme = tenant("acme");
    for number in 0..30_u8 {
        let mut request = request();
        request.title = text(["Pump", "50% off_", "pump again"][usize::from(number % 3)]);
        request.priority = (number % 5 + 1).try_into().expect("1 to 5");
        request.group = name(["plant", "office"][usize::from(number % 2)]);
        let labels = BTreeMap::from([(
            name("site"),
            text(["north", "south"][usize::from(number % 2)]),
        )]);
        request.labels = labels.try_into().expect("one label");
        let command = Command::Request(Box::new(request));
        let at = format!("09:0{}", number % 4);
        house
            .journal
            .decide(&acme, id(number.into()), &command, &at);
        if number % 4 == 0 {
            let assign = Command::Assign {
                assignee: name("ann"),
                group: None,
            };
            house
                .journal
                .decide(&acme, id(number.into()), &assign, "10:00");
        }
    }
    drop({
        let running = house.run();
        house.caught_up().await;
        running
    });
    house
}

async fn count(house: &House, filter: Filter) -> u64 {
    let paging = Paging {
        limit: 500,
        cursor: None,
        count: true,
    };
    let (reader, acme) = (house.reader(), tenant("acme"));
    let page = assignment::list(&reader, &acme, &filter, Sort::default(), &paging);
    let page = page.await.expect("a page");
    assert_eq!(page.total, Some(page.items.len() as u64));
    page.items.len() as u64
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table with one entry a filter")]
async fn every_filter_gives_what_fits() {
    let house = house().await;
    let labels = |site: &str| BTreeMap::from([("site".to_owned(), site.to_owned())]);
    let time = |text: &str| Some(text.parse::<Timestamp>().expect("a time"));
    let expected = [
        (Filter::default(), 30),
        (
            Filter {
                id: Some(id(7)),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                title: Some("PUMP".into()),
                ..Filter::default()
            },
            20,
        ),
        (
            Filter {
                title: Some("0% off_".into()),
                ..Filter::default()
            },
            10,
        ),
        (
            Filter {
                title: Some("%".into()),
                ..Filter::default()
            },
            10,
        ),
        (
            Filter {
                kind: Some("repair".into()),
                ..Filter::default()
            },
            30,
        ),
        (
            Filter {
                group: Some("office".into()),
                ..Filter::default()
            },
            15,
        ),
        (
            Filter {
                requester: Some("rita".into()),
                ..Filter::default()
            },
            30,
        ),
        (
            Filter {
                status: vec![Status::Assigned, Status::Closed],
                ..Filter::default()
            },
            8,
        ),
        (
            Filter {
                assignee: Some(Assignee::Nobody),
                ..Filter::default()
            },
            22,
        ),
        (
            Filter {
                assignee: Some(Assignee::Somebody("ann".into())),
                ..Filter::default()
            },
            8,
        ),
        (
            Filter {
                priority: Some((2, 3)),
                ..Filter::default()
            },
            12,
        ),
        (
            Filter {
                labels: labels("north"),
                ..Filter::default()
            },
            15,
        ),
        (
            Filter {
                labels: labels("nor"),
                ..Filter::default()
            },
            0,
        ),
        (
            Filter {
                external_ref: Some("x".into()),
                ..Filter::default()
            },
            0,
        ),
        (
            Filter {
                effort_min: Some(1),
                ..Filter::default()
            },
            0,
        ),
        (
            Filter {
                window_from: time("2026-01-01T00:00:00Z"),
                ..Filter::default()
            },
            0,
        ),
        (
            Filter {
                requested_from: time("2026-01-05T09:02:00Z"),
                ..Filter::default()
            },
            14,
        ),
        (
            Filter {
                requested_to: time("2026-01-05T09:02:00Z"),
                ..Filter::default()
            },
            16,
        ),
        (
            Filter {
                updated_from: time("2026-01-05T10:00:00Z"),
                ..Filter::default()
            },
            8,
        ),
    ];
    for (filter, fits) in expected {
        assert_eq!(count(&house, filter.clone()).await, fits, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_order_give_every_row_once_and_in_order() {
    let house = house().await;
    let reader = house.reader();
    for by in [
        By::RequestedAt,
        By::UpdatedAt,
        By::Priority,
        By::Status,
        By::Title,
        By::Position,
    ] {
        for descending in [false, true] {
            let sort = Sort { by, descending };
            let list = async |paging: Paging| {
                assignment::list(&reader, &tenant("acme"), &Filter::default(), sort, &paging).await
            };
            let whole = list(Paging {
                limit: 500,
                ..Paging::default()
            })
            .await
            .expect("a page");
            let mut paged = Vec::new();
            let mut cursor = None;
            loop {
                let page = list(Paging {
                    limit: 7,
                    cursor,
                    count: false,
                })
                .await
                .expect("a page");
                paged.extend(page.items);
                let Some(next) = page.next else { break };
                cursor = Some(Cursor::decode(&next.encode()).expect("our own cursor"));
            }
            assert_eq!(paged, whole.items, "{sort:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_order_is_refused() {
    let house = house().await;
    let reader = house.reader();
    let acme = tenant("acme");
    let first = Paging {
        limit: 1,
        ..Paging::default()
    };
    let page = assignment::list(&reader, &acme, &Filter::default(), Sort::default(), &first).await;
    let cursor = page.expect("a page").next;
    let paging = Paging {
        limit: 1,
        cursor,
        count: false,
    };
    let other = Sort {
        by: By::Title,
        descending: false,
    };
    let page = assignment::list(&reader, &acme, &Filter::default(), other, &paging).await;
    assert!(matches!(page, Err(QueryError::Cursor(_))));
    let page = assignment_event::history(&reader, &acme, id(1), &paging).await;
    assert!(matches!(page, Err(QueryError::Cursor(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn history_workload_and_receipts_can_be_read() {
    let house = house().await;
    let reader = house.reader();
    let acme = tenant("acme");
    let one = Paging {
        limit: 1,
        ..Paging::default()
    };
    let page = assignment_event::history(&reader, &acme, id(4), &one)
        .await
        .expect("a page");
    assert_eq!(&*page.items[0].name, "requested");
    let rest = Paging {
        cursor: page.next,
        ..one
    };
    let page = assignment_event::history(&reader, &acme, id(4), &rest)
        .await
        .expect("a page");
    assert_eq!((&*page.items[0].name, page.next), ("assigned", None));

    let sort = workload::Sort {
        by: workload::By::Open,
        descending: true,
    };
    let filter = workload::Filter::default();
    let one = Paging {
        limit: 1,
        cursor: None,
        count: true,
    };
    let page = workload::list(&reader, &acme, &filter, sort, &one)
        .await
        .expect("a page");
    assert_eq!((page.total, page.items[0].open()), (Some(3), 15));
    let rest = Paging {
        limit: 9,
        cursor: page.next,
        count: false,
    };
    let page = workload::list(&reader, &acme, &filter, sort, &rest)
        .await
        .expect("a page");
    let left: Vec<_> = page.items.iter().map(|row| row.open()).collect();
    assert_eq!(left, [15, 8]);

    let known = domain::CommandId(id(1_000_001));
    let unknown = domain::CommandId(id(5));
    let asked = [
        (acme.clone(), known),
        (acme, unknown),
        (tenant("globex"), known),
    ];
    let found = command::find_many(&house.pool, &asked)
        .await
        .expect("found");
    assert_eq!(
        found.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        [known]
    );
    assert_eq!(found.position, house.journal.head_now());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_number_or_time_is_an_error_of_sql() {
    let house = house().await;
    let cases = (
        ".{0,40}",
        ".{0,40}",
        any::<(u8, u8)>(),
        any::<Option<u32>>(),
        any::<i64>(),
        any::<u128>(),
    );
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..150 {
        let case = cases.new_tree(&mut runner).expect("a case").current();
        let (one, other, priority, effort, time, number) = case;
        let time = Timestamp::from_microsecond(time).unwrap_or(Timestamp::MIN);
        let characters = if number % 2 == 0 { 99 } else { 5 };
        let one: String = format!("{one}\0").chars().take(characters).collect();
        let filter = Filter {
            title: Some(one.clone()),
            kind: Some(other.clone()),
            group: Some(one.clone()),
            assignee: Some(Assignee::Somebody(one.clone())),
            priority: Some(priority),
            labels: BTreeMap::from([(other, one)]),
            effort_max: effort,
            requested_from: Some(time),
            window_to: Some(time),
            ..Filter::default()
        };
        let paging = Paging {
            limit: 1,
            cursor: None,
            count: true,
        };
        let sort = Sort::default();
        let page = assignment::list(&house.reader(), &tenant("acme"), &filter, sort, &paging).await;
        assert!(page.is_ok(), "{filter:?}: {page:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_ends() {
    let house = house().await;
    let mut lock = house.pool.begin().await.expect("begin");
    sqlx::raw_sql("lock table assignment")
        .execute(&mut *lock)
        .await
        .expect("locked");
    let reader = house.reader().with_statement_ms_max(100);
    let found = assignment::get(&reader, &tenant("acme"), id(1)).await;
    assert!(matches!(found, Err(QueryError::TooSlow(_))), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_found_no_table_or_no_lock_leaves_its_connection_to_others() {
    let house = house().await;
    let reader = Reader::new(one_connection(&house).await).with_statement_ms_max(100);
    let ask = async || assignment::get(&reader, &tenant("acme"), id(1)).await;
    let mut lock = house.pool.begin().await.expect("begin");
    let locked = sqlx::raw_sql("lock table assignment");
    locked.execute(&mut *lock).await.expect("locked");
    assert!(matches!(ask().await, Err(QueryError::TooSlow(_))));
    lock.rollback().await.expect("unlocked");
    assert!(ask().await.is_ok());
    let rename = async |from: &str, to: &str| {
        let sql = format!("alter table {from} rename to {to}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&house.pool)
            .await
            .expect("renamed")
    };
    rename("assignment", "away").await;
    assert!(matches!(ask().await, Err(QueryError::Unavailable(_))));
    rename("away", "assignment").await;
    let found = ask().await;
    assert!(found.is_ok(), "{found:?}");
}

#[tokio::test]
async fn a_query_that_is_given_up_leaves_its_connection_to_others() {
    let house = house().await;
    let one = one_connection(&house).await;
    let reader = Reader::new(one.clone());
    // Where it waits when it is given up is up to the scheduler, so it is often.
    for waits in (0..100).map(|round| round % 10) {
        give_up(waits, assignment::get(&reader, &tenant("acme"), id(1))).await;
        // In a transaction that somebody left open, time stands still.
        let left_open = sqlx::raw_sql("select transaction_timestamp() <> statement_timestamp()")
            .fetch_one(&one)
            .await
            .expect("the connection answers");
        assert!(!left_open.get::<bool, _>(0), "given up after {waits} waits");
    }
}

/// Polls `query` until it has waited so many times or ends, and gives it up then.
async fn give_up(waits: usize, query: impl Future) {
    let mut query = pin!(query);
    let mut left = waits;
    poll_fn(|context| match query.as_mut().poll(context) {
        Poll::Pending if left > 0 => {
            left -= 1;
            Poll::Pending
        }
        _ => Poll::Ready(()),
    })
    .await;
}

/// A pool that has no other connection to give than the one that was used before.
async fn one_connection(house: &House) -> PgPool {
    let options = house.pool.connect_options();
    let one = PgPoolOptions::new().max_connections(1);
    let one = one.connect_with(PgConnectOptions::clone(&options)).await;
    one.expect("it connects")
}
