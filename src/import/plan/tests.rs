//! What becomes of the events of a log, each as a claim.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::*;
use crate::import::xes::LogReader;

const MAPPING: &str = include_str!("../../../examples/bpi2013-mapping.yaml");
const TICKETS: &str = include_str!("../../../examples/tickets.xes");

/// Names another copy of the public log of the BPI Challenge 2013.
const LOG_ENV: &str = "LEDGERLINE_TEST_XES";

fn mapping() -> Mapping {
    Mapping::from_yaml(MAPPING).expect("the example is sound")
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn plan_all(mapping: &Mapping, mut log: LogReader) -> Vec<CasePlan> {
    let planner = Planner::new(mapping, now());
    let mut plans = Vec::new();
    while let Some(trace) = log.next_trace().expect("a sound log") {
        plans.push(planner.plan(&trace, log.header()));
    }
    plans
}

fn plan_log(mapping: &Mapping, log: &str) -> Vec<CasePlan> {
    let log = std::io::Cursor::new(log.to_owned());
    plan_all(mapping, LogReader::new(log).expect("a sound log"))
}

/// A case of events given as `name / transition / person / group`, a minute apart.
fn plan_case(events: &[[&str; 4]]) -> CasePlan {
    let mut log = String::from("<log><trace><string key='concept:name' value='c-1'/>");
    for (minute, [name, transition, person, group]) in events.iter().enumerate() {
        log.push_str(&format!(
            "<event><string key='concept:name' value='{name}'/>\
             <string key='lifecycle:transition' value='{transition}'/>\
             <string key='org:resource' value='{person}'/>\
             <string key='org:group' value='{group}'/>\
             <date key='time:timestamp' value='2020-01-01T10:{minute:02}:00Z'/></event>"
        ));
    }
    log.push_str("</trace></log>");
    plan_log(&mapping(), &log).remove(0)
}

/// Each event as the names of its commands, or the reason why there are none.
fn in_short(plan: &CasePlan) -> Vec<String> {
    let short = |event: &EventPlan| match &event.outcome {
        Outcome::Planned(commands) => {
            let names = commands
                .iter()
                .map(|command| command.command.replace("assignment.", ""));
            names.collect::<Vec<_>>().join(" ")
        }
        Outcome::Unchanged => "unchanged".to_owned(),
        Outcome::Rejected(rejection) => format!("! {}", rejection.code()),
    };
    plan.events.iter().map(short).collect()
}

const QUEUED: [&str; 4] = ["Queued", "Awaiting Assignment", "ann", "g1"];
const GIVEN_TO_BOB: [&str; 4] = ["Accepted", "Assigned", "bob", "g1"];
const BOB_WORKS: [&str; 4] = ["Accepted", "In Progress", "bob", "g1"];
const CAT_WORKS: [&str; 4] = ["Accepted", "In Progress", "cat", "g2"];
const WAIT: [&str; 4] = ["Accepted", "Wait", "bob", "g1"];
const WAIT_USER: [&str; 4] = ["Accepted", "Wait - User", "bob", "g1"];
const RESOLVED: [&str; 4] = ["Completed", "Resolved", "bob", "g1"];
const CLOSED: [&str; 4] = ["Completed", "Closed", "bob", "g1"];
const CANCELLED: [&str; 4] = ["Completed", "Cancelled", "bob", "g1"];
const UNMATCHED: [&str; 4] = ["Unmatched", "Unmatched", "bob", "g1"];

#[test]
fn the_first_event_of_a_case_requests_it_and_does_what_it_says() {
    for (event, expected) in [
        (QUEUED, "request"),
        (GIVEN_TO_BOB, "request assign"),
        (BOB_WORKS, "request start"),
        (WAIT, "request hold"),
        (RESOLVED, "request complete"),
        (CLOSED, "request complete close"),
        (CANCELLED, "request cancel"),
        (UNMATCHED, "request note"),
    ] {
        assert_eq!(in_short(&plan_case(&[event])), [expected], "{event:?}");
    }
}

#[test]
fn preparations_are_made_only_where_the_case_needs_them() {
    let plan = plan_case(&[
        QUEUED, BOB_WORKS, RESOLVED, CLOSED, BOB_WORKS, CLOSED, QUEUED, WAIT,
    ]);
    let expected = [
        "request",
        "start",
        "complete",
        "close",
        "reopen start",
        "complete close",
        "reopen requeue",
        "hold",
    ];
    assert_eq!(in_short(&plan), expected);
}

#[test]
fn an_event_that_changes_nothing_becomes_a_note() {
    let plan = plan_case(&[
        BOB_WORKS, BOB_WORKS, CAT_WORKS, WAIT, WAIT, WAIT_USER, CLOSED, CLOSED,
    ]);
    let expected = [
        "request start",
        "note",
        "start",
        "hold",
        "note",
        "hold",
        "complete close",
        "note",
    ];
    assert_eq!(in_short(&plan), expected);
}

#[test]
fn without_a_note_an_event_that_changes_nothing_is_counted_as_unchanged() {
    let mapping = MAPPING.replace("unchanged: note", "unchanged: nothing");
    let mapping = Mapping::from_yaml(&mapping).expect("a sound mapping");
    let plans = plan_log(&mapping, TICKETS);
    assert_eq!(
        in_short(&plans[1]),
        ["request start", "unchanged", "start", "complete"]
    );
}

#[test]
fn what_the_rules_refuse_is_rejected_and_leaves_no_half_of_it() {
    let plan = plan_case(&[QUEUED, CANCELLED, CLOSED, BOB_WORKS]);
    assert_eq!(
        in_short(&plan),
        ["request", "cancel", "! ended", "reopen start"]
    );
    let line = plan.events[2].reject_line().expect("it was rejected");
    assert_eq!(
        line.detail,
        "`close` was refused: assignment has ended as `cancelled`"
    );
    assert_eq!((line.place.event, line.place.line), (2, 1));
}

#[test]
fn an_event_without_a_step_is_rejected_or_noted_and_never_requests_when_rejected() {
    let odd = ["Queued", "Escalated", "ann", "g1"];
    assert_eq!(
        in_short(&plan_case(&[odd, QUEUED])),
        ["! no-step", "request"]
    );
    let mapping = MAPPING.replace("otherwise: reject", "otherwise: note");
    let mapping = Mapping::from_yaml(&mapping).expect("a sound mapping");
    assert_eq!(in_short(&plan_log(&mapping, TICKETS)[7])[2], "note");
}

#[test]
fn every_reason_for_a_rejection_has_its_code() {
    let event = |attributes: &str| {
        let log = format!(
            "<log><trace><string key='concept:name' value='c'/><event>\
             <string key='concept:name' value='Unmatched'/>\
             <string key='lifecycle:transition' value='Unmatched'/>{attributes}</event></trace></log>"
        );
        in_short(&plan_log(&mapping(), &log)[0]).remove(0)
    };
    let who = "<string key='org:resource' value='ann'/>";
    let group = "<string key='org:group' value='g'/>";
    let time = "<date key='time:timestamp' value='2020-01-01T00:00:00Z'/>";
    let long = format!("<string key='org:resource' value='{}'/>", "x".repeat(201));
    for (attributes, expected) in [
        (format!("{who}{group}{time}"), "request note"),
        (format!("{who}{time}"), "! missing-attribute"),
        (format!("{group}{time}"), "! missing-attribute"),
        (format!("{who}{group}"), "! missing-attribute"),
        (format!("{long}{group}{time}"), "! invalid-field"),
        (
            format!("{who}{group}{}", time.replace("2020", "2027")),
            "! in-future",
        ),
        (
            format!("{who}{group}{}", time.replace("00Z", "00")),
            "! time-without-zone",
        ),
        (
            format!("{who}{group}{}", time.replace("2020", "MMXX")),
            "! malformed",
        ),
        (
            format!(
                "{who}{group}{}",
                time.replace("2020", "MMXX").replace("<date", "<string")
            ),
            "! invalid-time",
        ),
    ] {
        assert_eq!(event(&attributes), expected, "{attributes}");
    }
    let stray = plan_log(&mapping(), "<log><event/></log>");
    assert_eq!(in_short(&stray[0]), ["! no-case-id"]);
    let bad_trace = "<log><trace><int key='n' value='x'/><event/></trace></log>";
    assert_eq!(
        in_short(&plan_log(&mapping(), bad_trace)[0]),
        ["! malformed"]
    );
}

#[test]
fn a_time_without_a_zone_takes_that_of_the_mapping() {
    let with_zone = MAPPING.replace("# zone: \"+01:00\"", "zone: \"+01:00\"");
    let mapping = Mapping::from_yaml(&with_zone).expect("a sound mapping");
    let log = TICKETS.replace("2025-03-03T08:00:00.000+01:00", "2025-03-03T08:00:00");
    let Outcome::Planned(commands) = &plan_log(&mapping, &log)[0].events[0].outcome else {
        panic!("it is planned");
    };
    assert_eq!(commands[0].occurred_at.to_string(), "2025-03-03T07:00:00Z");
}

#[test]
fn commands_are_lines_that_the_batch_endpoint_takes() {
    let plans = plan_log(&mapping(), TICKETS);
    let Outcome::Planned(commands) = &plans[2].events[0].outcome else {
        panic!("it is planned");
    };
    let lines: Vec<_> = commands
        .iter()
        .map(|command| serde_json::to_value(command).expect("JSON"))
        .collect();
    let id = plans[2].id.expect("the case has a name").to_string();
    let request = serde_json::json!({
        "command": "assignment.request", "id": id, "key": "xes:bpi2013:T-1003:0:0",
        "occurred_at": "2025-03-04T07:00:00Z", "on_behalf_of": "Dmitri", "expected_version": null,
        "data": {
            "title": "Problem T-1003: billing", "kind": "problem", "group": "Mail & Web",
            "requester": "Dmitri", "priority": 2, "external_ref": "T-1003",
            "labels": {"impact": "High", "product": "billing"},
        },
    });
    let start = serde_json::json!({
        "command": "assignment.start", "id": id, "key": "xes:bpi2013:T-1003:0:1",
        "occurred_at": "2025-03-04T07:00:00Z", "on_behalf_of": "Dmitri", "expected_version": null,
        "data": {"assignee": "Dmitri", "group": "Mail & Web"},
    });
    assert_eq!(lines, [request, start]);
}

#[test]
fn a_second_plan_of_the_same_log_is_the_same() {
    assert_eq!(plan_log(&mapping(), TICKETS), plan_log(&mapping(), TICKETS));
}

#[test]
fn a_second_trace_of_one_case_is_rejected_and_not_taken_for_a_repeat() {
    let mut seen = SeenCases::default();
    for first in plan_log(&mapping(), TICKETS) {
        assert_eq!(seen.check(first.clone()), Ok(first));
    }
    let again = plan_log(&mapping(), TICKETS).remove(0);
    let again = seen.check(again).expect("there are few cases");
    assert_eq!(in_short(&again), ["! repeated-case"; 5]);
}

#[test]
fn ids_and_keys_differ_by_source_and_case_and_hold_no_odd_character() {
    let other = Mapping::from_yaml(&MAPPING.replace("source: bpi2013", "source: other"));
    let other = other.expect("a sound mapping");
    let mut plans = plan_log(&mapping(), TICKETS);
    plans.extend(plan_log(&other, TICKETS));
    let mut keys = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for plan in &plans {
        ids.insert(plan.id, ());
        for event in &plan.events {
            let Outcome::Planned(commands) = &event.outcome else {
                continue;
            };
            for command in commands {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:~".contains(c);
                assert!(command.key.chars().all(plain), "{}", command.key);
                assert!(command.key.len() <= 200);
                assert_eq!(
                    keys.insert(command.key.clone(), ()),
                    None,
                    "{}",
                    command.key
                );
            }
        }
    }
    assert_eq!(ids.len(), 16);
}

#[test]
fn the_example_log_exercises_every_step() {
    let plans = plan_log(&mapping(), TICKETS);
    let short: Vec<_> = plans.iter().map(|plan| in_short(plan).join(", ")).collect();
    let expected = [
        "request, assign, start, complete, close",
        "request start, note, start, complete",
        "request start, hold, hold, note, start, requeue, start, complete close",
        "request start, complete close, reopen requeue, assign, assign, hold",
        "request, cancel",
        "request hold, note, assign",
        "request complete, reopen start, assign",
        "request, note, ! no-step, ! malformed, start",
    ];
    assert_eq!(short, expected);
}

fn public_log() -> PathBuf {
    let beside =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/bpi2013-closed-problems.xes.gz");
    std::env::var_os(LOG_ENV).map_or(beside, PathBuf::from)
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped has to say so")]
fn every_event_of_the_public_log_is_accounted_for() {
    let path = public_log();
    let Ok(file) = File::open(&path) else {
        eprintln!(
            "skipped: `{}` is not there; `{LOG_ENV}` may name it",
            path.display()
        );
        return;
    };
    let plans = plan_all(&mapping(), LogReader::new(file).expect("a sound log"));
    assert_eq!(plans.len(), 1_487);
    let mut counts = BTreeMap::<String, usize>::new();
    for event in plans.iter().flat_map(|plan| &plan.events) {
        let outcome = match &event.outcome {
            Outcome::Planned(_) => "planned".to_owned(),
            Outcome::Unchanged => "unchanged".to_owned(),
            Outcome::Rejected(rejection) => format!("rejected: {}", rejection.code()),
        };
        *counts.entry(outcome).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("planned".to_owned(), 6_660)]));
    assert!(
        plans
            .iter()
            .all(|plan| matches!(plan.events[0].outcome, Outcome::Planned(_)))
    );
}
