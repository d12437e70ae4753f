//! What the servers can do when nothing but a client stands before them: the ceilings beside which
//! `ledgerline bench` puts its figures.
//!
//! - [`log`]: durable appends to a stream of its own, and an ordered read of any stream.
//! - [`tables`]: `UNNEST` upserts and `COPY` into equal tables in a schema of their own, what the
//!   tables of the program were written, and holding the read side back for a while.
//!
//! It writes only the stream [`log::STREAM`] and the schema [`tables::SCHEMA`], and removes both.
//! There is no decision, no fold and no encoding in here, or it would be no ceiling.

pub mod log;
mod rows;
pub mod tables;

pub use log::{RawAppend, RawLog};
pub use rows::Rows;
pub use tables::{RawTable, RawTables};

/// Why a ceiling could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// NATS could not be reached, or refused.
    #[error("measure the raw log: {doing}")]
    Log {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The ordered read of a stream ended before its last message.
    #[error("read stream `{stream}`: ended after `{messages}` messages")]
    Ended {
        /// The stream.
        stream: String,
        /// How far it came.
        messages: u64,
    },
    /// Postgres could not be reached, or refused.
    #[error("measure raw tables")]
    Tables(#[from] sqlx::Error),
    /// Postgres sent rows in a form that is not the one of `COPY … (format binary)`.
    #[error("read rows of `{table}`: unexpected binary form")]
    Form {
        /// The table.
        table: String,
    },
}
