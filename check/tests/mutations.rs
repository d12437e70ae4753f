//! The judge finds each sort of damage, and where: otherwise its silence would mean nothing.
//!
//! A good history is bent in one place, again and again from a fixed seed. Half of the time whoever bends it
//! makes the rest fit: positions, versions and chains are made anew, so that only what clients were
//! told can give it away.

use std::collections::BTreeMap;

use ledgerline_check::history::{Asked, Op};
use ledgerline_check::judge::Place;
use ledgerline_check::judge::{judge, of_journal};
use ledgerline_check::{Call, Finding, History, Message, Outcome};
use serde_json::{Value, json};

/// What JetStream remembers a commit by.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// How often each sort of damage is done.
const TIMES: usize = 200;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// One commit before it is a message.
#[derive(Debug, Clone, PartialEq)]
struct Draft {
    stream: String,
    command: String,
    events: Vec<Value>,
}

/// A journal of these commits, as the program would write it.
fn journal(drafts: &[Draft]) -> Vec<Message> {
    let mut last: BTreeMap<&str, (u64, [u8; 32])> = BTreeMap::new();
    let messages = (1..).zip(drafts).map(|(sequence, draft)| {
        let (version, chain) = last.entry(&draft.stream).or_default();
        let payload = json!({
            "commit": draft.command,
            "actor": {"principal": "tester"},
            "version": *version,
            "events": draft.events,
        });
        let payload = payload.to_string().into_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher.update(chain).update(&payload);
        *chain = *hasher.finalize().as_bytes();
        *version += draft.events.len() as u64;
        Message {
            sequence,
            subject: format!("journal.{}", draft.stream),
            headers: BTreeMap::from([
                (MESSAGE_ID.to_owned(), draft.command.clone()),
                (
                    "Ledgerline-Chain".to_owned(),
                    blake3::Hash::from(*chain).to_hex().to_string(),
                ),
            ]),
            payload,
        }
    });
    messages.collect()
}

/// Assignments, jobs and a schedule, worked on by clients that overlap and look at what they did.
fn good(dice: &mut Dice) -> (History, Vec<Draft>) {
    let mut drafts = Vec::new();
    let mut attempts = [0_u64; 4];
    for number in 0..60 {
        let (stream, events) = match dice.below(3) {
            0 => {
                let events = 1 + dice.below(3);
                let stream = format!("t.assignment.a{}", dice.below(5));
                let note =
                    |event| json!({"type": "noted", "data": {"text": format!("{number}.{event}")}});
                (stream, (0..events).map(note).collect())
            }
            _ => {
                let job = dice.below(4);
                attempts[job] += 1;
                let attempt = attempts[job].div_ceil(2);
                let events = match attempts[job] {
                    1 => vec![json!({"type": "enqueued", "data": {"queue": "q", "n": job}})],
                    turn if turn % 2 == 0 => {
                        vec![json!({"type": "started", "data": {"attempt": attempt}})]
                    }
                    _ => vec![
                        json!({"type": "failed", "data": {"attempt": attempt - 1}}),
                        json!({"type": "retried", "data": {"at": number}}),
                    ],
                };
                (format!("t.job.j{job}"), events)
            }
        };
        drafts.push(Draft {
            stream,
            command: format!("c{number}"),
            events,
        });
    }
    let due = "2026-01-05T10:00:00Z";
    for (stream, name, data) in [
        ("t.schedule.s1", "created", json!({})),
        (
            "t.schedule.s1",
            "fired",
            json!({"due": due, "job": "js", "cause": "due"}),
        ),
        ("t.job.js", "enqueued", json!({})),
    ] {
        drafts.push(Draft {
            stream: stream.to_owned(),
            command: format!("c-{stream}-{name}"),
            events: vec![json!({"type": name, "data": data})],
        });
    }
    let history = told(&drafts);
    (history, drafts)
}

