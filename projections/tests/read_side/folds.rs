//! Facts in, rows out: no database.

use std::collections::BTreeMap;

use domain::assignment::{Assignment, Event, Outcome, Status};
use domain::{Aggregate, Commit, Entry, Position, StreamId};
use projections::assignment::{self, Until};
use projections::fact::Facts;
use projections::model::ReadModel;
use projections::workload::{self, Dimension, WorkloadRow};
use projections::{Poison, assignment_event, command};

use crate::support::{change, commit, id, name, request, tenant, text, time};

/// One commit an event, at the given times, of one assignment.
fn history(events: &[(&str, Event)]) -> Vec<Commit> {
    let stream = StreamId::new(tenant("acme"), Assignment::CATEGORY, id(1).into());
    let commits = events.iter().zip(1..).map(|((at, event), position)| {
        let (at, event) = (time(at), std::slice::from_ref(event));
        commit(Position(position), stream.clone(), position - 1, at, event)
    });
    commits.collect()
}

pub(crate) fn rows<M: ReadModel>(commits: &[Commit]) -> Result<BTreeMap<M::Key, M::Row>, Poison> {
    let mut rows = BTreeMap::new();
    for commit in commits {
        let facts = Facts::decode(Entry::Commit(commit.clone().into()), &[M::READS]);
        for fact in facts.of(M::READS)? {
            for key in M::keys(&fact)? {
                let mut row = rows.remove(&key);
                M::apply(&mut row, &key, &fact)?;
                rows.extend(row.map(|row| (key, row)));
            }
        }
    }
    Ok(rows)
}

/// Requested at 09:00, given to ann at 10:00, begun, on hold at 11:00, handed over to bob at 11:30,
/// begun at 12:00, done at 13:00, closed at 13:30.
fn story() -> Vec<Commit> {
    use Status::{Assigned, Closed, Completed, InProgress, OnHold, Queued};
    let (ann, bob) = (Some("ann"), Some("bob"));
    let outcome: Outcome = text("replaced");
    history(&[
        ("09:00", Event::Requested(Box::new(request()))),
        (
            "10:00",
            Event::Assigned {
                change: change((Queued, None), "09:00", (Assigned, ann)),
            },
        ),
        (
            "10:30",
            Event::Started {
                change: change((Assigned, ann), "10:00", (InProgress, ann)),
            },
        ),
        (
            "11:00",
            Event::PutOnHold {
                reason: text("no part"),
                change: change((InProgress, ann), "10:30", (OnHold, ann)),
            },
        ),
        (
            "11:30",
            Event::HandedOver {
                change: change((OnHold, ann), "11:00", (Assigned, bob)),
            },
        ),
        (
            "11:40",
            Event::Noted {
                text: text("ask rita"),
            },
        ),
        (
            "12:00",
            Event::Started {
                change: change((Assigned, bob), "11:30", (InProgress, bob)),
            },
        ),
        (
            "13:00",
            Event::Completed {
                outcome,
                change: change((InProgress, bob), "12:00", (Completed, bob)),
            },
        ),
        (
            "13:30",
            Event::Closed {
                change: change((Completed, bob), "13:00", (Closed, bob)),
            },
        ),
    ])
}

#[test]
fn an_assignment_is_what_its_events_made_of_it() {
    let rows = rows::<assignment::Model>(&story()).expect("no poison");
    let row = &rows[&(tenant("acme"), id(1))];
    assert_eq!(row.status, Status::Closed);
    assert_eq!(row.assignee, Some(name("bob")));
    assert_eq!(row.outcome.as_ref().map(Outcome::as_str), Some("replaced"));
    assert_eq!(row.hold_reason, None);
    assert_eq!((row.hand_overs, row.notes, row.version), (1, 1, 9));
    assert_eq!(
        (row.requested_at, row.updated_at),
        (time("09:00"), time("13:30"))
    );
    assert_eq!((row.since, row.position), (time("13:30"), Position(9)));
}

#[test]
fn an_assignment_can_be_seen_as_it_was() {
    let story = story();
    let at = |clock| Until {
        at: Some(time(clock)),
        position: None,
    };
    let to = |position| Until {
        at: None,
        position: Some(Position(position)),
    };
    let fold = |until| assignment::fold(&story, until).expect("no poison");
    assert_eq!(fold(at("08:59")), None);
    assert_eq!(fold(at("11:15")).expect("requested").status, Status::OnHold);
    assert_eq!(
        fold(at("11:15")).expect("requested").hold_reason,
        Some(text("no part"))
    );
    assert_eq!(fold(to(2)).expect("requested").status, Status::Assigned);
    let both = Until {
        at: Some(time("13:30")),
        position: Some(Position(1)),
    };
    assert_eq!(fold(both).expect("requested").status, Status::Queued);
}

