//! Job: work for a program, handed out to one worker at a time.
//! Stream `job.<id>`. Reads no clock: `context` says when the decision is made.
//!
//! ```text
//!                ┌──────── retried (failed, timed out), released ────────┐
//! enqueued ─▶ waiting ─▶ running ─────────────────────────────────────────┤
//!                ▲           ├─▶ completed                                │
//!            requeued        └─▶ dead (attempts used up, not retryable) ◀─┘
//!                └───────────────────┘            cancelled: from waiting, running, dead
//! ```
//!
//! Invariants: enqueued once; at most one attempt runs at a time, and each has a number of its own that
//! grows by one; whoever reports on an attempt names it, and only the running one is listened to, so
//! that a worker that lost its lease changes nothing. A completed job never changes again.
//!
//! Not here: when an attempt's lease ends and which job is next. That is the dispatcher's, which says
//! what it decided by [`Command::Start`] and [`Command::Expire`].

mod fields;
mod retry;
mod template;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

pub use self::fields::*;
pub use self::retry::*;
pub use self::template::*;
use crate::{Aggregate, Category, Context, Json, Name, Timestamp};

/// What may be asked of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Put it into its queue.
    Enqueue(Arc<Spec>),
    /// Hand it out to `worker` as the attempt with this number.
    Start { attempt: u32, worker: Name },
    /// Say how far the attempt is.
    Progress { attempt: u32, progress: Progress },
    /// Say that it is done.
    Complete { attempt: u32, result: Option<Json> },
    /// Say that the attempt failed; one that is not retryable is the last.
    Fail {
        attempt: u32,
        error: ErrorText,
        retryable: bool,
    },
    /// Give it back undone, as a worker does that goes away. The attempt does not count as a failure.
    Release { attempt: u32 },
    /// End the attempt for its worker.
    Expire { attempt: u32, cause: Expiry },
    /// Give up a waiting job whose deadline has passed.
    Overdue,
    /// End it undone.
    Cancel { reason: Option<Reason> },
    /// Let a dead job wait again, with its attempts counted anew.
    Requeue,
}

/// Facts on disk: add variants and fields, never change their meaning. What ends a job names its parent,
/// so that whoever waits for the end of a batch or a run needs no other event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// It waits in its queue.
    Enqueued(Arc<Spec>),
    /// A worker has it.
    Started { attempt: u32, worker: Name },
    /// Its worker told how far it is.
    Progressed {
        attempt: u32,
        #[serde(flatten)]
        progress: Progress,
    },
    /// It is done.
    Completed {
        attempt: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Json>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
    /// The attempt failed.
    Failed {
        attempt: u32,
        error: ErrorText,
        retryable: bool,
    },
    /// The attempt was ended for its worker.
    TimedOut { attempt: u32, cause: Expiry },
    /// The worker gave it back; it waits again.
    Released { attempt: u32 },
    /// It waits again, and is handed out no earlier than `at`.
    Retried { at: Timestamp },
    /// It ended undone, and waits for somebody to look at it.
    DeadLettered {
        cause: Death,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
    /// Somebody ended it undone.
    Cancelled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
    /// Somebody let the dead job wait again.
    Requeued,
}

/// Why a job says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Refusal {
    /// There is none of this id.
    #[error("no such job")]
    Unknown,
    /// The id is taken by a job that was enqueued otherwise.
    #[error("job was already enqueued")]
    AlreadyEnqueued,
    /// It is over.
    #[error("job has ended as `{0}`")]
    Ended(Status),
    /// Nobody works on it.
    #[error("job is not running, it is `{0}`")]
    NotRunning(Status),
    /// Another attempt runs, or none with this number was ever made.
    #[error("attempt `{attempt}` does not run, `{running}` does")]
    StaleAttempt { attempt: u32, running: u32 },
    /// It runs, or waits for a later time, or for another attempt.
    #[error("job is not ready for attempt `{attempt}`")]
    NotReady { attempt: u32 },
    /// Only a dead job can be put back.
    #[error("job is not dead, it is `{0}`")]
    NotDead(Status),
    /// The deadline lies in the future, or there is none.
    #[error("job is not overdue")]
    NotOverdue,
}

/// Only what the next decision needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    entry: Option<Entry>,
}

/// A job that was enqueued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    status: Status,
    /// The number of the last attempt; 0 before the first.
    attempt: u32,
    /// How many attempts failed or timed out since it was enqueued or requeued.
    failures: u32,
    /// A waiting job is not handed out before.
    ready_at: Option<Timestamp>,
    deadline: Option<Timestamp>,
    retry: Retry,
    progress: Option<Progress>,
    is_unique: bool,
    parent: Option<Parent>,
}

