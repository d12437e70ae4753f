//! The journal as the read side reads it.

use commands::Journal;
use domain::{Entry, Position};
use futures_util::TryFutureExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::BoxStream;
use projections::{Source, SourceError};

use super::JetStreamJournal;

impl Source for JetStreamJournal {
    fn read_all(&self, after: Position) -> BoxStream<'static, Entry> {
        Journal::read_all(self, after)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, SourceError>> {
        Journal::head(self)
            .map_err(|error| SourceError(error.into()))
            .boxed()
    }
}
