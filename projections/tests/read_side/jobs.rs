//! Jobs and queues: facts in, rows out, and the same rows through the runner.

use std::sync::Arc;

use domain::job::{Command, Death, Expiry, Priority, Progress, Status};
use domain::queue::{self, Limits};
use domain::{Commit, Name, Position, Tenant, Token};
use projections::job::JobRow;
use projections::{Model, job, queue as queues};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::folds::rows;
use crate::support::{House, Journal, id, json, name, retry, spec, tenant, text, time, until};

fn acme() -> Tenant {
    tenant("acme")
}

fn progress(attempt: u32, percent: u64) -> Command {
    let progress = Progress {
        percent: Some(percent.try_into().expect("a percentage")),
        message: Some(text("licking stamps")),
    };
    Command::Progress { attempt, progress }
}

fn fail(attempt: u32) -> Command {
    Command::Fail {
        attempt,
        error: text("no such mailbox"),
        retryable: true,
    }
}

fn expire(attempt: u32, cause: Expiry) -> Command {
    Command::Expire { attempt, cause }
}

/// A job of two failures at most: fails, is given back, times out and is dead, is put back, and done.
fn life(journal: &Journal) {
    let job = id(1);
    let mut spec = spec();
    spec.payload = Some(json(r#"{ "to":"ann" }"#));
    spec.run_after = Some(time("09:01"));
    spec.deadline = Some(time("18:00"));
    spec.priority = Priority::High;
    spec.retry = retry(2, 60_000);
    journal.enqueue(&acme(), job, spec, "09:00");
    journal.start(&acme(), job, 1, "w1", "09:02");
    journal.job(&acme(), job, &progress(1, 50), "09:03");
    journal.job(&acme(), job, &fail(1), "09:04");
    journal.start(&acme(), job, 2, "w2", "09:05");
    journal.job(&acme(), job, &Command::Release { attempt: 2 }, "09:06");
    journal.start(&acme(), job, 3, "w1", "09:07");
    journal.job(&acme(), job, &expire(3, Expiry::Lease), "09:08");
    journal.job(&acme(), job, &Command::Requeue, "09:10");
    journal.start(&acme(), job, 4, "w3", "09:11");
    let result = Some(json(r#"{"sent":true}"#));
    let complete = Command::Complete { attempt: 4, result };
    journal.job(&acme(), job, &complete, "09:12");
}

/// One that is cancelled while it waits, one while it runs, one when it is dead; and two that pass
/// their deadline, one of which is put back.
fn ends(journal: &Journal) {
    let cancel = || Command::Cancel {
        reason: Some(text("not needed")),
    };
    let cancelled = |number, at| journal.job(&acme(), id(number), &cancel(), at);
    for number in 2..=6 {
        let mut spec = spec();
        spec.deadline = (number > 4).then(|| time("10:00"));
        journal.enqueue(&acme(), id(number), spec, "09:00");
    }
    cancelled(2, "09:30");
    journal.start(&acme(), id(3), 1, "w1", "09:30");
    cancelled(3, "09:31");
    journal.start(&acme(), id(4), 1, "w1", "09:30");
    let fail = Command::Fail {
        attempt: 1,
        error: text("never"),
        retryable: false,
    };
    journal.job(&acme(), id(4), &fail, "09:31");
    cancelled(4, "09:32");
    journal.job(&acme(), id(5), &Command::Overdue, "10:00");
    journal.start(&acme(), id(6), 1, "w1", "09:59");
    journal.job(&acme(), id(6), &expire(1, Expiry::Deadline), "10:00");
    journal.job(&acme(), id(6), &Command::Requeue, "10:01");
}

fn of(commits: &[Commit], number: u128) -> JobRow {
    let rows = rows::<job::Model>(commits).expect("no poison");
    rows[&(acme(), id(number))].clone()
}

/// The row after so many commits of [`life`].
fn after(commits: usize) -> JobRow {
    let journal = Journal::default();
    life(&journal);
    of(&journal.commits()[..commits], 1)
}

#[test]
fn a_waiting_job_is_what_it_was_enqueued_as() {
    let row = after(1);
    assert_eq!(
        (row.status, row.attempt, row.failures),
        (Status::Waiting, 0, 0)
    );
    assert_eq!(
        (row.priority, row.retry),
        (Priority::High, retry(2, 60_000))
    );
    assert_eq!(row.enqueued_at, time("09:00"));
    assert_eq!(row.ready_at, Some(time("09:01")));
    assert_eq!(row.payload, Some(json(r#"{ "to":"ann" }"#)));
    assert_eq!((row.principal, row.version), (name("rita"), 1));
}

#[test]
fn a_running_job_has_a_worker_and_its_progress() {
    let row = after(3);
    assert_eq!((row.status, row.attempt), (Status::Running, 1));
    assert_eq!(row.worker, Some(name("w1")));
    assert_eq!((row.started_at, row.ready_at), (Some(time("09:02")), None));
    assert_eq!(row.wait_ms, Some(60_000), "from `run_after`");
    assert_eq!(row.progress.percent.map(u64::from), Some(50));
    assert_eq!(row.progress.message, Some(text("licking stamps")));
}

#[test]
fn a_job_that_failed_waits_for_its_next_attempt() {
    let row = after(4);
    assert_eq!((row.status, row.failures), (Status::Waiting, 1));
    assert_eq!(row.ready_at, Some(time("09:05")), "a minute later");
    assert_eq!((row.worker, row.progress), (None, Progress::default()));
    assert_eq!(row.error, Some(text("no such mailbox")));
}

#[test]
fn a_job_that_was_given_back_has_not_failed() {
    let row = after(6);
    assert_eq!((row.status, row.attempt), (Status::Waiting, 2));
    assert_eq!((row.failures, row.ready_at, row.worker), (1, None, None));
    assert_eq!(after(7).wait_ms, Some(60_000), "that of the first start");
}

#[test]
fn a_dead_job_says_why_until_it_is_put_back() {
    let row = after(8);
    assert_eq!((row.status, row.failures), (Status::Dead, 2));
    assert_eq!(row.death, Some(Death::AttemptsUsedUp));
    assert_eq!(row.error, Some(text("timed out: lease")));
    assert_eq!((row.ended_at, row.worker), (Some(time("09:08")), None));
    let row = after(9);
    assert_eq!((row.status, row.failures), (Status::Waiting, 0));
    assert_eq!((row.death, row.ended_at, row.deadline), (None, None, None));
}

#[test]
fn a_completed_job_has_its_result() {
    let row = after(11);
    assert_eq!((row.status, row.attempt), (Status::Completed, 4));
    assert_eq!(row.result, Some(json(r#"{"sent":true}"#)));
    assert_eq!((row.ended_at, row.worker), (Some(time("09:12")), None));
    // 11 commits, two of which had two events.
    assert_eq!((row.version, row.position), (13, Position(11)));
}

#[test]
fn a_job_ends_cancelled_or_overdue_from_wherever_it_was() {
    let journal = Journal::default();
    ends(&journal);
    let commits = journal.commits();
    let of = |number| of(&commits, number);
    for (number, at) in [(2, "09:30"), (3, "09:31"), (4, "09:32")] {
        let row = of(number);
        assert_eq!((row.status, row.death), (Status::Cancelled, None));
        assert_eq!((row.ended_at, row.worker), (Some(time(at)), None));
    }
    let row = of(5);
    assert_eq!(
        (row.status, row.death),
        (Status::Dead, Some(Death::Deadline))
    );
    assert_eq!((row.wait_ms, row.started_at), (None, None));
    let row = of(6);
    assert_eq!((row.status, row.deadline), (Status::Waiting, None));
    assert_eq!(row.error, Some(text("timed out: deadline")));
}

#[test]
fn an_event_that_does_not_follow_is_poison() {
    let journal = Journal::default();
    life(&journal);
    let mut commits = journal.commits();
    commits.remove(3);
    assert!(rows::<job::Model>(&commits).is_err());
    assert!(rows::<job::Model>(&commits[1..]).is_err());
    let twice = [commits[0].clone(), commits[0].clone()];
    assert!(rows::<job::Model>(&twice).is_err());
}

fn limits(running_max: u64) -> Limits {
    Limits {
        running_max: Some(running_max.try_into().expect("a count")),
        ..Limits::default()
    }
}

#[test]
fn a_queue_is_what_was_last_said_of_it() {
    let journal = Journal::default();
    let say = |command, at| journal.queue(&acme(), "mail", &command, at);
    let paused = |at| {
        let reason = Some(text("the printer burns"));
        say(queue::Command::Pause { reason }, at)
    };
    paused("09:00");
    say(queue::Command::Configure(limits(3)), "09:01");
    let key = (acme(), Token::new("mail").expect("a token"));
    let row = || rows::<queues::Model>(&journal.commits()).expect("no poison")[&key].clone();
    assert!(row().is_paused);
    assert_eq!(row().reason, Some(text("the printer burns")));
    assert_eq!(row().limits, limits(3));
    say(queue::Command::Resume, "09:02");
    assert_eq!((row().is_paused, row().reason), (false, None));
    assert_eq!((row().version, row().changed_at), (3, time("09:02")));
    assert!(rows::<queues::Model>(&journal.commits()[1..]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_jobs_delivered_twice_change_nothing() {
    let house = House::new().await;
    let journal = house.journal.twice();
    let projector = projections::Projector::new(house.pool.clone(), Arc::new(journal));
    let _running = AbortOnDropHandle::new(tokio::spawn(projector.run(CancellationToken::new())));
    life(&house.journal);
    ends(&house.journal);
    let configure = queue::Command::Configure(limits(3));
    house.journal.queue(&acme(), "mail", &configure, "11:00");
    let position = house.caught_up().await;
    assert!(house.clean().await);
    assert_eq!(
        (house.count("job").await, house.count("queue").await),
        (6, 1)
    );
    let found = job::get(&house.reader(), &acme(), id(1)).await;
    let found = found.expect("a query");
    assert!(found.position >= position);
    assert_eq!(found.item, Some(after(11)));
    let other = job::get(&house.reader(), &tenant("globex"), id(1)).await;
    assert_eq!(other.expect("a query").item, None);
    let listed = queues::list(&house.reader(), &acme()).await;
    let listed = listed.expect("a query");
    assert_eq!(listed.items[0].limits, limits(3));
    assert_eq!(listed.position, house.journal.head_now());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_stays_however_often_its_row_is_folded_from_the_table() {
    let house = House::new().await;
    let journal = Journal::default();
    life(&journal);
    for commit in journal.commits() {
        house.journal.push(|_| domain::Entry::Commit(commit.into()));
        // Each in a term of its own, so that the row is read back each time.
        let running = house.run();
        house.caught_up().await;
        drop(running);
    }
    assert!(house.clean().await);
    let found = job::get(&house.reader(), &acme(), id(1)).await;
    assert_eq!(found.expect("a query").item, Some(after(11)));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_rebuilt_are_the_same() {
    let house = House::new().await;
    life(&house.journal);
    let _running = house.run();
    ends(&house.journal);
    house.caught_up().await;
    let asked = projections::request_rebuild(&house.pool, "job").await;
    assert!(asked.expect("asked"));
    until("it is rebuilt", async || {
        let sql = "select rebuild_requested from projection where name = 'job'";
        let asked: bool = sqlx::query_scalar(sql)
            .fetch_one(&house.pool)
            .await
            .expect("a row");
        !asked
    })
    .await;
    house.all_live().await;
    assert!(house.clean().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_as_deep_as_it_may_be_stops_nobody() {
    let house = House::new().await;
    let depth = domain::Json::DEPTH_MAX;
    let mut spec = spec();
    spec.payload = Some(json(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))));
    let payload = spec.payload.clone();
    house.journal.enqueue(&acme(), id(1), spec, "09:00");
    let _running = house.run_models(vec![Model::of::<job::Model>()]);
    house.all_live().await;
    let found = job::get(&house.reader(), &acme(), id(1)).await;
    let row = found.expect("a query").item.expect("a row");
    assert_eq!(row.payload, payload);
    assert_eq!(row.worker.as_ref().map(Name::as_str), None);
}
