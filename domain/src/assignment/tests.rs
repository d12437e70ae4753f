//! The rules of an assignment, each as a claim.

use super::*;
use crate::spec::{given, name, text, time};
use crate::{Event as _, Refusal as _};

fn request() -> Request {
    Request {
        title: text("Replace the pump"),
        description: None,
        kind: name("repair"),
        group: name("plant"),
        requester: name("rita"),
        assignee: None,
        priority: Priority::NORMAL,
        labels: Labels::default(),
        window: None,
        effort_minutes: None,
        external_ref: None,
    }
}

fn requested() -> Event {
    Event::Requested(Box::new(request()))
}

fn standing(status: Status, assignee: Option<&str>) -> Standing {
    Standing {
        status,
        group: name("plant"),
        assignee: assignee.map(name),
    }
}

/// From one standing, which began at 09:00, to another.
fn change(from: (Status, Option<&str>), to: (Status, Option<&str>)) -> Change {
    Change {
        from: standing(from.0, from.1).since(time("09:00")),
        to: standing(to.0, to.1),
    }
}

const QUEUED: (Status, Option<&str>) = (Status::Queued, None);
const ANN: (Status, Option<&str>) = (Status::Assigned, Some("ann"));
const ANN_WORKS: (Status, Option<&str>) = (Status::InProgress, Some("ann"));
const ANN_WAITS: (Status, Option<&str>) = (Status::OnHold, Some("ann"));
const ANN_DONE: (Status, Option<&str>) = (Status::Completed, Some("ann"));

fn assigned() -> Event {
    Event::Assigned {
        change: change(QUEUED, ANN),
    }
}

fn started() -> Event {
    Event::Started {
        change: change(ANN, ANN_WORKS),
    }
}

fn on_hold() -> Event {
    Event::PutOnHold {
        reason: text("no part"),
        change: change(ANN_WORKS, ANN_WAITS),
    }
}

fn completed() -> Event {
    Event::Completed {
        outcome: text("replaced"),
        change: change(ANN_WORKS, ANN_DONE),
    }
}

fn start(who: &str) -> Command {
    Command::Start {
        assignee: name(who),
        group: None,
    }
}

fn assign(who: &str) -> Command {
    Command::Assign {
        assignee: name(who),
        group: None,
    }
}

fn complete() -> Command {
    Command::Complete {
        outcome: text("replaced"),
    }
}

#[test]
fn a_request_waits_in_the_queue_of_its_group() {
    given::<Assignment>([])
        .when(Command::Request(Box::new(request())))
        .then([requested()]);
}

#[test]
fn a_request_that_names_a_person_is_given_to_them_in_the_same_decision() {
    let request = Request {
        assignee: Some(name("ann")),
        ..request()
    };
    let change = Change {
        from: standing(Status::Queued, None).since(time("10:00")),
        to: standing(Status::Assigned, Some("ann")),
    };
    given::<Assignment>([])
        .when(Command::Request(Box::new(request.clone())))
        .then([
            Event::Requested(Box::new(request)),
            Event::Assigned { change },
        ]);
}

#[test]
fn an_id_is_requested_once() {
    given::<Assignment>([requested()])
        .when(Command::Request(Box::new(request())))
        .then_refused(Refusal::AlreadyRequested);
}

#[test]
fn an_unknown_assignment_takes_no_command_but_a_request() {
    given::<Assignment>([])
        .when(start("ann"))
        .then_refused(Refusal::Unknown);
    given::<Assignment>([])
        .when(Command::Note { text: text("x") })
        .then_refused(Refusal::Unknown);
}

#[test]
fn starting_queued_work_assigns_it_first() {
    given::<Assignment>([requested()]).when(start("ann")).then([
        assigned(),
        Event::Started {
            change: Change {
                from: standing(Status::Assigned, Some("ann")).since(time("10:00")),
                to: standing(Status::InProgress, Some("ann")),
            },
        },
    ]);
}

#[test]
fn starting_what_one_already_works_on_changes_nothing() {
    given::<Assignment>([requested(), assigned(), started()])
        .when(start("ann"))
        .then_nothing();
}

#[test]
fn starting_another_persons_work_is_a_hand_over() {
    given::<Assignment>([requested(), assigned(), started()])
        .when(start("bob"))
        .then([
            Event::HandedOver {
                change: change(ANN_WORKS, (Status::Assigned, Some("bob"))),
            },
            Event::Started {
                change: Change {
                    from: standing(Status::Assigned, Some("bob")).since(time("10:00")),
                    to: standing(Status::InProgress, Some("bob")),
                },
            },
        ]);
}

#[test]
fn assigning_held_work_to_another_person_is_a_hand_over_and_to_the_same_one_nothing() {
    let history = [requested(), assigned(), started(), on_hold()];
    given::<Assignment>(history.clone())
        .when(assign("ann"))
        .then_nothing();
    given::<Assignment>(history)
        .when(assign("bob"))
        .then([Event::HandedOver {
            change: change(ANN_WAITS, (Status::Assigned, Some("bob"))),
        }]);
}

#[test]
fn the_same_person_in_another_group_keeps_the_state() {
    let mut to = standing(Status::InProgress, Some("ann"));
    to.group = name("night shift");
    let from = standing(Status::InProgress, Some("ann")).since(time("09:00"));
    given::<Assignment>([requested(), assigned(), started()])
        .when(Command::Assign {
            assignee: name("ann"),
            group: Some(name("night shift")),
        })
        .then([Event::Assigned {
            change: Change { from, to },
        }]);
}