/// What the clients of these commits were told. Each call began while the one before it still went on,
/// and ended before the one behind the next began.
fn told(drafts: &[Draft]) -> History {
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    let mut calls = Vec::new();
    for (position, draft) in (1_u64..).zip(drafts) {
        let version = versions.entry(&draft.stream).or_default();
        *version += draft.events.len() as u64;
        let asked = |op, key| Asked {
            client: format!("client-{}", position % 3),
            op,
            stream: draft.stream.clone(),
            key,
            min_position: (op == Op::Read).then_some(position),
        };
        let name = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
        calls.push(Call {
            asked: asked(Op::Write, format!("k{position}")),
            began: 10 * position,
            ended: Some(10 * position + 12),
            outcome: Outcome::Done {
                command: draft.command.clone(),
                position,
                version: *version,
                events: draft.events.iter().map(name).collect(),
            },
        });
        calls.push(Call {
            asked: asked(Op::Read, format!("r{position}")),
            began: 10 * position + 13,
            ended: Some(10 * position + 15),
            outcome: Outcome::Seen {
                position,
                version: *version,
            },
        });
    }
    History { calls }
}

/// Whether a finding says what is wrong at the commit `position` of this draft, or at its call.
fn is_at(finding: &Finding, position: u64, draft: &Draft) -> bool {
    match &finding.place {
        Place::Position(at) => *at == position,
        Place::Call(key) => *key == format!("k{position}") || *key == format!("r{position}"),
        Place::Stream(stream) => *stream == draft.stream,
    }
}

#[test]
fn a_whole_history_is_found_to_be_whole() {
    let mut dice = Dice(1);
    for _ in 0..50 {
        let (history, drafts) = good(&mut dice);
        assert_eq!(judge(&history, &journal(&drafts)), []);
    }
}

#[test]
fn files_keep_a_history_and_a_journal_as_they_are() {
    let (history, drafts) = good(&mut Dice(2));
    let messages = journal(&drafts);
    let (mut calls, mut stored) = (Vec::new(), Vec::new());
    history.write(&mut calls).expect("written");
    ledgerline_check::journal::write(&messages, &mut stored).expect("written");
    assert_eq!(History::read(&calls[..]).expect("read"), history);
    assert_eq!(
        ledgerline_check::journal::read(&stored[..]).expect("read"),
        messages
    );
}

/// Bends the commits, and fits everything else to them.
fn each_is_found(seed: u64, bend: impl Fn(&mut Vec<Draft>, usize, &mut Dice) -> usize) {
    let mut dice = Dice(seed);
    for time in 0..TIMES {
        let (history, drafts) = good(&mut dice);
        let mut bent = drafts.clone();
        let at = dice.below(drafts.len() - 1);
        let place = bend(&mut bent, at, &mut dice);
        if bent == drafts {
            continue;
        }
        let findings = judge(&history, &journal(&bent));
        let position = place as u64 + 1;
        let is_there = |finding: &Finding| is_at(finding, position, &drafts[place.min(62)]);
        assert!(
            findings.iter().any(is_there),
            "{time}: {at} of {:?}: {findings:#?}",
            drafts[at]
        );
    }
}

#[test]
fn a_commit_that_is_dropped_is_missed() {
    each_is_found(3, |drafts, at, _| {
        drafts.remove(at);
        at
    });
}

#[test]
fn a_commit_that_stands_twice_is_seen() {
    each_is_found(4, |drafts, at, dice| {
        let to = at + 1 + dice.below(drafts.len() - at);
        drafts.insert(to, drafts[at].clone());
        to
    });
}

#[test]
fn commits_that_changed_places_are_seen() {
    each_is_found(5, |drafts, at, _| {
        drafts.swap(at, at + 1);
        at
    });
}

#[test]
fn a_commit_that_nobody_called_for_is_seen() {
    each_is_found(6, |drafts, at, dice| {
        let mut invented = drafts[at].clone();
        invented.command = format!("invented-{}", dice.below(1_000));
        drafts.insert(at, invented);
        at
    });
}

#[test]
fn a_commit_that_is_split_is_seen() {
    each_is_found(7, |drafts, at, _| {
        if drafts[at].events.len() < 2 {
            return at;
        }
        let mut rest = drafts[at].clone();
        rest.events = drafts[at].events.split_off(1);
        rest.command.push_str("-rest");
        drafts.insert(at + 1, rest);
        at
    });
}

#[test]
fn a_commit_whose_events_are_others_is_seen() {
    each_is_found(8, |drafts, at, dice| {
        match dice.below(3) {
            0 => drafts[at].events[0]["type"] = json!("altered"),
            1 => drafts[at].stream.push('x'),
            _ => {
                let again = drafts[at].events[0].clone();
                drafts[at].events.push(again);
            }
        }
        at
    });
}

