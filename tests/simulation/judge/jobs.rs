//! Jobs: enqueued once, one attempt at a time with rising numbers, and nothing behind an end but a requeue.

use std::collections::BTreeMap;

use domain::job::{Event, Job, Parent};
use domain::{Aggregate as _, Commit};
use uuid::Uuid;

use super::{Streams, of};

/// What a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unknown,
    Waiting,
    Running {
        attempt: u32,
    },
    /// Its attempt came to nothing, and the next event says what follows.
    Failing,
    Completed,
    Dead,
    Cancelled,
}

/// What became of a job.
#[derive(Debug)]
pub(super) struct History {
    pub(super) state: State,
    pub(super) parent: Option<Parent>,
    attempt: u32,
}

impl History {
    pub(super) fn has_ended(&self) -> bool {
        matches!(
            self.state,
            State::Completed | State::Dead | State::Cancelled
        )
    }
}

/// Every job, whether or not all was well with it.
pub(super) fn judge(streams: &Streams<'_>, faults: &mut Vec<String>) -> BTreeMap<Uuid, History> {
    let mut jobs = BTreeMap::new();
    for (id, events) in of::<Event>(streams, Job::CATEGORY) {
        let mut job = History {
            state: State::Unknown,
            parent: None,
            attempt: 0,
        };
        for (commit, event) in events {
            let before = job.state;
            match job.next(&event) {
                Some(state) => job.state = state,
                None => faults.push(told(id, commit, &event, before)),
            }
        }
        if job.state == State::Failing {
            faults.push(format!("job `{id}`: nothing follows its failure"));
        }
        jobs.insert(id, job);
    }
    jobs
}

fn told(id: Uuid, commit: &Commit, event: &Event, state: State) -> String {
    let position = commit.position;
    format!("job `{id}` was {state:?}, and at `{position}` comes {event:?}")
}

impl History {
    /// What the job is behind `event`; none, where that cannot follow.
    fn next(&mut self, event: &Event) -> Option<State> {
        use State::{Cancelled, Completed, Dead, Failing, Running, Unknown, Waiting};
        let runs = |number: &u32| self.state == Running { attempt: *number };
        match event {
            Event::Enqueued(spec) => {
                self.parent = spec.parent.clone();
                (self.state == Unknown).then_some(Waiting)
            }
            Event::Started { attempt, .. } => {
                let follows = self.state == Waiting && *attempt == self.attempt + 1;
                self.attempt = *attempt;
                follows.then_some(Running { attempt: *attempt })
            }
            Event::Progressed { attempt, .. } => runs(attempt).then_some(self.state),
            Event::Completed { attempt, .. } => runs(attempt).then_some(Completed),
            Event::Failed { attempt, .. } | Event::TimedOut { attempt, .. } => {
                runs(attempt).then_some(Failing)
            }
            Event::Released { attempt } => runs(attempt).then_some(Waiting),
            Event::Retried { .. } => (self.state == Failing).then_some(Waiting),
            // A waiting one whose deadline has passed.
            Event::DeadLettered { .. } => matches!(self.state, Failing | Waiting).then_some(Dead),
            Event::Cancelled { .. } => {
                matches!(self.state, Waiting | Running { .. } | Dead).then_some(Cancelled)
            }
            Event::Requeued => (self.state == Dead).then_some(Waiting),
        }
    }
}
