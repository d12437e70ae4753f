//! Batch: jobs that belong together, and what follows when all of them have ended.
//! Stream `batch.<id>`. Reads no clock.
//!
//! ```text
//! opened ─▶ open ─▶ closed ─▶ completed
//!             └──────▲ at once, where it was opened with its number of jobs
//! ```
//!
//! A batch does not know its jobs: they name it as their parent. It knows how many there are to be, once
//! somebody has said so, and takes that number as it was said. Whoever counts the jobs that have ended
//! asks for its completion.
//!
//! Invariants: opened once; its number of jobs is said once and never changes; completed once, and only
//! when at least as many jobs have ended. What becomes of its jobs afterwards, as when a dead one is put
//! back, changes nothing of it.

mod fields;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};
use uuid::Uuid;

pub use self::fields::*;
use crate::job::{self, Template};
use crate::{Aggregate, Category, Context, Timestamp};

/// What may be asked of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin it.
    Open(Box<Spec>),
    /// Say how many jobs it has; there will be no more.
    Close {
        /// The number.
        jobs: JobCount,
    },
    /// Say that all of its jobs have ended.
    Complete(Counts),
}

/// Facts on disk: add variants and fields, never change their meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// Jobs may be enqueued as its parts. It is closed already where the number of its jobs is said.
    Opened(Box<Spec>),
    /// It has so many jobs.
    Closed {
        /// The number.
        jobs: JobCount,
    },
    /// All of its jobs have ended.
    Completed {
        /// How they ended.
        counts: Counts,
        /// The job that follows, so that whoever enqueues it ([`follow_up`]) needs no other event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_complete: Option<Box<Template>>,
    },
}

/// Why a batch says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Refusal {
    /// There is none of this id.
    #[error("no such batch")]
    Unknown,
    /// The id is taken by a batch that was opened otherwise.
    #[error("batch was already opened")]
    AlreadyOpened,
    /// Another number was said before.
    #[error("batch was already closed with `{0}` jobs")]
    AlreadyClosed(JobCount),
    /// Nobody has said how many jobs it has.
    #[error("batch is not closed")]
    NotClosed,
    /// Fewer jobs have ended than it has.
    #[error("`{ended}` of the batch's `{jobs}` jobs have ended")]
    NotEnded {
        /// How many have.
        ended: u64,
        /// How many it has.
        jobs: JobCount,
    },
}

/// Only what the next decision needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    entry: Option<Entry>,
}

/// A batch that was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    spec: Box<Spec>,
    closed: Option<JobCount>,
    is_completed: bool,
}

impl Aggregate for Batch {
    const CATEGORY: Category = Category::new("batch");
    const STATE_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: &Command, _context: &Context) -> Result<Vec<Event>, Refusal> {
        let Some(entry) = &self.entry else {
            return match command {
                Command::Open(spec) => Ok(vec![Event::Opened(spec.clone())]),
                Command::Close { .. } | Command::Complete(_) => Err(Refusal::Unknown),
            };
        };
        match command {
            // Whoever lost the answer, or broke off among the jobs, begins again.
            Command::Open(spec) if *spec == entry.spec => Ok(vec![]),
            Command::Open(_) => Err(Refusal::AlreadyOpened),
            Command::Close { jobs } => match entry.closed {
                None => Ok(vec![Event::Closed { jobs: *jobs }]),
                Some(closed) if closed == *jobs => Ok(vec![]),
                Some(closed) => Err(Refusal::AlreadyClosed(closed)),
            },
            Command::Complete(counts) => entry.complete(*counts),
        }
    }

    fn evolve(&mut self, event: &Event, _at: Timestamp) {
        if let Event::Opened(spec) = event {
            self.entry = Some(Entry {
                spec: spec.clone(),
                closed: spec.jobs,
                is_completed: false,
            });
        }
        let Some(entry) = &mut self.entry else { return };
        match event {
            Event::Opened(_) => {}
            Event::Closed { jobs } => entry.closed = Some(*jobs),
            Event::Completed { .. } => entry.is_completed = true,
        }
    }
}

impl Entry {
    fn complete(&self, counts: Counts) -> Result<Vec<Event>, Refusal> {
        if self.is_completed {
            return Ok(vec![]);
        }
        let jobs = self.closed.ok_or(Refusal::NotClosed)?;
        let ended = counts.ended();
        if ended < jobs.get() {
            return Err(Refusal::NotEnded { ended, jobs });
        }
        Ok(vec![Event::Completed {
            counts,
            on_complete: self.spec.on_complete.clone(),
        }])
    }
}

/// The job that follows the completion of the batch `id`. Its id is made from the batch's, so that whoever
/// enqueues it may do so twice. It is told the counts, unless the template has a payload.
#[must_use]
pub fn follow_up(id: Uuid, mut template: Template, counts: Counts) -> (Uuid, job::Spec) {
    let payload = || counts.payload(id);
    template.payload = Some(template.payload.unwrap_or_else(payload));
    template.labels = template.labels.with_id(&label(), id);
    (Uuid::new_v5(&id, b"on_complete"), template.spec(None, None))
}

/// The id of the job at `index`, from 0, of those that came with the opening of the batch `id`.
#[must_use]
pub fn job_id(id: Uuid, index: u32) -> Uuid {
    Uuid::new_v5(&id, format!("job {index}").as_bytes())
}

/// What the jobs of the batch `id` name as their parent.
#[must_use]
pub fn parent(id: Uuid) -> job::Parent {
    job::Parent {
        kind: job::ParentKind::Batch,
        id: id.into(),
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