/// Bends the stored messages, and leaves everything else as it is.
fn each_is_found_as_it_stands(seed: u64, bend: impl Fn(&mut Vec<Message>, usize, &mut Dice)) {
    let mut dice = Dice(seed);
    for time in 0..TIMES {
        let (history, drafts) = good(&mut dice);
        let whole = journal(&drafts);
        let mut bent = whole.clone();
        let at = dice.below(drafts.len() - 1);
        bend(&mut bent, at, &mut dice);
        assert_ne!(bent, whole);
        let position = at as u64 + 1;
        let findings = judge(&history, &bent);
        let is_there = |finding: &Finding| is_at(finding, position, &drafts[at]);
        assert!(
            findings.iter().any(is_there),
            "{time}: {at} of {:?}: {findings:#?}",
            drafts[at]
        );
        assert!(!of_journal(&bent).is_empty(), "{time}");
    }
}

#[test]
fn a_byte_that_is_another_is_seen_by_the_journal_alone() {
    each_is_found_as_it_stands(9, |messages, at, dice| {
        let payload = &mut messages[at].payload;
        let byte = dice.below(payload.len());
        payload[byte] ^= 1 << dice.below(7);
    });
}

#[test]
fn a_message_that_is_dropped_doubled_or_swapped_is_seen_by_the_journal_alone() {
    each_is_found_as_it_stands(10, |messages, at, dice| match dice.below(3) {
        0 => drop(messages.remove(at)),
        1 => messages.insert(at, messages[at].clone()),
        _ => messages.swap(at, at + 1),
    });
}

#[test]
fn a_command_that_is_another_or_missing_beside_the_payload_is_seen_by_the_journal_alone() {
    each_is_found_as_it_stands(14, |messages, at, dice| {
        let headers = &mut messages[at].headers;
        match dice.below(2) {
            0 => headers.remove(MESSAGE_ID),
            _ => headers.insert(MESSAGE_ID.to_owned(), "another".to_owned()),
        };
    });
}

#[test]
fn only_a_command_that_was_drawn_needs_no_message_id() {
    let drawn = Draft {
        stream: "t.assignment.a1".to_owned(),
        command: "018f7a3e-6d2c-7b1a-9e3f-0c4d5e6f7a8b".to_owned(),
        events: vec![json!({"type": "noted", "v": 1, "data": {"text": "x"}})],
    };
    let named = Draft {
        command: "018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b".to_owned(),
        ..drawn.clone()
    };
    for (draft, found) in [(drawn, 0), (named, 1)] {
        let mut messages = journal(&[draft]);
        messages[0].headers.remove(MESSAGE_ID);
        assert_eq!(of_journal(&messages).len(), found);
    }
}

#[test]
fn a_query_that_shows_something_older_than_it_was_asked_for_is_seen() {
    let mut dice = Dice(11);
    for _ in 0..TIMES {
        let (mut history, drafts) = good(&mut dice);
        let at = 2 * dice.below(drafts.len()) + 1;
        let call = &mut history.calls[at];
        let Outcome::Seen { position, version } = &mut call.outcome else {
            panic!("every second call is a query");
        };
        match dice.below(2) {
            0 => *position -= 1,
            _ => *version -= 1,
        }
        let key = call.asked.key.clone();
        let findings = judge(&history, &journal(&drafts));
        assert!(
            findings
                .iter()
                .any(|finding| finding.place == Place::Call(key.clone())),
            "{key}: {findings:#?}"
        );
    }
}

#[test]
fn a_call_that_nobody_resolved_and_answers_out_of_time_are_seen() {
    let (mut history, drafts) = good(&mut Dice(12));
    let journal = journal(&drafts);
    history.calls[0].outcome = Outcome::Unknown;
    assert!(!judge(&history, &journal).is_empty());
    let (mut history, _) = good(&mut Dice(12));
    // The last call on an aggregate is said to have ended before the first one began.
    let first = history.calls[0].asked.stream.clone();
    let last = history
        .calls
        .iter_mut()
        .rfind(|call| call.asked.stream == first && matches!(call.outcome, Outcome::Done { .. }));
    let last = last.expect("there is one");
    (last.began, last.ended) = (1, Some(2));
    assert_eq!(judge(&history, &journal).len(), 1);
}