#[test]
fn work_goes_back_to_a_queue_from_any_open_state() {
    let back = |from| Event::Requeued {
        change: change(from, QUEUED),
    };
    let requeue = || Command::Requeue { group: None };
    given::<Assignment>([requested()])
        .when(requeue())
        .then_nothing();
    given::<Assignment>([requested(), assigned()])
        .when(requeue())
        .then([back(ANN)]);
    given::<Assignment>([requested(), assigned(), started()])
        .when(requeue())
        .then([back(ANN_WORKS)]);
    given::<Assignment>([requested(), assigned(), started(), on_hold()])
        .when(requeue())
        .then([back(ANN_WAITS)]);
}

#[test]
fn a_hold_with_the_same_reason_changes_nothing_and_with_another_one_is_told() {
    let history = [requested(), assigned(), started(), on_hold()];
    given::<Assignment>(history.clone())
        .when(Command::Hold {
            reason: text("no part"),
        })
        .then_nothing();
    given::<Assignment>(history)
        .when(Command::Hold {
            reason: text("no crane"),
        })
        .then([Event::PutOnHold {
            reason: text("no crane"),
            change: change(ANN_WAITS, ANN_WAITS),
        }]);
}

#[test]
fn work_on_hold_resumes_where_it_was_even_after_the_reason_changed() {
    let again = Event::PutOnHold {
        reason: text("no crane"),
        change: change(ANN_WAITS, ANN_WAITS),
    };
    given::<Assignment>([requested(), assigned(), started(), on_hold(), again])
        .when(Command::Resume)
        .then([Event::Resumed {
            change: change(ANN_WAITS, ANN_WORKS),
        }]);
    let queued_hold = Event::PutOnHold {
        reason: text("no part"),
        change: change(QUEUED, (Status::OnHold, None)),
    };
    given::<Assignment>([requested(), queued_hold])
        .when(Command::Resume)
        .then([Event::Resumed {
            change: change((Status::OnHold, None), QUEUED),
        }]);
}

#[test]
fn only_what_is_on_hold_resumes() {
    given::<Assignment>([requested(), assigned()])
        .when(Command::Resume)
        .then_refused(Refusal::NotOnHold(Status::Assigned));
}

#[test]
fn a_completed_assignment_takes_only_a_note_a_closing_and_a_reopening() {
    let history = || given::<Assignment>([requested(), assigned(), started(), completed()]);
    let ended = || Refusal::Ended(Status::Completed);
    history().when(start("ann")).then_refused(ended());
    history().when(assign("bob")).then_refused(ended());
    history()
        .when(Command::Requeue { group: None })
        .then_refused(ended());
    history()
        .when(Command::Hold { reason: text("x") })
        .then_refused(ended());
    history().when(Command::Resume).then_refused(ended());
    history()
        .when(Command::Cancel { reason: None })
        .then_refused(ended());
    history().when(complete()).then_nothing();
    history()
        .when(Command::Note { text: text("x") })
        .then([Event::Noted { text: text("x") }]);
    history().when(Command::Close).then([Event::Closed {
        change: change(ANN_DONE, (Status::Closed, Some("ann"))),
    }]);
}

#[test]
fn only_what_is_completed_is_closed() {
    given::<Assignment>([requested(), assigned()])
        .when(Command::Close)
        .then_refused(Refusal::NotCompleted(Status::Assigned));
    let cancelled = Event::Cancelled {
        reason: None,
        change: change(QUEUED, (Status::Cancelled, None)),
    };
    given::<Assignment>([requested(), cancelled])
        .when(Command::Close)
        .then_refused(Refusal::Ended(Status::Cancelled));
}

#[test]
fn what_is_reopened_goes_back_to_whoever_had_it() {
    let reopen = || Command::Reopen { reason: None };
    given::<Assignment>([requested(), assigned(), started(), completed()])
        .when(reopen())
        .then([Event::Reopened {
            reason: None,
            change: change(ANN_DONE, ANN),
        }]);
    let cancelled = Event::Cancelled {
        reason: None,
        change: change(QUEUED, (Status::Cancelled, None)),
    };
    given::<Assignment>([requested(), cancelled])
        .when(reopen())
        .then([Event::Reopened {
            reason: None,
            change: change((Status::Cancelled, None), QUEUED),
        }]);
    given::<Assignment>([requested()])
        .when(reopen())
        .then_refused(Refusal::NotEnded(Status::Queued));
}

#[test]
fn a_standing_never_begins_before_the_one_it_followed() {
    given::<Assignment>([requested()])
        .happened("08:00", assigned())
        .when(Command::Complete {
            outcome: text("replaced"),
        })
        .then([Event::Completed {
            outcome: text("replaced"),
            change: change(ANN, ANN_DONE),
        }]);
}

#[test]
fn nothing_is_recorded_as_later_than_now() {
    assert!(Context::occurred(time("10:00"), Some(time("10:01"))).is_err());
    let context = Context::occurred(time("10:00"), Some(time("08:00"))).expect("earlier is fine");
    assert_eq!(context.happened_at(), time("08:00"));
}

#[test]
fn the_name_of_an_event_is_the_type_it_is_stored_under() {
    for event in [requested(), assigned(), started(), on_hold(), completed()] {
        let json = serde_json::to_value(&event).expect("events are JSON");
        assert_eq!(json["type"], event.name());
        assert!(Event::NAMES.contains(&event.name()));
    }
    assert_eq!(Refusal::NotOnHold(Status::Queued).code(), "not-on-hold");
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
        seen.insert(event.name());
    }
    assert_eq!(seen, Event::NAMES.iter().copied().collect());
}
