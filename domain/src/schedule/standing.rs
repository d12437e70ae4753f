//! How a schedule stands: what its next decision goes by, beside its spec. The read model folds the same.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Event, FireCause, Spec, Status};
use crate::Timestamp;

/// How a schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub(super) status: Status,
    /// The last time that was decided on.
    pub(super) decided: Timestamp,
    /// Jobs that have not ended.
    pub(super) running: Vec<Uuid>,
    /// Times that wait for the end of what runs.
    pub(super) queued: VecDeque<Timestamp>,
    /// Failures in a row.
    pub(super) failures: u32,
}

impl Standing {
    /// That of a schedule that was created at `at`.
    #[must_use]
    pub fn begin(at: Timestamp) -> Self {
        Self {
            status: Status::Active,
            decided: at,
            running: Vec::new(),
            queued: VecDeque::new(),
            failures: 0,
        }
    }

    /// Takes in what has happened at `at`.
    pub fn take(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Created { .. } => *self = Self::begin(at),
            Event::Changed(_) => self.decided = self.decided.max(at),
            Event::Paused { .. } => self.status = Status::Paused,
            Event::Resumed => {
                self.status = Status::Active;
                self.failures = 0;
            }
            Event::Fired {
                due, job, cause, ..
            } => {
                self.running.push(*job);
                match cause {
                    FireCause::Due | FireCause::CaughtUp => self.decided = self.decided.max(*due),
                    FireCause::Queued => drop(self.queued.pop_front()),
                    FireCause::Triggered | FireCause::Backfilled => {}
                }
            }
            Event::Skipped { due, .. } => self.decided = self.decided.max(*due),
            Event::Queued { due } => {
                self.decided = self.decided.max(*due);
                self.queued.push_back(*due);
            }
            Event::Superseded { .. } => {}
            Event::RunEnded { job, outcome, .. } => {
                self.running.retain(|running| running != job);
                self.failures = outcome.failures(self.failures);
            }
            Event::Deleted => {
                self.status = Status::Deleted;
                self.queued.clear();
            }
        }
    }

    /// The next time to decide on, which may have passed; none while it decides on nothing.
    #[must_use]
    pub fn next(&self, spec: &Spec) -> Option<Timestamp> {
        (self.status == Status::Active)
            .then(|| spec.next(self.decided))
            .flatten()
    }

    /// The state it is in.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The jobs that it fired and that have not ended.
    #[must_use]
    pub fn running(&self) -> &[Uuid] {
        &self.running
    }

    /// How many times wait for the end of what runs.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.len()
    }

    /// How many failures in a row there are.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}
