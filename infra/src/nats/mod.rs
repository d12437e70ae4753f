//! JetStream: the journal, the snapshots and the feed as streams of a NATS server.
//!
//! - [`connection`]: how a client connects, and how it gets over losing the connection.
//! - [`cut_off`]: how it leaves a server that is cut off from the others.
//! - [`server`]: whether the server is one to trust a journal to.
//! - [`quorum`]: who keeps a stream, and whether it takes messages.
//! - [`settings`]: the streams' settings, checked and mended at start; [`streams`]: those of all of them.
//! - [`journal`]: `journal.<tenant>.<category>.<id>`, one message a commit.
//! - [`raw`]: the journal as it is stored, for seals and verification.
//! - [`refill`]: an empty journal is filled from a backup.
//! - [`seals`]: `seal.journal`, the seals of the journal.
//! - [`snapshots`]: `snapshot.<tenant>.<category>.<id>`, the last message of each subject.
//! - [`dispatch`]: `dispatch.v1.*`, how other processes ask the dispatcher in office.
//! - [`requests`]: `worker.v1.>`, requests of users that have no HTTP.
//! - [`feed`]: `feed.<tenant>.<category>.<event>.<id>`, one CloudEvent a message, and replays.
//!
//! What the client library lacks (batch direct get, atomic batches, a consumer that is watched) is
//! done here on plain messages, after the server's own protocol (ADR-4, 15, 31, 50 of NATS).

mod api;
pub mod connection;
pub mod cut_off;
mod direct;
pub mod dispatch;
pub mod feed;
pub mod journal;
mod ordered;
mod percent;
pub mod quorum;
pub mod raw;
pub mod refill;
pub mod requests;
pub mod seals;
pub mod server;
pub mod settings;
pub mod snapshots;
mod source;
pub mod streams;
mod subjects;

pub use api::ApiError;
pub use async_nats::Client;
pub use connection::connect;
pub use feed::{JetStreamFeed, NatsReplays};
pub use journal::JetStreamJournal;
pub use raw::JetStreamRawJournal;
pub use seals::JetStreamSeals;
pub use snapshots::JetStreamSnapshots;