fn of(rows: &BTreeMap<workload::Key, WorkloadRow>, dimension: Dimension, who: &str) -> WorkloadRow {
    let key = workload::Key {
        tenant: tenant("acme"),
        dimension,
        name: name(who),
    };
    rows[&key].clone()
}

#[test]
#[expect(clippy::float_cmp, reason = "whole minutes are exact")]
fn time_is_credited_to_whoever_held_the_work() {
    let rows = rows::<workload::Model>(&story()).expect("no poison");
    let minutes = |row: &WorkloadRow, status| row.seconds(status) / 60.0;
    let ann = of(&rows, Dimension::Person, "ann");
    assert_eq!(minutes(&ann, Status::Queued), 0.0);
    assert_eq!(minutes(&ann, Status::Assigned), 30.0);
    assert_eq!(minutes(&ann, Status::InProgress), 30.0);
    assert_eq!(minutes(&ann, Status::OnHold), 30.0);
    assert_eq!((ann.hand_overs, ann.now), (1, [0; workload::STATES]));
    let bob = of(&rows, Dimension::Person, "bob");
    assert_eq!(minutes(&bob, Status::Completed), 30.0);
    assert_eq!((bob.completed(), bob.hand_overs), (1, 0));
    let plant = of(&rows, Dimension::Group, "plant");
    assert_eq!(minutes(&plant, Status::Queued), 60.0);
    assert_eq!(minutes(&plant, Status::Assigned), 60.0);
    assert_eq!((plant.completed(), plant.hand_overs), (1, 1));
    assert_eq!(rows.len(), 3);
}

#[test]
fn every_event_is_in_the_trail_as_it_was_recorded() {
    let story = story();
    let rows = rows::<assignment_event::Model>(&story).expect("no poison");
    let names: Vec<_> = rows.values().map(|row| &*row.name).collect();
    let recorded = story.iter().flat_map(|commit| &commit.payload.events);
    assert_eq!(
        names,
        recorded.map(|event| &*event.name).collect::<Vec<_>>()
    );
    let note = rows
        .values()
        .find(|row| &*row.name == "noted")
        .expect("a note");
    assert_eq!(note.data.get(), r#"{"text":"ask rita"}"#);
    assert_eq!(note.version, 6);
}

#[test]
fn a_command_has_the_receipt_of_its_first_commit() {
    let story = story();
    let mut again = story[3].clone();
    again.position = Position(99);
    let mut twice = story.clone();
    twice.push(again);
    let once = rows::<command::Model>(&story).expect("no poison");
    assert_eq!(rows::<command::Model>(&twice).expect("no poison"), once);
    let row = &once[&(tenant("acme"), story[3].id())];
    assert_eq!((row.position, row.version), (Position(4), 4));
    assert_eq!(row.events, ["put_on_hold"]);
}

#[test]
fn a_command_whose_id_was_drawn_has_no_row() {
    let mut story = story();
    let all = rows::<command::Model>(&story).expect("no poison").len();
    let drawn = uuid::uuid!("01a23058-3fd8-74b7-bf94-e05471738881");
    story[3].payload.id = domain::CommandId(drawn);
    let kept = rows::<command::Model>(&story).expect("no poison");
    assert_eq!(kept.len(), all - 1);
    assert!(kept.keys().all(|(_, id)| id.0 != drawn));
}

#[test]
fn an_event_that_does_not_follow_is_poison() {
    let mut story = story();
    story.remove(4);
    assert!(rows::<assignment::Model>(&story).is_err());
    assert!(rows::<assignment::Model>(&story[1..]).is_err());
}

#[test]
fn times_are_cut_to_what_is_stored() {
    use projections::fact::stored;
    let cut = |text: &str| stored(text.parse().expect("a time")).to_string();
    assert_eq!(
        cut("2026-01-05T09:00:00.1234567Z"),
        "2026-01-05T09:00:00.123456Z"
    );
    assert_eq!(
        cut("1969-12-31T23:59:59.9999999Z"),
        "1969-12-31T23:59:59.999999Z"
    );
    assert_eq!(
        stored(domain::Timestamp::MIN),
        stored(stored(domain::Timestamp::MIN))
    );
}
