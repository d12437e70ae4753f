//! The port to the journal: what the read side needs of the log, and nothing more.
//!
//! The write side has a port of its own; an adapter of the journal implements both. Here there is
//! no way to append.

use domain::{Entry, Position};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

/// The log, as the read side reads it.
pub trait Source: Send + Sync + 'static {
    /// Every entry behind `after`, and then every new one: the stream never ends, and gets over a
    /// lost connection by itself. Positions grow; an entry may come twice.
    fn read_all(&self, after: Position) -> BoxStream<'static, Entry>;

    /// Where the last entry stands.
    fn head(&self) -> BoxFuture<'_, Result<Position, SourceError>>;
}

/// The log did not answer.
#[derive(Debug, thiserror::Error)]
#[error("read the journal: not available")]
pub struct SourceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
