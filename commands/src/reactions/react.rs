//! From a fact to its effects. Pure: the same fact has the same effects, however often it is seen.

use std::sync::Arc;

use domain::batch::{self, Batch};
use domain::job::{self, Job, Parent, ParentKind};
use domain::schedule::{self, RunOutcome, Schedule};
use domain::{Aggregate as _, Category, Commit, EventPosition, Json, StreamId, Timestamp, Token};
use uuid::Uuid;

/// What follows from a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A schedule has fired: its job is enqueued, as its spec describes it.
    EnqueueRun {
        /// Under which id.
        job: Uuid,
        /// Not handed out before.
        run_after: Timestamp,
    },
    /// A later job takes the place of this one.
    CancelRun {
        /// Which.
        job: Uuid,
    },
    /// A job that a schedule has fired has ended.
    EndRun {
        /// Which.
        job: Uuid,
        /// How.
        outcome: RunOutcome,
        /// With what, where it succeeded.
        result: Option<Json>,
    },
    /// A batch may be over: it is completed, if all of its jobs have ended.
    CompleteBatch {
        /// Whether one of its jobs has ended; else something was said of the batch itself.
        is_of_job: bool,
    },
    /// A batch is completed: the job is enqueued that follows.
    EnqueueFollowUp {
        /// Under which id.
        job: Uuid,
        /// What is to be done.
        spec: Arc<job::Spec>,
    },
}

/// An effect, and what it is the effect of.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    /// The event.
    pub cause: EventPosition,
    /// The schedule or the batch that it is about. Effects on one are carried out in the order of their causes.
    pub about: StreamId,
    /// What follows.
    pub effect: Effect,
}

/// The effects of one commit. An event that cannot be decoded has none, visibly.
#[must_use]
pub fn react(commit: &Commit) -> Vec<Reaction> {
    let stream = &commit.stream;
    if stream.is_of(Schedule::CATEGORY) {
        of_each(commit, |event| Some((stream.clone(), of_schedule(event)?)))
    } else if stream.is_of(Job::CATEGORY) {
        let Ok(job) = stream.id.as_str().parse::<Uuid>() else {
            return vec![];
        };
        of_each(commit, |event| {
            let (category, id, effect) = of_job(job, event)?;
            let about = StreamId::new(stream.tenant.clone(), category, Token::from(id));
            Some((about, effect))
        })
    } else if stream.is_of(Batch::CATEGORY) {
        let Ok(batch) = stream.id.as_str().parse::<Uuid>() else {
            return vec![];
        };
        of_each(commit, |event| {
            Some((stream.clone(), of_batch(batch, event)?))
        })
    } else {
        vec![]
    }
}

fn of_schedule(event: &schedule::Event) -> Option<Effect> {
    use schedule::Event;
    match *event {
        Event::Fired { job, run_after, .. } => Some(Effect::EnqueueRun { job, run_after }),
        Event::Superseded { job } => Some(Effect::CancelRun { job }),
        Event::Created { .. }
        | Event::Changed(_)
        | Event::Paused { .. }
        | Event::Resumed
        | Event::Skipped { .. }
        | Event::Queued { .. }
        | Event::RunEnded { .. }
        | Event::Deleted => None,
    }
}

fn of_batch(id: Uuid, event: &batch::Event) -> Option<Effect> {
    use batch::Event;
    match event {
        Event::Opened(spec) if spec.jobs.is_none() => None,
        // Its jobs may all have ended before, or it has none.
        Event::Opened(_) | Event::Closed { .. } => Some(Effect::CompleteBatch { is_of_job: false }),
        Event::Completed {
            counts,
            on_complete,
        } => {
            let on_complete = on_complete.as_deref()?.clone();
            let (job, spec) = batch::follow_up(id, on_complete, *counts);
            let spec = Arc::new(spec);
            Some(Effect::EnqueueFollowUp { job, spec })
        }
    }
}

/// The schedule or the batch that waits for the job, and that it has ended.
fn of_job(job: Uuid, event: &job::Event) -> Option<(Category, Uuid, Effect)> {
    use job::Event;
    let (parent, outcome, result) = match event {
        Event::Completed { result, parent, .. } => (parent, RunOutcome::Succeeded, result.as_ref()),
        Event::DeadLettered { parent, .. } => (parent, RunOutcome::Failed, None),
        Event::Cancelled { parent, .. } => (parent, RunOutcome::Cancelled, None),
        Event::Enqueued(_)
        | Event::Started { .. }
        | Event::Progressed { .. }
        | Event::Failed { .. }
        | Event::TimedOut { .. }
        | Event::Released { .. }
        | Event::Retried { .. }
        | Event::Requeued => return None,
    };
    let Parent { kind, id } = parent.as_ref()?;
    let id = id.as_str().parse().ok()?;
    match kind {
        ParentKind::Schedule => {
            let end = Effect::EndRun {
                job,
                outcome,
                result: result.cloned(),
            };
            Some((Schedule::CATEGORY, id, end))
        }
        ParentKind::Batch => {
            let complete = Effect::CompleteBatch { is_of_job: true };
            Some((Batch::CATEGORY, id, complete))
        }
        ParentKind::Run => None,
    }
}

fn of_each<E: domain::Event>(
    commit: &Commit,
    mut effect: impl FnMut(&E) -> Option<(StreamId, Effect)>,
) -> Vec<Reaction> {
    let mut reactions = Vec::new();
    for (index, recorded) in (0..).zip(&commit.payload.events) {
        let event = match recorded.shared() {
            Ok(event) => event,
            Err(error) => {
                metrics::counter!("ledgerline_reactions_unreadable_total").increment(1);
                tracing::error!(
                    position = commit.position.0,
                    error = &error as &dyn std::error::Error,
                    "nothing follows from an event that the reactor cannot take"
                );
                continue;
            }
        };
        reactions.extend(effect(&event).map(|(about, effect)| Reaction {
            cause: EventPosition {
                position: commit.position,
                index,
            },
            about,
            effect,
        }));
    }
    reactions
}
