//! Compares what clients were told with what stands in the journal and in the feed.
//!
//! It knows the form of a commit from the documentation and shares no code with the program.
//! Times are in any unit that only grows. Its own tests: `checker_tests`.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;

use crate::support::TestResult;
use crate::support::nats::Stored;

/// One call of a client, however often it was sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// Which one: the idempotency key.
    pub(crate) key: String,
    /// The aggregate.
    pub(crate) id: String,
    /// Before it was first sent.
    pub(crate) began: u64,
    /// After its last answer.
    pub(crate) ended: u64,
    pub(crate) outcome: Outcome,
}

/// What the client knows in the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// A receipt.
    Done {
        command: String,
        position: u64,
        version: u64,
        events: Vec<String>,
    },
    /// A receipt without any events, or a rule that said no: nothing was written.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// One commit as it stands in the journal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) id: String,
    pub(crate) command: String,
    /// Events of the aggregate before it.
    pub(crate) version: u64,
    pub(crate) events: Vec<String>,
}

impl Entry {
    pub(crate) fn of(stored: &Stored) -> TestResult<Self> {
        let payload = stored.json()?;
        let events = payload["events"]
            .as_array()
            .context("a commit has events")?;
        let name = |event: &serde_json::Value| event["type"].as_str().map(str::to_owned);
        Ok(Self {
            position: stored.sequence,
            id: stored
                .subject
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_owned(),
            command: payload["commit"]
                .as_str()
                .context("a commit has an id")?
                .to_owned(),
            version: payload["version"]
                .as_u64()
                .context("a commit has a version")?,
            events: events
                .iter()
                .map(name)
                .collect::<Option<_>>()
                .context("events have types")?,
        })
    }
}

/// What is wrong; nothing, when all is well.
pub(crate) fn findings(calls: &[Call], journal: &[Entry]) -> Vec<String> {
    let mut found = Vec::new();
    let mut by_command: HashMap<&str, &Entry> = HashMap::new();
    for entry in journal {
        if by_command.insert(&entry.command, entry).is_some() {
            found.push(format!(
                "command {} stands in the journal twice",
                entry.command
            ));
        }
    }
    let mut called: HashSet<&str> = HashSet::new();
    for call in calls {
        match &call.outcome {
            Outcome::Unknown => found.push(format!("call {} was never resolved", call.key)),
            Outcome::Nothing => {}
            Outcome::Done { command, .. } => {
                if !called.insert(command) {
                    found.push(format!("two calls have the command {command}"));
                }
                match by_command.get(command.as_str()) {
                    None => found.push(format!("call {} was acknowledged and is lost", call.key)),
                    Some(entry) if !says_the_same(call, entry) => {
                        found.push(format!("call {call:?} stands as {entry:?}"));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    let phantoms = journal
        .iter()
        .filter(|entry| !called.contains(entry.command.as_str()));
    found.extend(phantoms.map(|entry| format!("nobody called for {entry:?}")));
    found.extend(gaps(journal));
    found.extend(out_of_time(calls));
    found
}

fn says_the_same(call: &Call, entry: &Entry) -> bool {
    let Outcome::Done {
        position,
        version,
        events,
        ..
    } = &call.outcome
    else {
        return false;
    };
    let version_after = entry.version + entry.events.len() as u64;
    (&call.id, *position, *version, events)
        == (&entry.id, entry.position, version_after, &entry.events)
}

/// Versions of each aggregate begin at nothing and follow one another.
fn gaps(journal: &[Entry]) -> Vec<String> {
    let mut versions: HashMap<&str, u64> = HashMap::new();
    let mut found = Vec::new();
    let mut last = 0;
    for entry in journal {
        let version = versions.entry(&entry.id).or_default();
        if entry.version != *version {
            found.push(format!("{entry:?} does not follow version {version}"));
        }
        *version = entry.version + entry.events.len() as u64;
        if entry.position <= last {
            found.push(format!("{entry:?} stands behind position {last}"));
        }
        last = entry.position;
    }
    found
}

/// Whatever was answered before another call on the same aggregate was made stands before it.
fn out_of_time(calls: &[Call]) -> Vec<String> {
    let mut by_id: HashMap<&str, Vec<(u64, &Call)>> = HashMap::new();
    for call in calls {
        if let Outcome::Done { position, .. } = call.outcome {
            by_id.entry(&call.id).or_default().push((position, call));
        }
    }
    let mut found = Vec::new();
    for (id, calls) in &mut by_id {
        calls.sort_by_key(|(position, _)| *position);
        // The latest beginning among those before: none of them may have begun after this ended.
        let mut latest = 0;
        for (position, call) in calls.iter() {
            if call.ended < latest {
                found.push(format!(
                    "{id}: {} at {position} ended before an earlier one began",
                    call.key
                ));
            }
            latest = latest.max(call.began);
        }
    }
    found
}

/// What is wrong with the feed: every event of the journal once, in order.
pub(crate) fn feed_findings(journal: &[Entry], feed: &[Stored]) -> Vec<String> {
    let wanted = journal.iter().flat_map(|entry| {
        let events = entry.events.iter().zip(0_u32..);
        events.map(|(name, index)| {
            (
                format!("{}.{index}", entry.position),
                name.clone(),
                entry.id.clone(),
            )
        })
    });
    let has = feed.iter().map(|message| {
        let mut subject = message.subject.rsplit('.');
        let id = subject.next().unwrap_or_default().to_owned();
        let event = subject.next().unwrap_or_default().to_owned();
        (message.header("ce-id").to_owned(), event, id)
    });
    let (wanted, has): (Vec<_>, Vec<_>) = (wanted.collect(), has.collect());
    let pairs = wanted.iter().zip(&has);
    let mut found: Vec<String> = pairs
        .filter(|(wanted, has)| wanted != has)
        .take(3)
        .map(|(wanted, has)| format!("feed has {has:?} in the place of {wanted:?}"))
        .collect();
    if wanted.len() != has.len() {
        found.push(format!(
            "feed has {} events, the journal {}",
            has.len(),
            wanted.len()
        ));
    }
    found
}
