//! The rules of a batch, as stories.

use super::*;
use crate::labels::{LabelValue, Labels};
use crate::spec::{given, name};
use crate::{Event as _, Json, Name, Token};

const ID: Uuid = Uuid::from_u128(0x0190_d5a6_1c5e_7b3a_9d54_2f6b_8a1c_7e10);

fn jobs(jobs: u32) -> JobCount {
    JobCount::new(jobs).expect("not too many")
}

fn spec() -> Spec {
    Spec {
        name: Some(name("invoices of May")),
        ..Spec::default()
    }
}

fn open(spec: Spec) -> Command {
    Command::Open(Box::new(spec))
}

fn opened(spec: Spec) -> Event {
    Event::Opened(Box::new(spec))
}

fn close(number: u32) -> Command {
    Command::Close { jobs: jobs(number) }
}

fn closed(number: u32) -> Event {
    Event::Closed { jobs: jobs(number) }
}

fn counts(succeeded: u32, dead: u32, cancelled: u32) -> Counts {
    Counts {
        succeeded,
        dead,
        cancelled,
    }
}

fn completed(counts: Counts) -> Event {
    let on_complete = None;
    Event::Completed {
        counts,
        on_complete,
    }
}

fn template() -> Template {
    Template {
        queue: Token::new("reports").expect("a token"),
        kind: name("summary"),
        priority: job::Priority::High,
        payload: None,
        timeout_s: None,
        retry: job::Retry::default(),
        fairness_key: None,
        capabilities: job::Capabilities::default(),
        labels: Labels::default(),
    }
}

#[test]
fn a_batch_is_opened_closed_and_completed() {
    given::<Batch>([]).when(open(spec())).then([opened(spec())]);
    given::<Batch>([opened(spec())])
        .when(close(3))
        .then([closed(3)]);
    given::<Batch>([opened(spec()), closed(3)])
        .when(Command::Complete(counts(1, 1, 1)))
        .then([completed(counts(1, 1, 1))]);
}

#[test]
fn a_batch_that_is_opened_with_its_number_is_closed_from_the_start() {
    let known = || Spec {
        jobs: Some(jobs(2)),
        ..spec()
    };
    given::<Batch>([opened(known())])
        .when(Command::Complete(counts(2, 0, 0)))
        .then([completed(counts(2, 0, 0))]);
    given::<Batch>([opened(known())])
        .when(close(2))
        .then_nothing();
    given::<Batch>([opened(known())])
        .when(close(3))
        .then_refused(Refusal::AlreadyClosed(jobs(2)));
}

#[test]
fn whoever_says_the_same_again_changes_nothing() {
    given::<Batch>([opened(spec())])
        .when(open(spec()))
        .then_nothing();
    given::<Batch>([opened(spec())])
        .when(open(Spec::default()))
        .then_refused(Refusal::AlreadyOpened);
    given::<Batch>([opened(spec()), closed(3)])
        .when(close(3))
        .then_nothing();
    given::<Batch>([opened(spec()), closed(3)])
        .when(close(2))
        .then_refused(Refusal::AlreadyClosed(jobs(3)));
}

#[test]
fn a_batch_is_not_completed_before_it_is_closed_and_all_of_its_jobs_have_ended() {
    given::<Batch>([opened(spec())])
        .when(Command::Complete(counts(3, 0, 0)))
        .then_refused(Refusal::NotClosed);
    given::<Batch>([opened(spec()), closed(3)])
        .when(Command::Complete(counts(1, 1, 0)))
        .then_refused(Refusal::NotEnded {
            ended: 2,
            jobs: jobs(3),
        });
}

#[test]
fn a_batch_that_got_more_jobs_than_were_said_completes_with_all_of_them() {
    given::<Batch>([opened(spec()), closed(1)])
        .when(Command::Complete(counts(2, 0, 0)))
        .then([completed(counts(2, 0, 0))]);
}

#[test]
fn a_batch_without_jobs_completes_when_it_is_closed() {
    given::<Batch>([opened(spec()), closed(0)])
        .when(Command::Complete(Counts::default()))
        .then([completed(Counts::default())]);
}

