//! From a fact to its effects. Pure: the same fact has the same effects, however often it is seen.

use domain::job::{self, Job, Parent, ParentKind};
use domain::schedule::{self, RunOutcome, Schedule};
use domain::{Aggregate as _, Commit, EventPosition, Json, StreamId, Timestamp, Token};
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
}

/// An effect, and what it is the effect of.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    /// The event.
    pub cause: EventPosition,
    /// The schedule that it is about. Effects on one are carried out in the order of their causes.
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
            let (schedule, effect) = of_job(job, event)?;
            let id = Token::from(schedule);
            let about = StreamId::new(stream.tenant.clone(), Schedule::CATEGORY, id);
            Some((about, effect))
        })
    } else {
        vec![]
    }
}

fn of_schedule(event: schedule::Event) -> Option<Effect> {
    use schedule::Event;
    match event {
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

/// The schedule that waits for the job, and that it has ended.
fn of_job(job: Uuid, event: job::Event) -> Option<(Uuid, Effect)> {
    use job::Event;
    let (parent, outcome, result) = match event {
        Event::Completed { result, parent, .. } => (parent, RunOutcome::Succeeded, result),
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
    let end = Effect::EndRun {
        job,
        outcome,
        result,
    };
    Some((schedule_of(&parent?)?, end))
}

fn schedule_of(parent: &Parent) -> Option<Uuid> {
    match parent.kind {
        ParentKind::Schedule => parent.id.as_str().parse().ok(),
        ParentKind::Batch | ParentKind::Run => None,
    }
}

fn of_each<E: domain::Event>(
    commit: &Commit,
    mut effect: impl FnMut(E) -> Option<(StreamId, Effect)>,
) -> Vec<Reaction> {
    let mut reactions = Vec::new();
    for (index, recorded) in (0..).zip(&commit.payload.events) {
        let event = match recorded.decode() {
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
        reactions.extend(effect(event).map(|(about, effect)| Reaction {
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
