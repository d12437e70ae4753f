//! Batches: completed once, with the counts of their jobs, and followed by one job.

use std::collections::BTreeMap;

use domain::Aggregate as _;
use domain::batch::{self, Batch, Counts, Event};
use uuid::Uuid;

use super::jobs::{History, State};
use super::{Streams, of};

/// A batch as the judge follows it.
#[derive(Default)]
struct Followed {
    opened: u32,
    jobs: Option<u64>,
    completed: Vec<Counts>,
    follow_up: Option<Uuid>,
}

pub(super) fn judge(
    streams: &Streams<'_>,
    jobs: &BTreeMap<Uuid, History>,
    faults: &mut Vec<String>,
) {
    for (id, batch) in followed(streams) {
        if batch.opened != 1 || batch.completed.len() > 1 {
            let completed = batch.completed.len();
            faults.push(format!("batch `{id}` was completed `{completed}` times"));
        }
        let counts = counts(id, jobs);
        for said in &batch.completed {
            if !are_of(*said, counts) || batch.jobs != Some(said.ended()) {
                faults.push(format!(
                    "batch `{id}` completed with {said:?}, and has {counts:?}"
                ));
            }
        }
        if let Some(follow_up) = batch.follow_up
            && batch.completed.is_empty()
            && jobs.contains_key(&follow_up)
        {
            faults.push(format!("batch `{id}` is followed before it is completed"));
        }
    }
}

pub(super) fn unfinished(
    streams: &Streams<'_>,
    jobs: &BTreeMap<Uuid, History>,
    unfinished: &mut Vec<String>,
) {
    for (id, batch) in followed(streams) {
        if batch.completed.is_empty() {
            unfinished.push(format!("batch `{id}` is not completed"));
        }
        if let Some(follow_up) = batch.follow_up.filter(|job| !jobs.contains_key(job)) {
            unfinished.push(format!(
                "batch `{id}` waits for the follow-up `{follow_up}`"
            ));
        }
    }
}

fn followed(streams: &Streams<'_>) -> Vec<(Uuid, Followed)> {
    let batches = of::<Event>(streams, Batch::CATEGORY);
    let followed = batches.map(|(id, events)| {
        let mut batch = Followed::default();
        for (_, event) in events {
            match event {
                Event::Opened(spec) => {
                    batch.opened += 1;
                    batch.jobs = spec.jobs.map(|jobs| jobs.get());
                    let follow_up = |template| batch::follow_up(id, template, Counts::default()).0;
                    batch.follow_up = spec.on_complete.map(|template| follow_up(*template));
                }
                Event::Closed { jobs } => batch.jobs = Some(jobs.get()),
                Event::Completed { counts, .. } => batch.completed.push(counts),
            }
        }
        (id, batch)
    });
    followed.collect()
}

/// Whether a batch that has `counts` in the end may have completed with what was said. Nobody puts its jobs back,
/// and what can happen to one that has ended is that somebody cancels a dead one.
fn are_of(said: Counts, counts: Counts) -> bool {
    said.succeeded == counts.succeeded && said.dead >= counts.dead && said.ended() == counts.ended()
}

fn counts(id: Uuid, jobs: &BTreeMap<Uuid, History>) -> Counts {
    let mut counts = Counts::default();
    let parent = batch::parent(id);
    for job in jobs
        .values()
        .filter(|job| job.parent.as_ref() == Some(&parent))
    {
        match job.state {
            State::Completed => counts.succeeded += 1,
            State::Dead => counts.dead += 1,
            State::Cancelled => counts.cancelled += 1,
            State::Unknown | State::Waiting | State::Running { .. } | State::Failing => {}
        }
    }
    counts
}
