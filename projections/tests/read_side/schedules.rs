//! Schedules: facts in, rows out, the same rows through the runner, their queries and their timetable.

use domain::schedule::{Command, FireCause, PauseCause, RunOutcome, Schedule, Status};
use domain::{Aggregate, Tenant};
use projections::schedule::{self, By, Counts, Filter, ScheduleRow, Sort};
use projections::{MomentError, Paging};
use uuid::Uuid;

use crate::folds::rows;
use crate::support::{House, Journal, hourly, id, json, tenant, text, time};

fn acme() -> Tenant {
    tenant("acme")
}

/// The job of schedule 1 for the time `due`.
fn job(due: &str) -> Uuid {
    hourly("").job_id(id(1), time(due), FireCause::Due)
}

fn end(job: Uuid, outcome: RunOutcome) -> Command {
    Command::EndRun {
        job,
        outcome,
        result: None,
    }
}

fn pause() -> Command {
    Command::Pause {
        reason: Some(text("the printer is away")),
    }
}

/// Fires, is paused, resumed, makes up for a missed time, and is changed.
fn life(journal: &Journal) {
    let say = |command: Command, at: &str| journal.schedule(&acme(), id(1), &command, at);
    journal.plan(&acme(), id(1), hourly(""), "09:30");
    say(Command::Fire, "10:00");
    say(end(job("10:00"), RunOutcome::Failed), "10:10");
    say(pause(), "10:20");
    say(Command::Resume, "13:30");
    say(Command::Fire, "13:30");
    say(end(job("13:00"), RunOutcome::Succeeded), "13:40");
    say(Command::Trigger { job: id(77) }, "13:50");
    let mut changed = hourly(r#","overlap":"skip""#);
    changed.job.payload = Some(json("2"));
    say(Command::Change(Box::new(changed)), "13:55");
    say(Command::Fire, "14:00");
}

/// Schedule 1 after so many commits of [`life`].
fn after(commits: usize) -> ScheduleRow {
    let journal = Journal::default();
    life(&journal);
    let rows = rows::<schedule::Model>(&journal.commits()[..commits]).expect("no poison");
    rows[&(acme(), id(1))].clone()
}

#[test]
fn a_new_schedule_is_what_it_was_created_as_and_looks_ahead() {
    let row = after(1);
    assert_eq!(row.standing.status(), Status::Active);
    assert_eq!(row.next_at, Some(time("10:00")));
    assert_eq!(row.payload, hourly("").job.payload);
    assert_eq!(row.spec.job.payload, None);
    assert_eq!(
        (row.created_at, row.changed_at),
        (time("09:30"), time("09:30"))
    );
    assert_eq!((row.counts, row.last_job), (Counts::default(), None));
}

#[test]
fn what_it_fires_runs_until_it_ends() {
    let row = after(2);
    assert_eq!(row.standing.running(), [job("10:00")]);
    assert_eq!(row.next_at, Some(time("11:00")));
    assert_eq!(row.last_fired_at, Some(time("10:00")));
    let row = after(3);
    assert!(row.standing.running().is_empty());
    assert_eq!((row.counts.fired, row.counts.failed), (1, 1));
    assert_eq!(row.standing.failures(), 1);
    let last = row.last_run.expect("a run has ended");
    assert_eq!(
        (last.outcome, last.ended_at),
        (RunOutcome::Failed, time("10:10"))
    );
}

#[test]
fn while_it_is_paused_it_has_no_next_time_and_says_why() {
    let row = after(4);
    assert_eq!((row.standing.status(), row.next_at), (Status::Paused, None));
    let pause = row.pause.expect("it is paused");
    assert_eq!(pause.cause, PauseCause::Asked);
    assert_eq!(pause.reason, Some(text("the printer is away")));
    let row = after(5);
    assert_eq!((row.pause, row.standing.failures()), (None, 0));
    // What it missed meanwhile is what it has to decide on next.
    assert_eq!(row.next_at, Some(time("11:00")));
    let row = after(6);
    assert_eq!((row.counts.skipped, row.counts.fired), (2, 2));
    assert_eq!(row.next_at, Some(time("14:00")));
}

#[test]
fn a_change_counts_from_the_next_time_on() {
    let row = after(10);
    assert_eq!(row.payload, Some(json("2")));
    assert_eq!(row.changed_at, time("13:55"));
    let counts = Counts {
        fired: 3,
        skipped: 3,
        succeeded: 1,
        failed: 1,
        cancelled: 0,
    };
    assert_eq!((row.counts, row.last_job), (counts, Some(id(77))));
    assert_eq!(row.standing.running(), [id(77)]);
    assert_eq!(row.version, 11);
}

#[test]
fn the_next_time_of_a_row_is_the_one_of_the_aggregate() {
    let journal = Journal::default();
    life(&journal);
    let commits = journal.commits();
    let mut aggregate = Schedule::default();
    for (count, commit) in commits.iter().enumerate() {
        for recorded in &commit.payload.events {
            let event = recorded.decode().expect("an event");
            aggregate.evolve(&event, commit.happened_at(recorded));
        }
        let row = after(count + 1);
        assert_eq!(row.next_at, aggregate.next(), "after {}", count + 1);
        assert_eq!(row.standing.running(), aggregate.running());
    }
}

#[test]
fn a_schedule_that_comes_from_nowhere_or_twice_is_poison() {
    let journal = Journal::default();
    life(&journal);
    let commits = journal.commits();
    assert!(rows::<schedule::Model>(&commits[1..]).is_err());
    let twice = [commits[0].clone(), commits[0].clone()];
    assert!(rows::<schedule::Model>(&twice).is_err());
    let gap = [commits[0].clone(), commits[2].clone()];
    assert!(rows::<schedule::Model>(&gap).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_come_twice_change_nothing() {
    let mut house = House::new().await;
    house.journal = house.journal.twice();
    life(&house.journal);
    let _running = house.run();
    house.caught_up().await;
    let found = schedule::get(&house.reader(), &acme(), id(1)).await;
    assert_eq!(found.expect("a query").item, Some(after(10)));
    assert!(house.clean().await);
}

/// Schedules 1 to 9 of `acme`: every third is paused, and every second is of queue `print`.
async fn house() -> House {
    let house = House::new().await;
    for number in 1..=9 {
        let starts = format!(r#","starts_at":"2026-01-05T1{number}:00:00Z""#);
        let mut spec = hourly(&starts);
        spec.name = text(&format!("schedule {}", 10 - number));
        if number % 2 == 0 {
            spec.job.queue = domain::Token::new("print").expect("a token");
        }
        let id = id(number);
        house
            .journal
            .plan(&acme(), id, spec, &format!("09:0{number}"));
        if number % 3 == 0 {
            house.journal.schedule(&acme(), id, &pause(), "09:30");
        }
    }
    house
        .journal
        .plan(&tenant("globex"), id(99), hourly(""), "09:00");
    drop({
        let running = house.run();
        house.caught_up().await;
        running
    });
    house
}

async fn listed(house: &House, filter: Filter, sort: &str) -> Vec<u128> {
    let sort: Sort = sort.parse().expect("a sort");
    let mut paging = Paging {
        limit: 2,
        ..Paging::default()
    };
    let mut all = Vec::new();
    loop {
        let page = schedule::list(&house.reader(), &acme(), &filter, sort, &paging).await;
        let page = page.expect("a page");
        assert!(page.items.iter().all(|row| row.payload.is_none()));
        all.extend(page.items.iter().map(|row| row.id.as_u128()));
        paging.cursor = page.next;
        if paging.cursor.is_none() {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_filtered_sorted_and_paged() {
    let house = house().await;
    let all = Filter::default();
    let ascending = listed(&house, all.clone(), "created_at").await;
    assert_eq!(ascending, (1..=9).collect::<Vec<_>>());
    let by_name = listed(&house, all.clone(), "name").await;
    assert_eq!(by_name, (1..=9).rev().collect::<Vec<_>>());
    // What has no next time comes last, whichever way it is sorted.
    assert_eq!(
        listed(&house, all.clone(), "next_at").await,
        [1, 2, 4, 5, 7, 8, 3, 6, 9]
    );
    assert_eq!(
        listed(&house, all.clone(), "-next_at").await,
        [8, 7, 5, 4, 2, 1, 9, 6, 3]
    );
    let paused = Filter {
        status: vec![Status::Paused],
        queue: Some("print".to_owned()),
        ..all.clone()
    };
    assert_eq!(listed(&house, paused, "created_at").await, [6]);
    let soon = Filter {
        next_from: Some(time("12:00")),
        next_to: Some(time("17:00")),
        ..all.clone()
    };
    assert_eq!(listed(&house, soon, "-next_at").await, [5, 4, 2]);
    let named = Filter {
        name: Some("schedule 9".to_owned()),
        kind: Some("sum".to_owned()),
        ..all.clone()
    };
    assert_eq!(listed(&house, named, "name").await, [1]);
    let labels = [("no".to_owned(), "label".to_owned())].into();
    let labelled = Filter { labels, ..all };
    assert!(listed(&house, labelled, "name").await.is_empty());
    assert_eq!(Sort::default().by, By::CreatedAt);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timetable_has_what_is_due_next_of_all_tenants() {
    let house = house().await;
    let timetable = schedule::timetable(&house.pool).await.expect("it is live");
    assert_eq!(timetable.position, house.journal.head_now());
    let mut due = timetable.schedules;
    due.sort_by_key(|(_, id, _)| *id);
    let active = [1, 2, 4, 5, 7, 8].map(|number| {
        let next = time(&format!("1{number}:00"));
        (acme(), id(number), next)
    });
    let globex = (tenant("globex"), id(99), time("10:00"));
    assert_eq!(due, active.into_iter().chain([globex]).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_model_there_is_no_timetable() {
    let house = House::new().await;
    let timetable = schedule::timetable(&house.pool).await;
    assert!(matches!(timetable, Err(MomentError::NotLive("schedule"))));
}
