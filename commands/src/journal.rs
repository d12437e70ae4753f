//! The journal: the one log that everything else is derived from.
//!
//! An implementation keeps these promises, and `journal::contract` (feature `contract`) tests them:
//! - an append whose position was returned survives the loss of every process and of power;
//! - an append is refused as [`AppendError::Conflict`] unless the stream's last commit stands exactly
//!   where the writer expected it;
//! - positions grow; every reader meets every commit once, in the order of positions;
//! - a command that can come again is taken once within the implementation's window of duplicates; a retry is
//!   answered with [`AppendError::Duplicate`] or, where the expectation is looked at first, with a conflict. One whose
//!   id was drawn for this once ([`CommandId::is_drawn`]) has its expectation alone.

use bytes::Bytes;
use domain::{Chain, CommandId, Commit, Entry, Position, StreamId};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

/// The most bytes that a commit's payload may have, in every implementation: one message of a server
/// with default settings (1 MiB), less 4 KiB for the headers.
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024 - 4 * 1024;

/// The log. Cheap to share; every method may be called at the same time as every other.
pub trait Journal: Send + Sync + 'static {
    /// Writes one commit.
    ///
    /// # Errors
    /// See [`AppendError`]; only [`AppendError::Unknown`] leaves open whether it was written.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>>;

    /// The commits of one stream behind `after`, to its present end.
    fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
    ) -> BoxStream<'_, Result<Commit, ReadError>>;

    /// Every entry behind `after`, and then every new one: the stream never ends, and gets over a
    /// lost connection by itself.
    fn read_all(&self, after: Position) -> BoxStream<'static, Entry>;

    /// Where the last commit stands.
    fn head(&self) -> BoxFuture<'_, Result<Position, ReadError>>;
}

/// One commit to be written.
#[derive(Debug, Clone)]
pub struct Append {
    /// On which stream.
    pub stream: StreamId,
    /// Where the stream's last commit stands; [`Position::START`] for a stream that has none.
    pub expected: Position,
    /// The command, by which duplicates are known where it can come again.
    pub id: CommandId,
    /// What [`domain::NewCommit::encode`] wrote.
    pub payload: Bytes,
    /// The chain's value at this commit.
    pub chain: Chain,
    /// The W3C `traceparent` of the request.
    pub trace: Option<String>,
}

/// Why a commit was not written, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another commit came first on this stream.
    #[error("append to `{stream}`: its last commit is not the expected one")]
    Conflict {
        /// The stream.
        stream: StreamId,
    },
    /// A commit of this command stands in the journal already, perhaps on another stream.
    #[error("append: command was already committed at `{0}`")]
    Duplicate(Position),
    /// The commit is larger than the journal takes.
    #[error("append: commit has `{bytes}` bytes, more than the limit of `{bytes_max}`")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// It cannot be told whether it was written: read the stream back before deciding again.
    #[error("append: outcome is unknown")]
    Unknown(#[source] BoxError),
    /// Nothing was written.
    #[error("append: journal is not available")]
    Unavailable(#[source] BoxError),
}

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It did not answer.
    #[error("read the journal: not available")]
    Unavailable(#[source] BoxError),
    /// What stands there is no commit.
    #[error("read the journal: entry at `{position}` is unreadable: {reason}")]
    Unreadable {
        /// Where.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
}

/// An adapter's own error, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
