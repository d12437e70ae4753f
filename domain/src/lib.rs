//! The rules, and nothing else: aggregates, events, refusals, ids.
//!
//! Everything here is pure and total. There is no clock, no randomness, no database, no network and
//! no async runtime in this crate, and none may come in: time and ids arrive in [`Context`].
//!
//! - [`aggregate`]: what an aggregate is.
//! - [`assignment`]: the aggregate for work that somebody asks for and somebody does.
//! - [`batch`]: jobs that belong together, and what follows their end.
//! - [`commit`]: one decision as it stands in the journal.
//! - [`hex`]: bytes that are written as digits.
//! - [`ids`]: names of things, checked once, at the edge.
//! - [`job`]: the aggregate for work that a program does; [`queue`]: how it is handed out.
//! - [`schedule`]: jobs that are enqueued again and again.
//! - [`json`], [`labels`]: what several aggregates have.
//! - [`recorded`]: one event of a commit.
//! - [`text`], [`whole`]: texts and numbers with a named limit.

pub mod aggregate;
pub mod assignment;
pub mod batch;
pub mod commit;
pub mod hex;
pub mod ids;
pub mod job;
pub mod json;
pub mod labels;
pub mod queue;
pub mod recorded;
pub mod schedule;
#[cfg(test)]
mod spec;
pub mod text;
pub mod whole;

pub use aggregate::{Aggregate, Context, Event, OccurredInFuture, Refusal};
pub use commit::{Actor, Chain, Commit, Digest, Entry, NewCommit, Payload};
pub use hex::{Sha256, Signature};
pub use ids::{Category, CommandId, EventPosition, InvalidId, Position, StreamId, Tenant, Token};
pub use json::Json;
pub use recorded::RecordedEvent;
pub use text::{InvalidText, Name, Text};
pub use whole::{OutOfRange, Whole};

/// A moment, in UTC, with nanoseconds.
pub type Timestamp = jiff::Timestamp;
