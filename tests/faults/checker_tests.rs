//! The checker finds each sort of damage: otherwise its silence would mean nothing.

use crate::checker::{Call, Entry, Outcome, feed_findings, findings};
use crate::support::nats::Stored;

fn call(number: u64, id: &str, version: u64) -> Call {
    Call {
        key: format!("k{number}"),
        id: id.to_owned(),
        began: 10 * number,
        ended: 10 * number + 5,
        outcome: Outcome::Done {
            command: format!("c{number}"),
            position: number,
            version,
            events: vec!["noted".to_owned()],
        },
    }
}

fn entry(number: u64, id: &str, version: u64) -> Entry {
    Entry {
        position: number,
        id: id.to_owned(),
        command: format!("c{number}"),
        version,
        events: vec!["noted".to_owned()],
    }
}

/// Four calls on two aggregates, and the journal that they leave.
fn good() -> (Vec<Call>, Vec<Entry>) {
    let calls = vec![
        call(1, "a", 1),
        call(2, "b", 1),
        call(3, "a", 2),
        call(4, "a", 3),
    ];
    let journal = vec![
        entry(1, "a", 0),
        entry(2, "b", 0),
        entry(3, "a", 1),
        entry(4, "a", 2),
    ];
    (calls, journal)
}

#[test]
fn a_whole_history_is_found_to_be_whole() {
    let (mut calls, journal) = good();
    calls.push(Call {
        outcome: Outcome::Nothing,
        ..call(5, "a", 4)
    });
    assert_eq!(findings(&calls, &journal), Vec::<String>::new());
}

#[test]
fn a_commit_that_is_dropped_is_missed() {
    for dropped in 0..4 {
        let (calls, mut journal) = good();
        journal.remove(dropped);
        assert!(!findings(&calls, &journal).is_empty(), "{dropped}");
    }
}

#[test]
fn a_commit_that_stands_twice_is_seen() {
    let (calls, mut journal) = good();
    journal.push(Entry {
        position: 5,
        version: 3,
        ..journal[3].clone()
    });
    assert!(!findings(&calls, &journal).is_empty());
}

#[test]
fn a_commit_that_nobody_called_for_is_seen() {
    let (calls, mut journal) = good();
    journal.push(entry(5, "b", 1));
    assert!(!findings(&calls, &journal).is_empty());
}

#[test]
fn commits_that_changed_places_are_seen() {
    // Their versions are made to fit: only time tells.
    let (mut calls, mut journal) = good();
    journal[2].command = "c4".to_owned();
    journal[3].command = "c3".to_owned();
    let told = |calls: &mut Vec<Call>, which: usize, at: u64, after: u64| {
        if let Outcome::Done {
            position, version, ..
        } = &mut calls[which].outcome
        {
            (*position, *version) = (at, after);
        }
    };
    told(&mut calls, 2, 4, 3);
    told(&mut calls, 3, 3, 2);
    let found = findings(&calls, &journal);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_receipt_that_says_something_else_is_seen() {
    let (mut calls, journal) = good();
    if let Outcome::Done { version, .. } = &mut calls[0].outcome {
        *version += 1;
    }
    assert_eq!(findings(&calls, &journal).len(), 1);
}

#[test]
fn a_call_that_nobody_resolved_is_seen() {
    let (mut calls, journal) = good();
    calls.push(Call {
        outcome: Outcome::Unknown,
        ..call(5, "a", 4)
    });
    assert_eq!(findings(&calls, &journal).len(), 1);
}

#[test]
fn a_feed_with_a_gap_a_double_or_another_order_is_seen() {
    let (_, journal) = good();
    let message = |entry: &Entry| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("ce-id", format!("{}.0", entry.position).as_str());
        Stored {
            sequence: entry.position,
            subject: format!("feed.t.assignment.noted.{}", entry.id),
            headers,
            payload: bytes::Bytes::new(),
        }
    };
    let whole: Vec<Stored> = journal.iter().map(message).collect();
    assert_eq!(feed_findings(&journal, &whole), Vec::<String>::new());
    let mut gap = whole.clone();
    gap.remove(1);
    let mut double = whole.clone();
    double.insert(1, whole[0].clone());
    let mut order = whole;
    order.swap(0, 3);
    for damaged in [gap, double, order] {
        assert!(!feed_findings(&journal, &damaged).is_empty());
    }
}
