//! The journal on JetStream: one message a commit, on one literal subject an aggregate.
//!
//! - `message`: a commit as a message, there and back.
//! - `write`: single appends, and the answers that JetStream gives.
//! - `group`: many waiting appends as one atomic batch.
//! - `read`: one stream by direct get, and everything in order.
//! - `tail`: what is new, met once for all readers of a process; `newest`: where the tail has it from;
//!   `written`: what the process wrote itself, on the way there.
//!
//! Invariants: the expectation is always of the commit's own literal subject, never of a wildcard;
//! every message whose command can come again carries it as `Nats-Msg-Id`; nothing is deleted, and the
//! stream's settings forbid it.

mod group;
pub(super) mod message;
mod newest;
mod read;
mod tail;
mod write;
mod written;

use std::time::Duration;

use async_nats::Client;
use commands::journal::{Append, AppendError, Journal, ReadError};
use commands::seal::{RawCommit, RawTail};
use domain::{Commit, Entry, Position, StreamId};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use serde_json::json;

use super::api;
use super::settings::{SettingsError, Stream};
use group::Writer;
use tail::Tail;
use written::Written;

/// What one message may have: a server's default `max_payload`, headers included.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// How long JetStream remembers command ids. It only has to outlast the retries of one request: at any
/// later time the receipts of the read side know a command with a key.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Which stream, and how often it is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The stream's name; `JOURNAL`.
    pub stream: String,
    /// The first token of its subjects; `journal`.
    pub prefix: String,
    /// On how many servers; none leaves a stream that exists as it is, and makes a new one with 1.
    pub replicas: Option<usize>,
}

/// The journal on one connection. Clones share the queue of appends, and the consumer of what is new.
#[derive(Debug, Clone)]
pub struct JetStreamJournal {
    client: Client,
    settings: Settings,
    writer: Writer,
    tail: Tail,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream: "JOURNAL".to_owned(),
            prefix: "journal".to_owned(),
            replicas: None,
        }
    }
}

impl Settings {
    /// The usual ones, kept so many times.
    #[must_use]
    pub fn kept(replicas: Option<usize>) -> Self {
        Self {
            replicas,
            ..Self::default()
        }
    }
}

impl JetStreamJournal {
    /// Creates or mends the stream, and starts the task that writes groups; the task ends with the
    /// last clone.
    ///
    /// # Errors
    /// When the stream cannot be made what it must be.
    pub async fn open(client: Client, settings: Settings) -> Result<Self, SettingsError> {
        wanted(&settings).ensure(&client).await?;
        Ok(Self::of(client, settings))
    }

    /// The same for one who only looks: the stream is not made, and stays as it is.
    #[must_use]
    pub fn of(client: Client, settings: Settings) -> Self {
        let written = Written::default();
        let writer = Writer::start(client.clone(), settings.clone(), written.clone());
        let tail = Tail::new(client.clone(), settings.clone(), written);
        Self {
            client,
            settings,
            writer,
            tail,
        }
    }
}

pub(super) fn wanted(settings: &Settings) -> Stream {
    let own = json!({
        "deny_delete": true,
        "deny_purge": true,
        "allow_atomic": true,
        "max_msg_size": MESSAGE_BYTES_MAX,
        "duplicate_window": DUPLICATE_WINDOW.as_nanos() as u64,
    });
    Stream::new(&settings.stream, &settings.prefix, settings.replicas, own)
}

impl Journal for JetStreamJournal {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        self.writer.write(append).boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
    ) -> BoxStream<'_, Result<Commit, ReadError>> {
        read::one(&self.client, &self.settings, stream, after)
    }

    fn read_all(&self, after: Position) -> BoxStream<'static, Entry> {
        self.tail.read(after)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        async {
            let state = api::state(&self.client, &self.settings.stream).await?;
            Ok(Position(state.last_seq))
        }
        .boxed()
    }
}

impl RawTail for JetStreamJournal {
    fn follow_raw(&self, after: Position) -> BoxStream<'static, RawCommit> {
        self.tail.read_raw(after)
    }

    fn raw_end(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        self.head()
    }
}
