//! Schedule: jobs that are enqueued again and again.
//! Stream `schedule.<id>`. Reads no clock: `context` says when the decision is made.
//!
//! What is due is a function of the recurrence and of the last time that was decided on ([`Schedule::next`]),
//! so a schedule that is asked twice about one time fires once. Each fire names its job, whose id comes from the
//! schedule and the time; whoever enqueues it may do so twice.
//!
//! Invariants: created once; times are decided on in their order, each once (fired, skipped or queued); a
//! schedule that is paused or deleted decides on nothing; as many failures in a row as it may have pause it.

mod business;
mod changes;
mod due;
mod fields;
mod recurrence;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

pub use self::business::*;
pub use self::changes::*;
pub use self::fields::*;
pub use self::recurrence::*;
use crate::{Aggregate, Category, Context, Json, Timestamp};

/// What may be asked of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin it, under its own id, from which those of its jobs are made.
    Create { id: Uuid, spec: Box<Spec> },
    /// Go on otherwise from now on.
    Change(Box<Spec>),
    /// Decide on nothing until it is resumed.
    Pause { reason: Option<Reason> },
    /// Go on; what was due meanwhile is caught up with as its policy says.
    Resume,
    /// Enqueue one job now, whatever the recurrence says.
    Trigger { job: Uuid },
    /// Enqueue a job for each time from `from` to before `to`, up to [`BACKFILL_MAX`].
    Backfill { from: Timestamp, to: Timestamp },
    /// Decide on what has become due.
    Fire,
    /// A job that it fired has ended.
    EndRun {
        job: Uuid,
        outcome: RunOutcome,
        result: Option<Json>,
    },
    /// End it.
    Delete,
}

/// Facts on disk: add variants and fields, never change their meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// It decides on times from now on.
    Created { id: Uuid, spec: Box<Spec> },
    /// It goes on otherwise.
    Changed(Box<Spec>),
    /// It decides on nothing.
    Paused {
        cause: PauseCause,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// It decides again.
    Resumed,
    /// A job is to be enqueued.
    Fired {
        due: Timestamp,
        job: Uuid,
        cause: FireCause,
        /// Not handed out before: the time, and its jitter.
        run_after: Timestamp,
    },
    /// Nothing is done for so many times, the last of them `due`.
    Skipped {
        due: Timestamp,
        count: u32,
        cause: SkipCause,
    },
    /// The time waits for the end of what runs.
    Queued { due: Timestamp },
    /// A job that runs is to be cancelled, for the next one.
    Superseded { job: Uuid },
    /// A job that it fired has ended.
    RunEnded {
        job: Uuid,
        outcome: RunOutcome,
        /// From the last result to this one, where the spec asks for it and the run succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<Changes>,
    },
    /// It is over.
    Deleted,
}

/// Why a schedule says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Refusal {
    /// There is none of this id.
    #[error("no such schedule")]
    Unknown,
    /// The id is taken.
    #[error("schedule was already created")]
    AlreadyCreated,
    /// It is over.
    #[error("schedule was deleted")]
    Deleted,
    /// Nothing is due.
    #[error("nothing is due")]
    NotDue,
    /// Too many times lie in the range, or none.
    #[error("must have from `1` to `{}` times in the range", BACKFILL_MAX)]
    BackfillRange,
    /// It ends before it begins.
    #[error("must end after it starts")]
    EndsBeforeItStarts,
}

/// How many jobs one backfill may enqueue.
pub const BACKFILL_MAX: usize = 500;

/// Only what the next decision needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    plan: Option<Plan>,
}

/// A schedule that was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plan {
    id: Uuid,
    spec: Box<Spec>,
    status: Status,
    /// The last time that was decided on.
    decided: Timestamp,
    /// Jobs that have not ended.
    running: Vec<Uuid>,
    /// Times that wait for the end of what runs.
    queued: VecDeque<Timestamp>,
    /// Failures in a row.
    failures: u32,
    /// That of the last run that was compared; `null` before the first.
    last_result: serde_json::Value,
}