impl Aggregate for Job {
    const CATEGORY: Category = Category::new("job");
    const STATE_VERSION: u32 = 2;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Refusal> {
        let Some(entry) = &self.entry else {
            return match command {
                Command::Enqueue(spec) => Ok(vec![Event::Enqueued(spec.clone())]),
                _ => Err(Refusal::Unknown),
            };
        };
        match command {
            // The second enqueue of the same work is answered by the first job.
            Command::Enqueue(spec) if entry.is_unique && spec.unique.is_some() => Ok(vec![]),
            Command::Enqueue(_) => Err(Refusal::AlreadyEnqueued),
            Command::Start { attempt, worker } => entry.start(*attempt, worker, context),
            Command::Progress { attempt, progress } => {
                entry.running(*attempt)?;
                let is_news = entry.progress.as_ref() != Some(progress);
                let progressed = || Event::Progressed {
                    attempt: *attempt,
                    progress: progress.clone(),
                };
                Ok(is_news.then(progressed).into_iter().collect())
            }
            Command::Complete { attempt, result } => {
                entry.running(*attempt)?;
                Ok(vec![Event::Completed {
                    attempt: *attempt,
                    result: result.clone(),
                    parent: entry.parent.clone(),
                }])
            }
            Command::Fail {
                attempt,
                error,
                retryable,
            } => {
                entry.running(*attempt)?;
                let failed = Event::Failed {
                    attempt: *attempt,
                    error: error.clone(),
                    retryable: *retryable,
                };
                let death = (!retryable).then_some(Death::NotRetryable);
                Ok(vec![failed, entry.after_failure(death, context)])
            }
            Command::Release { attempt } => {
                entry.running(*attempt)?;
                Ok(vec![Event::Released { attempt: *attempt }])
            }
            Command::Expire { attempt, cause } => {
                entry.running(*attempt)?;
                let timed_out = Event::TimedOut {
                    attempt: *attempt,
                    cause: *cause,
                };
                let death = (*cause == Expiry::Deadline).then_some(Death::Deadline);
                Ok(vec![timed_out, entry.after_failure(death, context)])
            }
            Command::Overdue => entry.overdue(context),
            Command::Cancel { .. } if entry.status == Status::Cancelled => Ok(vec![]),
            Command::Cancel { .. } if entry.status == Status::Completed => {
                Err(Refusal::Ended(entry.status))
            }
            Command::Cancel { reason } => Ok(vec![Event::Cancelled {
                reason: reason.clone(),
                parent: entry.parent.clone(),
            }]),
            Command::Requeue if entry.status == Status::Dead => Ok(vec![Event::Requeued]),
            Command::Requeue => Err(Refusal::NotDead(entry.status)),
        }
    }

    fn evolve(&mut self, event: &Event, _at: Timestamp) {
        if let Event::Enqueued(spec) = event {
            self.entry = Some(Entry {
                status: Status::Waiting,
                attempt: 0,
                failures: 0,
                ready_at: spec.run_after,
                deadline: spec.deadline,
                retry: spec.retry,
                progress: None,
                is_unique: spec.unique.is_some(),
                parent: spec.parent.clone(),
            });
        }
        let Some(entry) = &mut self.entry else { return };
        match event {
            Event::Enqueued(_) => {}
            Event::Started { attempt, .. } => {
                entry.status = Status::Running;
                entry.attempt = *attempt;
                entry.ready_at = None;
                entry.progress = None;
            }
            Event::Progressed { progress, .. } => entry.progress = Some(progress.clone()),
            Event::Completed { .. } => entry.status = Status::Completed,
            Event::Failed { .. } | Event::TimedOut { .. } => entry.failures += 1,
            Event::Released { .. } => entry.status = Status::Waiting,
            Event::Retried { at } => {
                entry.status = Status::Waiting;
                entry.ready_at = Some(*at);
            }
            Event::DeadLettered { .. } => entry.status = Status::Dead,
            Event::Cancelled { .. } => entry.status = Status::Cancelled,
            Event::Requeued => {
                entry.status = Status::Waiting;
                entry.failures = 0;
                entry.ready_at = None;
                // Whoever puts an overdue job back means it.
                entry.deadline = None;
            }
        }
    }
}

impl Job {
    /// The state it is in; none before it was enqueued.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.entry.as_ref().map(|entry| entry.status)
    }
}

impl Entry {
    /// That `attempt` is the one that runs.
    fn running(&self, attempt: u32) -> Result<(), Refusal> {
        match self.status {
            Status::Running if attempt == self.attempt => Ok(()),
            Status::Running => Err(Refusal::StaleAttempt {
                attempt,
                running: self.attempt,
            }),
            Status::Waiting => Err(Refusal::NotRunning(self.status)),
            Status::Completed | Status::Dead | Status::Cancelled => {
                Err(Refusal::Ended(self.status))
            }
        }
    }

    fn start(&self, attempt: u32, worker: &Name, context: &Context) -> Result<Vec<Event>, Refusal> {
        if self.status.is_ended() {
            return Err(Refusal::Ended(self.status));
        }
        let is_time = self.ready_at.is_none_or(|at| at <= context.now());
        if self.status != Status::Waiting || !is_time || attempt != self.attempt + 1 {
            return Err(Refusal::NotReady { attempt });
        }
        Ok(vec![Event::Started {
            attempt,
            worker: worker.clone(),
        }])
    }

    /// What follows an attempt that was no success.
    fn after_failure(&self, death: Option<Death>, context: &Context) -> Event {
        let failures = self.failures + 1;
        let is_used_up = u64::from(failures) >= self.retry.attempts_max.get();
        let at = self.retry.backoff.after(failures, context.now());
        let is_too_late = self.deadline.is_some_and(|deadline| at >= deadline);
        let death = death
            .or(is_used_up.then_some(Death::AttemptsUsedUp))
            .or(is_too_late.then_some(Death::Deadline));
        match death {
            Some(cause) => self.dead(cause),
            None => Event::Retried { at },
        }
    }

    fn overdue(&self, context: &Context) -> Result<Vec<Event>, Refusal> {
        match self.status {
            Status::Waiting => {}
            Status::Running => return Err(Refusal::NotOverdue),
            Status::Completed | Status::Dead | Status::Cancelled => {
                return Err(Refusal::Ended(self.status));
            }
        }
        if self
            .deadline
            .is_none_or(|deadline| deadline > context.now())
        {
            return Err(Refusal::NotOverdue);
        }
        Ok(vec![self.dead(Death::Deadline)])
    }

    fn dead(&self, cause: Death) -> Event {
        Event::DeadLettered {
            cause,
            parent: self.parent.clone(),
        }
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
