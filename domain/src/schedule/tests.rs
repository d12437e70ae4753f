//! The rules of a schedule, each as a claim.

use super::*;
use crate::spec::{Given, given, time};

fn spec(recurrence: &str, more: &str) -> Box<Spec> {
    let text = format!(
        r#"{{"name":"nightly","job":{{"queue":"report","kind":"sum"}},"recurrence":{recurrence}{more}}}"#
    );
    serde_json::from_str(&text).expect("a spec")
}

fn hourly(more: &str) -> Box<Spec> {
    spec(r#"{"type":"cron","line":"0 * * * *"}"#, more)
}

const ID: Uuid = Uuid::from_u128(7);

/// Created at 09:00; the next decision is made at 10:00.
fn schedule(more: &str) -> Given<Schedule> {
    let spec = hourly(more);
    given([Event::Created { id: ID, spec }])
}

fn fired(more: &str, due: &str, cause: FireCause) -> Event {
    let spec = hourly(more);
    let due = time(due);
    Event::Fired {
        due,
        job: spec.job_id(ID, due, cause),
        cause,
        run_after: due,
    }
}

fn job_of(event: &Event) -> Uuid {
    match event {
        Event::Fired { job, .. } => *job,
        other => panic!("{other:?} fires nothing"),
    }
}

fn skipped(due: &str, count: u32, cause: SkipCause) -> Event {
    let due = time(due);
    Event::Skipped { due, count, cause }
}

#[test]
fn what_is_due_is_fired_once() {
    let one = || fired("", "10:00", FireCause::Due);
    schedule("").when(Command::Fire).then([one()]);
    schedule("")
        .happened("10:00", one())
        .when(Command::Fire)
        .then_refused(Refusal::NotDue);
}

#[test]
fn one_time_has_one_job_whether_it_is_fired_in_time_late_or_after_it_waited() {
    let spec = hourly("");
    let id = |cause| spec.job_id(ID, time("10:00"), cause);
    assert_eq!(id(FireCause::Due), id(FireCause::CaughtUp));
    assert_eq!(id(FireCause::Due), id(FireCause::Queued));
    assert_ne!(id(FireCause::Due), id(FireCause::Backfilled));
    assert_ne!(
        id(FireCause::Due),
        spec.job_id(Uuid::nil(), time("10:00"), FireCause::Due)
    );
}

/// Created at 06:30 of the day, with nobody deciding until 10:00.
fn missed(more: &str) -> Given<Schedule> {
    given::<Schedule>([]).happened(
        "06:30",
        Event::Created {
            id: ID,
            spec: hourly(more),
        },
    )
}

#[test]
fn what_was_missed_is_caught_up_with_as_the_policy_says() {
    let none = r#","catch_up":{"type":"none"}"#;
    missed(none).when(Command::Fire).then([
        skipped("09:00", 3, SkipCause::Missed),
        fired(none, "10:00", FireCause::Due),
    ]);
    missed("").when(Command::Fire).then([
        skipped("08:00", 2, SkipCause::Missed),
        fired("", "09:00", FireCause::CaughtUp),
        fired("", "10:00", FireCause::Due),
    ]);
    let all = r#","catch_up":{"type":"all","at_most":2}"#;
    missed(all).when(Command::Fire).then([
        skipped("07:00", 1, SkipCause::Missed),
        fired(all, "08:00", FireCause::CaughtUp),
        fired(all, "09:00", FireCause::CaughtUp),
        fired(all, "10:00", FireCause::Due),
    ]);
}

#[test]
fn a_time_that_overlaps_is_allowed_skipped_queued_or_takes_the_place_of_what_runs() {
    let before = |more: &str| {
        let earlier = fired(more, "09:00", FireCause::Triggered);
        let job = job_of(&earlier);
        (schedule(more).happened("09:30", earlier), job)
    };
    let (allowed, _) = before("");
    allowed
        .when(Command::Fire)
        .then([fired("", "10:00", FireCause::Due)]);
    let skip = r#","overlap":"skip""#;
    before(skip)
        .0
        .when(Command::Fire)
        .then([skipped("10:00", 1, SkipCause::Overlap)]);
    let queue = r#","overlap":"queue""#;
    let due = time("10:00");
    before(queue)
        .0
        .when(Command::Fire)
        .then([Event::Queued { due }]);
    let cancel = r#","overlap":"cancel_running""#;
    let (cancelled, job) = before(cancel);
    cancelled.when(Command::Fire).then([
        Event::Superseded { job },
        fired(cancel, "10:00", FireCause::Due),
    ]);
}

#[test]
fn what_waited_is_fired_when_the_last_run_has_ended() {
    let queue = r#","overlap":"queue""#;
    let earlier = fired(queue, "09:00", FireCause::Triggered);
    let job = job_of(&earlier);
    let outcome = RunOutcome::Succeeded;
    let due = time("09:30");
    schedule(queue)
        .happened("09:00", earlier)
        .happened("09:30", Event::Queued { due })
        .when(Command::EndRun {
            job,
            outcome,
            result: None,
        })
        .then([
            Event::RunEnded {
                job,
                outcome,
                changes: None,
            },
            Event::Fired {
                due,
                job: hourly(queue).job_id(ID, due, FireCause::Queued),
                cause: FireCause::Queued,
                run_after: due,
            },
        ]);
}

#[test]
fn failures_in_a_row_pause_it_and_a_success_or_a_resumption_begins_anew() {
    let two = r#","failures_max":2"#;
    let runs = ["07:00", "08:00", "09:00"].map(|due| fired(two, due, FireCause::Triggered));
    let jobs: Vec<Uuid> = runs.iter().map(job_of).collect();
    let ended = |job, outcome| Event::RunEnded {
        job,
        outcome,
        changes: None,
    };
    let begun = || {
        let [one, two_, three] = runs.clone();
        schedule(two)
            .happened("09:00", one)
            .happened("09:00", two_)
            .happened("09:00", three)
            .happened("09:10", ended(jobs[0], RunOutcome::Failed))
    };
    let end = |job, outcome| Command::EndRun {
        job,
        outcome,
        result: None,
    };
    begun().when(end(jobs[1], RunOutcome::Failed)).then([
        ended(jobs[1], RunOutcome::Failed),
        Event::Paused {
            cause: PauseCause::Failures,
            reason: None,
        },
    ]);
    begun()
        .happened("09:20", ended(jobs[1], RunOutcome::Succeeded))
        .when(end(jobs[2], RunOutcome::Failed))
        .then([ended(jobs[2], RunOutcome::Failed)]);
    begun()
        .when(end(jobs[1], RunOutcome::Cancelled))
        .then([ended(jobs[1], RunOutcome::Cancelled)]);
    begun()
        .when(end(Uuid::nil(), RunOutcome::Failed))
        .then_nothing();
}

#[test]
fn a_paused_schedule_decides_on_nothing_and_a_deleted_one_takes_nothing_more() {
    let paused = || Event::Paused {
        cause: PauseCause::Asked,
        reason: None,
    };
    schedule("")
        .happened("09:30", paused())
        .when(Command::Fire)
        .then_refused(Refusal::NotDue);
    schedule("")
        .happened("09:30", paused())
        .when(Command::Resume)
        .then([Event::Resumed]);
    let deleted = || schedule("").happened("09:30", Event::Deleted);
    deleted()
        .when(Command::Resume)
        .then_refused(Refusal::Deleted);
    deleted().when(Command::Delete).then_nothing();
    given::<Schedule>([])
        .when(Command::Fire)
        .then_refused(Refusal::Unknown);
}

#[test]
fn a_backfill_has_a_job_for_each_time_of_its_range() {
    let range = |from, to| Command::Backfill {
        from: time(from),
        to: time(to),
    };
    schedule("").when(range("06:00", "08:00")).then([
        fired("", "06:00", FireCause::Backfilled),
        fired("", "07:00", FireCause::Backfilled),
    ]);
    schedule("")
        .when(range("06:10", "06:20"))
        .then_refused(Refusal::BackfillRange);
}

#[test]
fn nothing_is_due_before_the_start_or_from_the_end_on() {
    let starts = hourly(r#","starts_at":"2026-01-05T12:00:00Z","ends_at":"2026-01-05T14:00:00Z""#);
    let mut schedule = Schedule::default();
    schedule.evolve(
        &Event::Created {
            id: ID,
            spec: starts.clone(),
        },
        time("09:00"),
    );
    assert_eq!(schedule.next(), Some(time("12:00")));
    let all = starts.times(time("09:00"), time("23:00"), 9);
    assert_eq!(all, [time("12:00"), time("13:00")]);
    assert_eq!(starts.next(time("13:00")), None);
    let backwards =
        hourly(r#","starts_at":"2026-01-05T12:00:00Z","ends_at":"2026-01-05T12:00:00Z""#);
    given::<Schedule>([])
        .when(Command::Create {
            id: ID,
            spec: backwards,
        })
        .then_refused(Refusal::EndsBeforeItStarts);
}

/// The next times behind `after`, in the time of the zone.
fn next(recurrence: &str, more: &str, after: &str, count: usize) -> Vec<String> {
    let spec = spec(recurrence, more);
    let zone = spec.recurrence.zone();
    let after: Timestamp = after.parse().expect("a time");
    let times = spec.times(after, Timestamp::MAX, count);
    let local = |time: Timestamp| time.to_zoned(zone.clone());
    times
        .into_iter()
        .map(|time| local(time).strftime("%a %m-%d %H:%M%:z").to_string())
        .collect()
}

const BERLIN_02_30: &str = r#"{"type":"cron","line":"30 2 * * *","time_zone":"Europe/Berlin"}"#;

#[test]
fn a_time_that_the_clocks_skip_is_due_behind_the_gap_and_one_that_they_repeat_once() {
    assert_eq!(
        next(BERLIN_02_30, "", "2026-03-27T12:00:00Z", 3),
        [
            "Sat 03-28 02:30+01:00",
            "Sun 03-29 03:00+02:00",
            "Mon 03-30 02:30+02:00"
        ]
    );
    assert_eq!(
        next(BERLIN_02_30, "", "2026-10-24T12:00:00Z", 2),
        ["Sun 10-25 02:30+02:00", "Mon 10-26 02:30+01:00"]
    );
}

#[test]
fn on_other_days_a_time_is_skipped_or_moved() {
    let nine = r#"{"type":"cron","line":"0 9 * * *","time_zone":"Europe/Berlin"}"#;
    let days = |otherwise: &str| {
        format!(r#","business_days":{{"otherwise":"{otherwise}","holidays":["2026-01-06"]}}"#)
    };
    let from = "2026-01-02T12:00:00Z";
    assert_eq!(
        next(nine, &days("skip"), from, 3),
        [
            "Mon 01-05 09:00+01:00",
            "Wed 01-07 09:00+01:00",
            "Thu 01-08 09:00+01:00"
        ]
    );
    let weekly = r#"{"type":"cron","line":"0 9 * * SAT","time_zone":"Europe/Berlin"}"#;
    assert_eq!(
        next(weekly, &days("before"), from, 3),
        [
            "Fri 01-09 09:00+01:00",
            "Fri 01-16 09:00+01:00",
            "Fri 01-23 09:00+01:00"
        ]
    );
    assert_eq!(
        next(weekly, &days("after"), from, 2),
        ["Mon 01-05 09:00+01:00", "Mon 01-12 09:00+01:00"]
    );
    // A time that is moved comes with those of its new day, in their order.
    let twice = r#"{"type":"cron","line":"0 9,12 * * 2","time_zone":"UTC"}"#;
    assert_eq!(
        next(twice, &days("after"), from, 3),
        [
            "Wed 01-07 09:00+00:00",
            "Wed 01-07 12:00+00:00",
            "Tue 01-13 09:00+00:00"
        ]
    );
}

#[test]
fn intervals_keep_to_their_anchor() {
    let every = r#"{"type":"every","interval_ms":5400000,"anchor":"2026-01-05T00:15:00Z"}"#;
    assert_eq!(
        next(every, "", "2026-01-05T01:45:00Z", 2),
        ["Mon 01-05 03:15+00:00", "Mon 01-05 04:45+00:00"]
    );
    let once = r#"{"type":"once","at":"2026-01-05T10:00:00Z"}"#;
    assert_eq!(
        next(once, "", "2026-01-05T10:00:00Z", 2),
        Vec::<String>::new()
    );
    assert_eq!(next(once, "", "2026-01-05T09:00:00Z", 2).len(), 1);
}

#[test]
fn what_means_nothing_is_refused_with_its_reason() {
    let refused = |recurrence: &str| {
        let error = serde_json::from_str::<Recurrence>(recurrence).expect_err("refused");
        error.to_string()
    };
    for (line, said) in [
        ("* * * *", "must be a cron line"),
        ("61 * * * *", "must be a cron line"),
        ("0 0 30 2 *", "must be due at some time"),
        ("", "must be a cron line"),
    ] {
        let text = refused(&format!(r#"{{"type":"cron","line":"{line}"}}"#));
        assert!(text.contains(said), "{line}: {text}");
    }
    let zone = refused(r#"{"type":"cron","line":"0 0 * * *","time_zone":"Europe/Nowhere"}"#);
    assert!(zone.contains("IANA"), "{zone}");
    let short = refused(r#"{"type":"every","interval_ms":1}"#);
    assert!(short.contains("from `1000`"), "{short}");
}

/// Every event that was ever written decodes for ever: the samples are only added to.
#[test]
fn every_stored_sample_of_an_event_decodes() {
    let samples = include_str!("samples.ndjson");
    let mut seen = std::collections::BTreeSet::new();
    for line in samples.lines() {
        let recorded: crate::RecordedEvent = serde_json::from_str(line).expect("a recorded event");
        let event: Event = recorded.decode().expect("decodes for ever");
        let again = serde_json::to_value(&event).expect("events are JSON");
        let stored: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(again["data"], stored["data"]);
        seen.insert(crate::Event::name(&event));
    }
    let names = <Event as crate::Event>::NAMES;
    assert_eq!(seen, names.iter().copied().collect());
}

/// FNV-1a, as `scripts/cron-reference` has it.
fn digest(times: &[i64]) -> String {
    let mut value: u64 = 0xCBF2_9CE4_8422_2325;
    for second in times {
        for byte in format!("{second}\n").bytes() {
            value = (value ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
    format!("{value:016x}")
}

#[test]
fn a_year_of_fifty_lines_in_four_zones_is_as_another_library_has_it() {
    let mut differing = Vec::new();
    for row in include_str!("reference.ndjson").lines() {
        let row: serde_json::Value = serde_json::from_str(row).expect("JSON");
        let recurrence = serde_json::json!({
            "type": "cron", "line": row["line"], "time_zone": row["zone"],
        });
        let recurrence: Recurrence = serde_json::from_value(recurrence).expect("a recurrence");
        let zone = recurrence.zone();
        let first = |year| zone.to_timestamp(jiff::civil::date(year, 1, 1).at(0, 0, 0, 0));
        let (begin, end) = (first(2026).expect("a time"), first(2027).expect("a time"));
        let mut last = begin - jiff::SignedDuration::from_secs(1);
        let mut times = Vec::new();
        while let Some(next) = recurrence.next(last, None).filter(|next| *next < end) {
            times.push(next.as_second());
            last = next;
        }
        if row["digest"] != digest(&times) {
            let text = |name: &str| row[name].as_str().expect("a text").to_owned();
            differing.push((text("line"), text("zone")));
        }
    }
    let known = KNOWN_DIFFERENCES.map(|(line, zone)| (line.to_owned(), zone.to_owned()));
    assert_eq!(differing, known);
}

/// Where the two libraries read Vixie's rule differently: a step within a range of hours, as `1-23/3`,
/// recurs with us when the clocks go back, and does not with the other. (In zones whose clocks go by
/// half an hour, as Lord Howe, they also differ in what recurs by the hour.)
const KNOWN_DIFFERENCES: [(&str, &str); 1] = [("0 1-23/3 * * *", "America/New_York")];

#[test]
fn the_end_of_a_run_tells_what_changed_since_the_last_result() {
    let compared = r#","compare_previous":true"#;
    let runs = ["07:00", "08:00"].map(|due| fired(compared, due, FireCause::Triggered));
    let [one, two] = runs.each_ref().map(job_of);
    let end = |job, result: &str| Command::EndRun {
        job,
        outcome: RunOutcome::Succeeded,
        result: Some(serde_json::from_str(result).expect("JSON")),
    };
    let ended = |job, changes: &str| Event::RunEnded {
        job,
        outcome: RunOutcome::Succeeded,
        changes: Some(serde_json::from_str(changes).expect("a patch")),
    };
    let [first, second] = runs;
    let begun = schedule(compared)
        .happened("07:00", first)
        .happened("08:00", second);
    let whole = r#"[{"op":"replace","path":"","value":{"rows":6,"day":"Monday"}}]"#;
    begun
        .when(end(one, r#"{"rows":6,"day":"Monday"}"#))
        .then([ended(one, whole)]);
    let [first, second] = ["07:00", "08:00"].map(|due| fired(compared, due, FireCause::Triggered));
    schedule(compared)
        .happened("07:00", first)
        .happened("08:00", second)
        .happened("09:00", ended(one, whole))
        .when(end(two, r#"{"rows":7,"day":"Monday"}"#))
        .then([ended(two, r#"[{"op":"replace","path":"/rows","value":7}]"#)]);
}

#[test]
fn a_schedule_whose_runs_do_not_end_fires_no_more_than_it_may_have() {
    let full = || {
        (0..RUNNING_MAX as u128).fold(schedule(""), |begun, number| {
            let fired = Event::Fired {
                due: time("09:00"),
                job: Uuid::from_u128(number),
                cause: FireCause::Triggered,
                run_after: time("09:00"),
            };
            begun.happened("09:00", fired)
        })
    };
    full()
        .when(Command::Fire)
        .then([skipped("10:00", 1, SkipCause::Overlap)]);
    let (from, to) = (time("07:00"), time("08:00"));
    for command in [Command::Trigger { job: ID }, Command::Backfill { from, to }] {
        full().when(command).then_refused(Refusal::TooManyRuns);
    }
}
