//! The judge: what the journal has to be, from the journal itself and from what clients were told.
//!
//! It follows every kind of aggregate by rules of its own, and asks no aggregate what it would have said.

mod batches;
mod jobs;
mod log;
mod schedules;
mod tables;
mod told;

use std::collections::BTreeMap;

use commands::seal::RawCommit;
use domain::{Category, Commit, Event, StreamId};
use uuid::Uuid;

pub(crate) use self::tables::judge as tables;
use crate::record::Known;

/// The commits of each stream, in order.
type Streams<'a> = BTreeMap<&'a StreamId, Vec<&'a Commit>>;

/// What is wrong.
pub(crate) fn faults(raw: &[RawCommit], commits: &[Commit], known: &Known) -> Vec<String> {
    let streams = streams(commits);
    let mut faults = known.wrong.clone();
    log::judge(raw, &streams, &mut faults);
    told::judge(commits, known, &mut faults);
    let jobs = jobs::judge(&streams, &mut faults);
    schedules::judge(&streams, &jobs, &mut faults);
    batches::judge(&streams, &jobs, &mut faults);
    faults
}

/// What was begun and has not ended.
pub(crate) fn unfinished(commits: &[Commit]) -> Vec<String> {
    let streams = streams(commits);
    let jobs = jobs::judge(&streams, &mut vec![]);
    let mut unfinished = Vec::new();
    for (id, job) in jobs.iter().filter(|(_, job)| !job.has_ended()) {
        unfinished.push(format!("job `{id}` has not ended, it is {:?}", job.state));
    }
    schedules::unfinished(&streams, &jobs, &mut unfinished);
    batches::unfinished(&streams, &jobs, &mut unfinished);
    unfinished
}

fn streams(commits: &[Commit]) -> Streams<'_> {
    let mut streams = Streams::new();
    for commit in commits {
        streams.entry(&commit.stream).or_default().push(commit);
    }
    streams
}

/// The streams of one category, each with its id and its events.
fn of<'a, E: Event>(
    streams: &'a Streams<'a>,
    category: Category,
) -> impl Iterator<Item = (Uuid, Vec<(&'a Commit, E)>)> {
    let streams = streams
        .iter()
        .filter(move |(stream, _)| stream.is_of(category));
    streams.map(|(stream, commits)| {
        let id = stream.id.as_str().parse().expect("an id");
        let events = commits.iter().flat_map(|commit| {
            let events = commit.payload.events.iter();
            events.map(|event| (*commit, event.decode().expect("what was written")))
        });
        (id, events.collect())
    })
}
