//! The journal's contract, on JetStream.

use std::sync::Arc;

use commands::journal::contract::Fixture;
use commands::journal::{Append, AppendError, Journal, ReadError};
use domain::{Commit, Entry, Position, StreamId};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use infra::nats::JetStreamJournal;

use crate::server::Server;

commands::journal_contract!(fixture);

async fn fixture(claim: &str) -> Fixture {
    let server = Server::start().await;
    let journal = server.journal().await;
    Fixture::new(
        Arc::new(Served {
            journal,
            _server: server,
        }),
        claim,
    )
}

/// Keeps the server as long as its journal.
struct Served {
    journal: JetStreamJournal,
    _server: Arc<Server>,
}

impl Journal for Served {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        self.journal.append(append)
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
    ) -> BoxStream<'_, Result<Commit, ReadError>> {
        self.journal.read_stream(stream, after)
    }

    fn read_all(&self, after: Position) -> BoxStream<'static, Entry> {
        self.journal.read_all(after)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        self.journal.head()
    }
}
