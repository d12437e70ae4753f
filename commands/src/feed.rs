//! The feed: every event of the journal as one public message, in order and exactly once.
//!
//! The journal is private and may change its form; the feed is the contract with subscribers:
//! CloudEvents 1.0 in structured mode on `feed.<tenant>.<category>.<event>.<id>`.
//!
//! - [`cloud_event`]: an event as it leaves the house.
//! - [`pump`]: fills the feed from the journal.
//! - [`replay`]: a slice of the journal again, as the same events, for whoever asks.

pub mod cloud_event;
pub mod pump;
pub mod replay;

use domain::{Commit, EventPosition, InvalidId, Position, Tenant, Token};
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
    /// `id`: its place in the journal.
    pub position: EventPosition,
    /// Whose event.
    pub tenant: Tenant,
    /// The kind of aggregate.
    pub category: Token,
    /// The aggregate: `subject`.
    pub id: Token,
    /// The event's name.
    pub event: Token,
    /// The version of the shape of its data.
    pub event_version: u16,
    /// `time`: when it happened.
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

impl FeedFilter {
    /// Everything of one tenant.
    #[must_use]
    pub fn of(tenant: Tenant) -> Self {
        Self {
            tenant,
            category: None,
            event: None,
            id: None,
        }
    }

    /// Whether `event` is asked for.
    #[must_use]
    pub fn passes(&self, event: &FeedEvent) -> bool {
        let is = |asked: &Option<Token>, has: &Token| asked.as_ref().is_none_or(|t| t == has);
        self.tenant == event.tenant
            && is(&self.category, &event.category)
            && is(&self.event, &event.event)
            && is(&self.id, &event.id)
    }
}

impl FeedEvent {
    /// The events of `commit`, as subscribers see them.
    ///
    /// # Errors
    /// When an event's name cannot stand in a subject: no event of ours has such a name.
    pub fn of_commit(commit: &Commit) -> Result<Vec<Self>, InvalidId> {
        let payload = &commit.payload;
        let events = payload.events.iter().zip(0_u32..);
        let feed_event = |(event, index): (&domain::RecordedEvent, u32)| {
            Ok(Self {
                position: EventPosition {
                    position: commit.position,
                    index,
                },
                tenant: commit.stream.tenant.clone(),
                category: commit.stream.category.clone(),
                id: commit.stream.id.clone(),
                event: Token::new(&event.name)?,
                event_version: event.version,
                time: commit.happened_at(event),
                recorded_at: payload.at,
                version: payload.version + u64::from(index) + 1,
                actor: payload.actor.clone(),
                command: payload.id,
                correlation: payload.correlation.clone(),
                trace: commit.trace.clone(),
                data: event.data().to_owned(),
            })
        };
        events.map(feed_event).collect()
    }
}
