//! The write side: from a command to a commit in the journal.
//!
//! This crate owns the ports that it needs ([`Journal`], [`Receipts`], [`Snapshots`], [`Clock`],
//! [`Feed`]) and knows no adapter: no NATS, no Postgres, no HTTP.
//!
//! - [`journal`]: the log, and what every implementation of it must do.
//! - [`handler`]: load, decide, append, and decide again when another writer was first.
//! - [`dispatch`]: which job goes to which worker.
//! - [`reactions`]: what follows from a fact without anybody asking, and what is due.
//! - [`receipts`]: what a command that was seen before was answered.
//! - [`snapshots`]: states of long streams.
//! - [`tickets`]: what stands for a token once.
//! - [`seal`]: signed statements about the journal, by which a change of it is found.
//! - [`feed`]: the public events, one a message, filled from the journal.

pub mod chain;
pub mod clock;
pub mod dispatch;
pub mod feed;
pub mod handler;
pub mod journal;
pub mod memory;
pub mod office;
pub mod reactions;
pub mod receipts;
pub mod request;
pub mod seal;
pub mod snapshots;
pub mod tickets;

pub use clock::Clock;
pub use feed::{Feed, FeedEvent};
pub use handler::{Failure, Handler};
pub use journal::{Append, AppendError, Journal, ReadError};
pub use receipts::{Known, Lookup, Receipts};
pub use request::{Receipt, Request};
pub use snapshots::{Snapshot, Snapshots};
