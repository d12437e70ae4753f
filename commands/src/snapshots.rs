//! Snapshots: the state of a long stream at some position, so that its history need not be folded
//! from the start. They are a cache: losing them costs time and nothing else.

use bytes::Bytes;
use domain::{Chain, Position, StreamId};
use futures_util::future::BoxFuture;

use crate::journal::BoxError;

/// Keeps the newest snapshot of each stream.
pub trait Snapshots: Send + Sync + 'static {
    /// The newest snapshot of `stream`, if there is one.
    ///
    /// # Errors
    /// When the store does not answer; the caller folds the whole stream instead.
    fn load<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, BoxError>>;

    /// Replaces the snapshot of its stream.
    ///
    /// # Errors
    /// When the store does not answer; nothing is lost but time.
    fn save(&self, snapshot: Snapshot) -> BoxFuture<'_, Result<(), BoxError>>;
}

/// The state of one aggregate after its commit at `position`.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Whose state.
    pub stream: StreamId,
    /// [`domain::Aggregate::STATE_VERSION`] of the program that wrote it.
    pub state_version: u32,
    /// The last commit in it.
    pub position: Position,
    /// How many events are in it.
    pub version: u64,
    /// The chain's value at `position`.
    pub chain: Chain,
    /// The state as JSON.
    pub state: Bytes,
}
