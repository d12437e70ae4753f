//! What clients were told, against the journal: each acknowledged command stands once and whole, nothing
//! stands without a call, what was over before another call began stands before it, and each query saw a
//! beginning of the journal that is no older than what it asked for.

use std::collections::{HashMap, HashSet};

use super::{Finding, LOST, OWN, by_stream, position};
use crate::history::Op;
use crate::{Call, Commit, History, Outcome};

pub(super) fn findings(history: &History, commits: &[Commit]) -> Vec<Finding> {
    let by_command: HashMap<&str, &Commit> = commits
        .iter()
        .map(|commit| (commit.command.as_str(), commit))
        .collect();
    let mut found = Vec::new();
    let mut called: HashSet<&str> = HashSet::new();
    for call in &history.calls {
        match &call.outcome {
            Outcome::Done { command, .. } => {
                if !called.insert(command) {
                    found.push(Finding::of_call(call, "another call has its command"));
                }
                let commit = by_command.get(command.as_str());
                found.extend(of_commit(call, commit.copied()));
            }
            Outcome::Unknown => {
                found.push(Finding::of_call(call, "nobody knows its outcome"));
            }
            Outcome::Nothing | Outcome::Seen { .. } => {}
        }
    }
    let is_called = |commit: &&Commit| {
        called.contains(commit.command.as_str())
            || OWN.contains(&commit.principal.as_str())
            || is_without_receipt(commit)
    };
    let phantoms = commits.iter().filter(|commit| !is_called(commit));
    found.extend(phantoms.map(|commit| Finding::at(commit.position, "nobody called for it")));
    found.extend(out_of_time(&history.calls));
    found.extend(reads(&history.calls, commits));
    found
}

/// Whether it is what a claim or a heartbeat brings about, whose answers name no command.
fn is_without_receipt(commit: &Commit) -> bool {
    let is_one = |name: &str| ["started", "released", "progressed"].contains(&name);
    commit.category() == "job" && commit.events.iter().all(|event| is_one(&event.name))
}

fn of_commit(call: &Call, commit: Option<&Commit>) -> Option<Finding> {
    let Outcome::Done {
        position,
        version,
        events,
        ..
    } = &call.outcome
    else {
        return None;
    };
    let Some(commit) = commit else {
        return Some(Finding::of_call(call, LOST));
    };
    let names: Vec<_> = commit.events.iter().map(|event| &event.name).collect();
    let is_the_same = commit.stream == call.asked.stream
        && commit.position == *position
        && commit.version_after() == *version
        && names.into_iter().eq(events);
    let what = || format!("was told {:?}, and stands as {commit:?}", call.outcome);
    (!is_the_same).then(|| Finding::of_call(call, what()))
}

/// Whatever was answered before another call on the same aggregate began stands before it.
fn out_of_time(calls: &[Call]) -> Vec<Finding> {
    let mut by_stream: HashMap<&str, Vec<(u64, &Call)>> = HashMap::new();
    for call in calls {
        if let Some(position) = position(call) {
            let stream = by_stream.entry(&call.asked.stream).or_default();
            stream.push((position, call));
        }
    }
    let mut found = Vec::new();
    for calls in by_stream.values_mut() {
        calls.sort_by_key(|(position, _)| *position);
        // The latest beginning among those before: none of them may have begun after this ended.
        let mut latest = 0;
        for (position, call) in calls.iter() {
            if call.ended.is_some_and(|ended| ended < latest) {
                let what = format!("ended before one began that stands before {position}");
                found.push(Finding::of_call(call, what));
            }
            latest = latest.max(call.began);
        }
    }
    found
}

fn reads(calls: &[Call], commits: &[Commit]) -> Vec<Finding> {
    let streams = by_stream(commits);
    let mut found = Vec::new();
    for call in calls.iter().filter(|call| call.asked.op == Op::Read) {
        let Outcome::Seen { position, version } = call.outcome else {
            continue;
        };
        if let Some(wanted) = call.asked.min_position.filter(|wanted| position < *wanted) {
            let what = format!("asked for position {wanted} and was shown {position}");
            found.push(Finding::of_call(call, what));
        }
        let commits = streams.get(call.asked.stream.as_str());
        let commits = commits.map_or(&[][..], |commits| &commits[..]);
        let stood = commits.iter().rfind(|commit| commit.position <= position);
        let wanted = stood.map_or(0, |commit| commit.version_after());
        if version != wanted {
            let what = format!(
                "was shown version {version} at position {position}, where the journal has {wanted}"
            );
            found.push(Finding::of_call(call, what));
        }
    }
    found
}
