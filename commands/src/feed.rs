//! The feed: every event of the journal as one public message, in order and exactly once.
//!
//! The journal is private and may change its form; the feed is the contract with subscribers:
//! CloudEvents 1.0 in binary mode on `feed.<tenant>.<category>.<event>.<id>`.

use domain::{Category, Commit, EventPosition, Position, Tenant, Token};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::value::RawValue;

use crate::journal::{BoxError, ReadError};

/// The public stream of events.
pub trait Feed: Send + Sync + 'static {
    /// Where the last published event stands in the journal; none when the feed is empty.
    ///
    /// # Errors
    /// When the feed does not answer.
    fn last(&self) -> BoxFuture<'_, Result<Option<EventPosition>, ReadError>>;

    /// Publishes `events` behind everything that was published before, all or a beginning of them.
    ///
    /// # Errors
    /// [`PublishError::Overtaken`] when somebody else has published since [`Feed::last`].
    fn publish(&self, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), PublishError>>;

    /// The events behind `after` that pass `filter`, and then every new one, without end.
    fn subscribe(
        &self,
        filter: FeedFilter,
        after: FeedStart,
    ) -> BoxStream<'static, Result<FeedEvent, ReadError>>;
}

/// Which events a subscriber asks for; what is not named may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedFilter {
    /// Whose events.
    pub tenant: Tenant,
    /// Of which kind of aggregate.
    pub category: Option<Token>,
    /// Of which type.
    pub event: Option<Token>,
    /// Of which aggregate.
    pub id: Option<Token>,
}

/// Where a subscriber begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// With the next event.
    Now,
    /// With the first event behind this place in the journal.
    After(EventPosition),
    /// With the first event behind this commit.
    AfterCommit(Position),
}

/// Why events were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another publisher was first: ask for the last event again, or stand by.
    #[error("publish to the feed: another publisher was first")]
    Overtaken,
    /// The feed did not answer; some of the events may have been published.
    #[error("publish to the feed: not available")]
    Unavailable(#[source] BoxError),
}

/// One public event: a CloudEvent of type `ledgerline.<category>.<event>.v<n>`.
#[derive(Debug, Clone)]
pub struct FeedEvent {
    /// `ce-id`: its place in the journal.
    pub position: EventPosition,
    /// Whose event.
    pub tenant: Tenant,
    /// The kind of aggregate.
    pub category: Token,
    /// The aggregate: `ce-subject`.
    pub id: Token,
    /// The event's name.
    pub event: Token,
    /// The version of the shape of its data.
    pub event_version: u16,
    /// `ce-time`: when it happened.
    pub time: domain::Timestamp,
    /// When it was recorded.
    pub recorded_at: domain::Timestamp,
    /// The aggregate's version with this event.
    pub version: u64,
    /// Who did it.
    pub actor: domain::Actor,
    /// The command that brought it.
    pub command: domain::CommandId,
    /// What ties commands of one errand together.
    pub correlation: Option<domain::Name>,
    /// The W3C `traceparent` of the request.
    pub trace: Option<String>,
    /// The event's data, JSON.
    pub data: Box<RawValue>,
}
