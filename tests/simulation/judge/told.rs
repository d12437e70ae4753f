//! What clients were told against what the journal has.

use std::collections::{BTreeMap, HashMap};

use commands::Receipt;
use domain::{CommandId, Commit, Position, StreamId, Timestamp, job};

use crate::clients::CLIENT;
use crate::record::{Call, Known, Told};

pub(super) fn judge(commits: &[Commit], known: &Known, faults: &mut Vec<String>) {
    let by_command: HashMap<CommandId, &Commit> =
        commits.iter().map(|commit| (commit.id(), commit)).collect();
    let mut asked: HashMap<CommandId, &Call> = HashMap::new();
    for call in &known.calls {
        asked.insert(call.command, call);
        let commit = by_command.get(&call.command).copied();
        let is_kept = match &call.told {
            Told::Done(receipt) => is_whole(call, receipt, commit, commits),
            Told::Refused => commit.is_none(),
            Told::Nothing => commit.is_none_or(|commit| is_of(call, commit)),
        };
        if !is_kept {
            faults.push(format!("{call:?} is in the journal as {commit:?}"));
        }
    }
    for commit in commits {
        let is_asked = asked.contains_key(&commit.id());
        if commit.payload.actor.principal.as_str() == CLIENT && !is_asked {
            faults.push(format!(
                "nobody asked for what stands at `{}`",
                commit.position
            ));
        }
    }
    in_order(known, faults);
    handed_out(commits, known, faults);
}

fn is_of(call: &Call, commit: &Commit) -> bool {
    commit.stream == call.stream && commit.payload.request == call.digest
}

/// Whether the journal has what the receipt says, and nothing else.
fn is_whole(call: &Call, receipt: &Receipt, commit: Option<&Commit>, commits: &[Commit]) -> bool {
    if receipt.unchanged {
        let of_stream = commits.iter().filter(|other| other.stream == call.stream);
        let mut last = of_stream.filter(|other| other.position <= receipt.position);
        let version = last.next_back().map(Commit::version_after);
        return commit.is_none() && version == Some(receipt.version);
    }
    commit.is_some_and(|commit| {
        let events = commit.payload.events.iter().map(|event| &*event.name);
        is_of(call, commit)
            && commit.position == receipt.position
            && commit.version_after() == receipt.version
            && commit.id() == receipt.command
            && commit.stream.id.as_str() == receipt.id
            && events.eq(receipt.events.iter().map(String::as_str))
    })
}

/// What was answered before something else was asked for stands before it.
fn in_order(known: &Known, faults: &mut Vec<String>) {
    let mut of_stream: BTreeMap<&StreamId, Vec<(Timestamp, Timestamp, Position)>> = BTreeMap::new();
    for call in &known.calls {
        if let Told::Done(receipt) = &call.told
            && !receipt.unchanged
        {
            let times = of_stream.entry(&call.stream).or_default();
            times.push((call.begun, call.ended, receipt.position));
        }
    }
    for (stream, calls) in of_stream {
        for (_, ended, first) in &calls {
            let later = calls.iter().filter(|(begun, _, _)| begun > ended);
            for (_, _, second) in later.filter(|(_, _, second)| second < first) {
                faults.push(format!(
                    "`{second}` of `{stream}` was asked for after `{first}` was answered"
                ));
            }
        }
    }
}

/// No two workers got the same attempt, and each got one that stands where it was told.
fn handed_out(commits: &[Commit], known: &Known, faults: &mut Vec<String>) {
    let mut got: Vec<_> = known.got.clone();
    got.sort();
    for pair in got.windows(2) {
        if (pair[0].job, pair[0].attempt) == (pair[1].job, pair[1].attempt) {
            faults.push(format!("two workers got {:?}", pair[0]));
        }
    }
    for got in got {
        let at = usize::try_from(got.position.0).ok();
        let commit = at.and_then(|at| commits.get(at.checked_sub(1)?));
        let is_there = commit.is_some_and(|commit| {
            let started = commit.payload.events.first();
            let started = started.and_then(|event| event.decode::<job::Event>().ok());
            commit.stream.id.as_str() == got.job.to_string()
                && matches!(started, Some(job::Event::Started { attempt, .. }) if attempt == got.attempt)
        });
        if !is_there {
            faults.push(format!("a worker got {got:?}, which is not in the journal"));
        }
    }
}
