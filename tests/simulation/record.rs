//! What the clients know: every call, and what they were told.

use std::sync::{Mutex, MutexGuard};

use commands::Receipt;
use domain::{CommandId, Digest, Position, StreamId, Timestamp};
use uuid::Uuid;

/// What a client was told of its command, in the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Done(Receipt),
    /// A rule said no.
    Refused,
    /// It gave up before it knew.
    Nothing,
}

/// A command, from its first try to what its client was told in the end.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) command: CommandId,
    pub(crate) stream: StreamId,
    pub(crate) digest: Digest,
    pub(crate) begun: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) told: Told,
}

/// A job that a worker got.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Got {
    pub(crate) job: Uuid,
    pub(crate) attempt: u32,
    pub(crate) position: Position,
}

/// Everything that clients know.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<Known>);

#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) calls: Vec<Call>,
    pub(crate) got: Vec<Got>,
    /// Answers that are wrong whatever the journal has.
    pub(crate) wrong: Vec<String>,
}

impl Record {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nothing panics while it is held")
    }
}
