//! One decision as it stands in the journal: a commit with all of its events.
//!
//! A commit is one message. [`NewCommit`] is what is written, [`Commit`] what is read back; the events
//! stay as JSON until somebody who knows their category asks for them ([`RecordedEvent::decode`]).
//! The payload is `{commit, at, actor, correlation?, causation?, request, version, events}`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::hex::hexadecimal;
use crate::{CommandId, Event, EventPosition, Name, Position, RecordedEvent, StreamId, Timestamp};

/// Who did it: taken from the token, never from a body.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The subject of the token.
    pub principal: Name,
    /// For whom, where an import or an agent acts for somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Name>,
}

/// 32 bytes that bind a commit to everything before it on its stream; zero before the first commit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain(pub [u8; 32]);

/// 16 bytes that tell one request body from another under the same idempotency key.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 16]);

/// A decision about to be written.
#[derive(Debug)]
pub struct NewCommit<'a, E> {
    /// The command that asked for it.
    pub id: CommandId,
    /// When it is recorded.
    pub at: Timestamp,
    /// When it happened, where that was earlier.
    pub occurred_at: Option<Timestamp>,
    /// Who did it.
    pub actor: &'a Actor,
    /// What ties commands of one errand together.
    pub correlation: Option<&'a Name>,
    /// The event that led to it.
    pub causation: Option<EventPosition>,
    /// The request's digest.
    pub request: Digest,
    /// How many events the aggregate had before.
    pub version: u64,
    /// What was decided; never empty.
    pub events: &'a [E],
}

/// A decision as it was read back.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Where it stands in the journal.
    pub position: Position,
    /// On which stream.
    pub stream: StreamId,
    /// The chain's value at this commit.
    pub chain: Chain,
    /// The W3C `traceparent` of the request that brought it.
    pub trace: Option<String>,
    /// The payload.
    pub payload: Payload,
}

/// The payload of a commit.
#[derive(Debug, Clone, Deserialize)]
pub struct Payload {
    /// The command that asked for it.
    #[serde(rename = "commit")]
    pub id: CommandId,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What ties commands of one errand together.
    #[serde(default)]
    pub correlation: Option<Name>,
    /// The event that led to it, `<position>.<index>`.
    #[serde(default)]
    pub causation: Option<String>,
    /// The request's digest.
    pub request: Digest,
    /// How many events the aggregate had before.
    pub version: u64,
    /// What was decided.
    pub events: Vec<RecordedEvent>,
}

/// What a reader of the journal meets.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A commit. All readers of a process have the same.
    Commit(Arc<Commit>),
    /// Something that is no commit: it is passed over by nobody, and stops whoever needs it.
    Unreadable {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Serialize)]
struct PayloadOut<'a, E> {
    commit: CommandId,
    at: Timestamp,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation: Option<String>,
    request: Digest,
    version: u64,
    events: Vec<EventOut<'a, E>>,
}

#[derive(Serialize)]
struct EventOut<'a, E> {
    #[serde(flatten)]
    event: &'a E,
    v: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<Timestamp>,
}

impl<E: Event> NewCommit<'_, E> {
    /// The payload's JSON.
    ///
    /// # Errors
    /// When an event cannot be written as JSON, as a map with keys that are no text.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let events = self.events.iter().map(|event| EventOut {
            event,
            v: event.version(),
            occurred_at: self.occurred_at,
        });
        serde_json::to_vec(&PayloadOut {
            commit: self.id,
            at: self.at,
            actor: self.actor,
            correlation: self.correlation,
            causation: self.causation.map(|position| position.to_string()),
            request: self.request,
            version: self.version,
            events: events.collect(),
        })
    }
}

impl Commit {
    /// Reads the payload that stands at `position`.
    ///
    /// # Errors
    /// When `payload` is no commit.
    pub fn decode(
        position: Position,
        stream: StreamId,
        chain: Chain,
        trace: Option<String>,
        payload: &[u8],
    ) -> Result<Self, serde_json::Error> {
        let payload = serde_json::from_slice(payload)?;
        Ok(Self {
            position,
            stream,
            chain,
            trace,
            payload,
        })
    }

    /// The command that asked for it.
    #[must_use]
    pub fn id(&self) -> CommandId {
        self.payload.id
    }

    /// How many events the aggregate has had with this commit.
    #[must_use]
    pub fn version_after(&self) -> u64 {
        self.payload.version + self.payload.events.len() as u64
    }

    /// When the event happened.
    #[must_use]
    pub fn happened_at(&self, event: &RecordedEvent) -> Timestamp {
        event.occurred_at.unwrap_or(self.payload.at)
    }
}

impl Entry {
    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Commit(commit) => commit.position,
            Self::Unreadable { position, .. } => *position,
        }
    }
}

hexadecimal!(Chain, 32);
hexadecimal!(Digest, 16);