impl Aggregate for Schedule {
    const CATEGORY: Category = Category::new("schedule");
    const STATE_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Refusal> {
        let Some(plan) = &self.plan else {
            return match command {
                Command::Create { id, spec } => {
                    spec.check()?;
                    Ok(vec![Event::Created {
                        id: *id,
                        spec: spec.clone(),
                    }])
                }
                _ => Err(Refusal::Unknown),
            };
        };
        let is_deleted = plan.status == Status::Deleted;
        match command {
            Command::Create { .. } => Err(Refusal::AlreadyCreated),
            Command::Delete if is_deleted => Ok(vec![]),
            // A run that was fired before ends all the same.
            Command::EndRun {
                job,
                outcome,
                result,
            } => Ok(plan.end_run(*job, *outcome, result.as_ref())),
            _ if is_deleted => Err(Refusal::Deleted),
            Command::Change(spec) if *spec == plan.spec => Ok(vec![]),
            Command::Change(spec) => {
                spec.check()?;
                Ok(vec![Event::Changed(spec.clone())])
            }
            Command::Pause { .. } if plan.status == Status::Paused => Ok(vec![]),
            Command::Pause { reason } => Ok(vec![Event::Paused {
                cause: PauseCause::Asked,
                reason: reason.clone(),
            }]),
            Command::Resume if plan.status == Status::Active => Ok(vec![]),
            Command::Resume => {
                let is_idle = plan.running.is_empty();
                let queued = is_idle.then(|| plan.fire_queued()).flatten();
                Ok([Event::Resumed].into_iter().chain(queued).collect())
            }
            Command::Trigger { job } => {
                let now = context.now();
                Ok(vec![plan.fire(now, *job, FireCause::Triggered, now)])
            }
            Command::Backfill { from, to } => plan.backfill(*from, *to),
            Command::Fire => plan.decide_due(context.now()),
            Command::Delete => Ok(vec![Event::Deleted]),
        }
    }

    fn evolve(&mut self, event: &Event, at: Timestamp) {
        if let Event::Created { id, spec } = event {
            self.plan = Some(Plan {
                id: *id,
                spec: spec.clone(),
                status: Status::Active,
                decided: at,
                running: Vec::new(),
                queued: VecDeque::new(),
                failures: 0,
                last_result: serde_json::Value::Null,
            });
        }
        let Some(plan) = &mut self.plan else { return };
        match event {
            Event::Created { .. } => {}
            Event::Changed(spec) => {
                plan.spec = spec.clone();
                plan.decided = plan.decided.max(at);
            }
            Event::Paused { .. } => plan.status = Status::Paused,
            Event::Resumed => {
                plan.status = Status::Active;
                plan.failures = 0;
            }
            Event::Fired {
                due, job, cause, ..
            } => {
                plan.running.push(*job);
                match cause {
                    FireCause::Due | FireCause::CaughtUp => plan.decided = plan.decided.max(*due),
                    FireCause::Queued => drop(plan.queued.pop_front()),
                    FireCause::Triggered | FireCause::Backfilled => {}
                }
            }
            Event::Skipped { due, .. } => plan.decided = plan.decided.max(*due),
            Event::Queued { due } => {
                plan.decided = plan.decided.max(*due);
                plan.queued.push_back(*due);
            }
            Event::Superseded { .. } => {}
            Event::RunEnded {
                job,
                outcome,
                changes,
            } => {
                plan.running.retain(|running| running != job);
                plan.failures = outcome.failures(plan.failures);
                if let Some(changes) = changes {
                    plan.last_result = changes.apply(&plan.last_result);
                }
            }
            Event::Deleted => {
                plan.status = Status::Deleted;
                plan.queued.clear();
            }
        }
    }
}

impl Schedule {
    /// The state it is in; none before it was created.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.plan.as_ref().map(|plan| plan.status)
    }

    /// What it enqueues; none before it was created.
    #[must_use]
    pub fn spec(&self) -> Option<&Spec> {
        self.plan.as_ref().map(|plan| &*plan.spec)
    }

    /// The next time to decide on, which may have passed; none while it decides on nothing.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        let plan = self.plan.as_ref()?;
        (plan.status == Status::Active)
            .then(|| plan.spec.next(plan.decided))
            .flatten()
    }

    /// The jobs that it fired and that have not ended.
    #[must_use]
    pub fn running(&self) -> &[Uuid] {
        self.plan.as_ref().map_or(&[], |plan| &plan.running)
    }
}

impl crate::Event for Event {
    const NAMES: &'static [&'static str] = Self::VARIANTS;

    fn name(&self) -> &'static str {
        self.into()
    }

    fn version(&self) -> u16 {
        1
    }
}

impl crate::Refusal for Refusal {
    fn code(&self) -> &'static str {
        self.into()
    }

    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}