#[test]
fn a_batch_completes_once_whatever_becomes_of_its_jobs() {
    given::<Batch>([opened(spec()), closed(1), completed(counts(0, 1, 0))])
        .when(Command::Complete(counts(1, 0, 0)))
        .then_nothing();
}

#[test]
fn nothing_happens_to_a_batch_that_was_never_opened() {
    for command in [close(1), Command::Complete(counts(1, 0, 0))] {
        given::<Batch>([])
            .when(command)
            .then_refused(Refusal::Unknown);
    }
}

#[test]
fn what_follows_stands_in_the_event_and_is_the_same_job_each_time() {
    let on_complete = || Some(Box::new(template()));
    let known = Spec {
        jobs: Some(jobs(1)),
        on_complete: on_complete(),
        ..spec()
    };
    given::<Batch>([opened(known)])
        .when(Command::Complete(counts(1, 0, 0)))
        .then([Event::Completed {
            counts: counts(1, 0, 0),
            on_complete: on_complete(),
        }]);
    let job = |counts| follow_up(ID, template(), counts).0;
    assert_eq!(job(counts(1, 0, 0)), job(counts(0, 1, 0)));
}

#[test]
fn a_follow_up_names_its_batch_and_is_told_the_counts_unless_it_has_a_payload() {
    let spec = follow_up(ID, template(), counts(7, 2, 1)).1;
    let payload = spec.payload.expect("the counts");
    assert_eq!(
        payload.get(),
        format!(r#"{{"batch":"{ID}","succeeded":7,"dead":2,"cancelled":1}}"#)
    );
    let labels: Vec<_> = spec.labels.iter().collect();
    assert_eq!(labels[0].0.as_str(), "batch");
    assert_eq!(labels[0].1.as_str(), ID.to_string());
    assert_eq!(spec.parent, None);

    let own: Json = serde_json::from_str(r#"{"mail": "ann"}"#).expect("JSON");
    let with_payload = Template {
        payload: Some(own.clone()),
        ..template()
    };
    let spec = follow_up(ID, with_payload, counts(7, 2, 1)).1;
    assert_eq!(spec.payload, Some(own));
}

#[test]
fn a_follow_up_that_has_all_the_labels_there_may_be_keeps_them() {
    let label = |n: usize| {
        (
            name(&format!("l{n}")),
            LabelValue::new("x").expect("a line"),
        )
    };
    let all: std::collections::BTreeMap<Name, LabelValue> =
        (0..Labels::ENTRIES_MAX).map(label).collect();
    let labels = Labels::try_from(all).expect("not too many");
    let full = Template {
        labels: labels.clone(),
        ..template()
    };
    assert_eq!(follow_up(ID, full, Counts::default()).1.labels, labels);
}

#[test]
fn jobs_of_a_batch_have_ids_of_their_own_that_never_change() {
    assert_eq!(
        job_id(ID, 0).to_string(),
        "72f568c8-a88b-5a49-97c7-d7e0b5d28927"
    );
    let ids: std::collections::BTreeSet<_> = (0..1_000).map(|index| job_id(ID, index)).collect();
    assert_eq!(ids.len(), 1_000);
    assert!(!ids.contains(&follow_up(ID, template(), Counts::default()).0));
}

#[test]
fn no_batch_has_more_than_ten_thousand_jobs() {
    assert!(JobCount::new(10_000).is_ok());
    assert!(JobCount::new(10_001).is_err());
}

/// Every event that was ever written decodes for ever: the samples are only added to.
#[test]
fn every_stored_sample_of_an_event_decodes() {
    let mut seen = std::collections::BTreeSet::new();
    for line in include_str!("samples.ndjson").lines() {
        let recorded: crate::RecordedEvent = serde_json::from_str(line).expect("a recorded event");
        let event: Event = recorded.decode().expect("decodes for ever");
        let again = serde_json::to_value(&event).expect("events are JSON");
        let stored: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(again["data"], stored["data"]);
        seen.insert(event.name());
    }
    assert_eq!(seen, Event::NAMES.iter().copied().collect());
}
