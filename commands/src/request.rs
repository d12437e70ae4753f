//! A command on its way in, and the receipt on its way out.

use domain::{Actor, CommandId, Digest, EventPosition, Name, Position, Timestamp};
use serde::{Deserialize, Serialize};

/// A command with everything that belongs to it but the aggregate's id.
#[derive(Debug, Clone)]
pub struct Request<C> {
    /// The command's id, by which a retry is known.
    pub id: CommandId,
    /// Whether the client named the command, so that it may have been seen before.
    pub keyed: bool,
    /// The digest of the body: the same key with another body is refused.
    pub digest: Digest,
    /// Who asks.
    pub actor: Actor,
    /// What ties commands of one errand together.
    pub correlation: Option<Name>,
    /// The event that led to it.
    pub causation: Option<EventPosition>,
    /// The W3C `traceparent` of the HTTP request.
    pub trace: Option<String>,
    /// When it happened, if earlier than now.
    pub occurred_at: Option<Timestamp>,
    /// The version that the client has seen; any, if it does not say.
    pub expected_version: Option<u64>,
    /// What is asked.
    pub command: C,
}

/// The answer to a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The aggregate.
    pub id: String,
    /// How many events it has had.
    pub version: u64,
    /// Where the commit stands; for an unchanged aggregate, its last one.
    pub position: Position,
    /// The command.
    pub command: CommandId,
    /// The types of the events that it brought about.
    pub events: Vec<String>,
    /// Whether there was nothing to change.
    pub unchanged: bool,
}
