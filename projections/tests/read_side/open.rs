//! What a dispatcher begins with: what waits and what runs, and nothing else.

use domain::Entry;
use domain::job::{Command, Priority, Status};
use domain::queue;
use projections::MomentError;
use projections::job;

use crate::support::{House, id, json, name, retry, spec, tenant, text, time, until};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_waits_or_runs_is_loaded_and_nothing_else() {
    let house = House::new().await;
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let journal = &house.journal;
    let mut wanting = spec();
    wanting.payload = Some(json(r#"{"to":"ann"}"#));
    wanting.priority = Priority::Low;
    wanting.capabilities = vec![name("stamps")].try_into().expect("one capability");
    wanting.fairness_key = Some(name("bulk"));
    wanting.deadline = Some(time("18:00"));
    wanting.retry = retry(3, 60_000);
    let mut later = spec();
    later.run_after = Some(time("12:00"));
    journal.enqueue(&globex, id(1), wanting.clone(), "09:00");
    journal.enqueue(&acme, id(2), later, "09:00");
    for number in 3..=8 {
        journal.enqueue(&acme, id(number), spec(), "09:01");
    }
    let cancel = Command::Cancel { reason: None };
    journal.job(&acme, id(3), &cancel, "09:10");
    for number in 4..=7 {
        journal.start(&acme, id(number), 1, "w1", "09:10");
    }
    let complete = Command::Complete {
        attempt: 1,
        result: None,
    };
    journal.job(&acme, id(4), &complete, "09:11");
    for (number, retryable) in [(5, false), (6, true)] {
        let fail = Command::Fail {
            attempt: 1,
            error: text("no such mailbox"),
            retryable,
        };
        journal.job(&acme, id(number), &fail, "09:11");
    }
    let pause = queue::Command::Pause { reason: None };
    journal.queue(&acme, "mail", &pause, "09:12");
    let _running = house.run();
    house.caught_up().await;

    let open = job::open(&house.pool).await.expect("both models are live");
    assert_eq!(open.position, journal.head_now());
    let jobs: Vec<_> = open.jobs.iter().map(|open| open.id).collect();
    assert_eq!(jobs, [id(1), id(8), id(7), id(6), id(2)]);
    wanting.payload = None;
    let first = &open.jobs[0];
    assert_eq!((&first.tenant, &first.spec), (&globex, &wanting));
    assert_eq!((first.attempt, first.running_since), (0, None));
    let running = &open.jobs[2];
    assert_eq!((running.attempt, running.ready_at), (1, None));
    assert_eq!(running.running_since, Some(time("09:10")));
    let retried = &open.jobs[3];
    assert_eq!((retried.attempt, retried.running_since), (1, None));
    assert!(retried.ready_at > Some(time("09:11")));
    assert_eq!(open.jobs[4].ready_at, Some(time("12:00")));
    let queues = open.queues.iter().map(|q| (q.name.as_str(), q.is_paused));
    let queues: Vec<_> = queues.collect();
    assert_eq!(queues, [("mail", true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_put_back_is_open_without_its_deadline() {
    let house = House::new().await;
    let acme = tenant("acme");
    let mut spec = spec();
    spec.deadline = Some(time("10:00"));
    house.journal.enqueue(&acme, id(1), spec, "09:00");
    house.journal.job(&acme, id(1), &Command::Overdue, "10:00");
    let _running = house.run();
    house.caught_up().await;
    let open = job::open(&house.pool).await.expect("live");
    assert!(open.jobs.is_empty(), "{open:?}");
    house.journal.job(&acme, id(1), &Command::Requeue, "10:01");
    house.caught_up().await;
    let open = job::open(&house.pool).await.expect("live");
    assert_eq!(open.jobs[0].spec.deadline, None);
    let row = job::get(&house.reader(), &acme, id(1)).await;
    let row = row.expect("a query").item.expect("a row");
    assert_eq!(row.status, Status::Waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_live_is_said_to_be_so() {
    let house = House::new().await;
    let open = job::open(&house.pool).await;
    assert!(matches!(open, Err(MomentError::NotLive("job"))), "{open:?}");
    let running = house.run();
    house
        .journal
        .enqueue(&tenant("acme"), id(1), spec(), "09:00");
    house.caught_up().await;
    job::open(&house.pool).await.expect("live");
    house.journal.push(|position| {
        let payload = r#"{"commit":"00000000-0000-0000-0000-0000000000ff","at":"2026-01-05T10:00:00Z",
            "actor":{"principal":"eve"},"request":"00000000000000000000000000000000","version":0,
            "events":[{"type":"exploded","data":{},"v":1}]}"#;
        let stream = "acme.queue.mail".parse().expect("three tokens");
        let chain = domain::Chain::default();
        let commit = domain::Commit::decode(position, stream, chain, None, payload.as_bytes());
        Entry::Commit(commit.expect("a commit").into())
    });
    house.caught_up().await;
    let open = job::open(&house.pool).await;
    assert!(
        matches!(open, Err(MomentError::NotLive("queue"))),
        "{open:?}"
    );
    drop(running);
    let older = "update projection set version = version + 1 where name = 'job'";
    sqlx::raw_sql(older)
        .execute(&house.pool)
        .await
        .expect("another version");
    let open = job::open(&house.pool).await;
    assert!(matches!(open, Err(MomentError::NotLive("job"))), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_jobs_are_whole_while_their_table_is_swapped_again_and_again() {
    let house = House::new().await;
    for number in 0..200 {
        house
            .journal
            .enqueue(&tenant("acme"), id(number), spec(), "09:00");
    }
    let _running = house.run();
    house.caught_up().await;
    for _ in 0..5 {
        let asked = projections::request_rebuild(&house.pool, "job").await;
        assert!(asked.expect("asked"));
        until("it is rebuilt", async || {
            let open = job::open(&house.pool).await.expect("it stays live");
            assert_eq!(open.jobs.len(), 200);
            let sql = "select not rebuild_requested from projection where name = 'job'";
            sqlx::query_scalar(sql)
                .fetch_one(&house.pool)
                .await
                .expect("a row")
        })
        .await;
    }
}
