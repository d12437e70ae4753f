//! The feed on JetStream: one CloudEvent a message, on `feed.<tenant>.<category>.<event>.<id>`.
//!
//! - `message`: an event as a message, there and back.
//! - `subscribe`: reading on from any place, for ever.
//! - `replays`: slices of the journal on subjects of their own.
//!
//! Order and exactly-once come from one number: each message says which sequence it expects the stream
//! to end at, counted on from what the last message was. So many can be under way at once, a second
//! publisher is refused from its first message on, and what was lost in the middle lets nothing behind
//! it through. For the same reason one acknowledgement speaks for every message before it.

mod message;
mod replays;
mod subscribe;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::{Client, Message, Subscriber};
use commands::feed::{Feed, FeedEvent, FeedFilter, FeedStart, PublishError};
use commands::journal::{BoxError, ReadError};
use domain::{EventPosition, Position};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::BoxStream;
use serde_json::json;

use super::api::{self, STREAM_NOT_FOUND};
use super::settings::{SettingsError, Stream};
use super::{direct, subjects};

pub use replays::NatsReplays;

/// How long JetStream may take to acknowledge one message.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How many messages one acknowledgement speaks for: an acknowledgement a message costs server and
/// client half as much again as the message.
const ACK_EVERY: usize = 500;

/// Acknowledgements under way at once: enough messages to hide the way to the server, and fewer than
/// the 10,000 that it lets wait for one stream.
const ACKS_MAX: usize = 4;

/// How often a replica is asked again that has not yet what the leader has, and how long after each time: a
/// second in all.
const CATCH_UPS_MAX: u32 = 200;
const CATCH_UP_AFTER: Duration = Duration::from_millis(5);

/// The stream does not end where the message expects it to.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];

/// The feed on one connection, which may be to an account of its own.
#[derive(Debug)]
pub struct JetStreamFeed {
    client: Client,
    settings: Settings,
    /// Where the stream ends, as far as this publisher knows; none after anything went wrong, until
    /// [`Feed::last`] has looked.
    end: Mutex<Option<u64>>,
}

/// Which stream, and how often it is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The stream's name; `FEED`.
    pub stream: String,
    /// The first token of its subjects; `feed`.
    pub prefix: String,
    /// On how many servers; none leaves a stream that exists as it is, and makes a new one with 1.
    pub replicas: Option<usize>,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("where the feed ends is not known: ask for its last event first")]
    EndUnknown,
    #[error("no acknowledgement")]
    Unanswered,
    #[error("JetStream refused: {description} (code `{code}`)")]
    Refused { code: u64, description: String },
    #[error("JetStream did not store an event between the first that was sent and `{0}`")]
    NotStored(EventPosition),
    #[error("last message, at `{0}`, is no event")]
    NoEvent(u64),
    #[error("last message, at `{0}`, is not there yet")]
    NotThere(u64),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream: "FEED".to_owned(),
            prefix: "feed".to_owned(),
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

impl JetStreamFeed {
    /// Creates or mends the stream.
    ///
    /// # Errors
    /// When the stream cannot be made what it must be.
    pub async fn open(client: Client, settings: Settings) -> Result<Self, SettingsError> {
        wanted(&settings).ensure(&client).await?;
        Ok(Self {
            client,
            settings,
            end: Mutex::default(),
        })
    }

    /// A handle for one who publishes, and for nobody else. [`Feed::last`] also notes where the stream
    /// ends, and what is published next is counted on from there: asked by another, as by a health
    /// check, between the publisher's own question and its messages, the two would no longer fit, and
    /// a part of the messages would be taken as the continuation of what they do not continue.
    #[must_use]
    pub fn publisher(&self) -> Self {
        Self {
            client: self.client.clone(),
            settings: self.settings.clone(),
            end: Mutex::default(),
        }
    }

    fn set_end(&self, end: Option<u64>) -> Option<u64> {
        let mut known = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *known, end)
    }

    async fn look(&self) -> Result<Option<EventPosition>, BoxError> {
        let Settings { stream, prefix, .. } = &self.settings;
        let state = match api::state(&self.client, stream).await {
            // It was lost while we ran: an empty one is filled from the start.
            Err(error) if error.is(STREAM_NOT_FOUND) => {
                wanted(&self.settings).ensure(&self.client).await?;
                api::state(&self.client, stream).await?
            }
            state => state?,
        };
        let end = state.last_seq;
        let last = if state.messages == 0 {
            None
        } else {
            let last = self.message_at(stream, prefix, end).await?;
            Some(message::position(&last).ok_or(Cause::NoEvent(end))?)
        };
        self.set_end(Some(end));
        Ok(last)
    }

    /// The message at `end`, as the leader has it. Any replica answers a direct get, and is mostly some
    /// milliseconds behind where it has not got that far.
    async fn message_at(&self, stream: &str, prefix: &str, end: u64) -> Result<Message, BoxError> {
        let everything = format!("{prefix}.>");
        for _ in 0..CATCH_UPS_MAX {
            let found = direct::first_from(&self.client, stream, end, &everything).await?;
            if let Some(found) = found {
                return Ok(found.message);
            }
            tokio::time::sleep(CATCH_UP_AFTER).await;
        }
        Err(Cause::NotThere(end).into())
    }

    async fn publish_behind_end(&self, events: Vec<FeedEvent>) -> Result<(), PublishError> {
        // Only a publish that went well as a whole knows where the stream ends.
        let end = self
            .set_end(None)
            .ok_or_else(|| unavailable(Cause::EndUnknown))?;
        let inbox = self.client.new_inbox();
        let acks = self.client.subscribe(inbox.clone()).await;
        let mut acks = acks.map_err(unavailable)?;
        let mut asked = VecDeque::new();
        for (index, event) in events.iter().enumerate() {
            if asked.len() >= ACKS_MAX
                && let Some(first) = asked.pop_front()
            {
                acknowledge(&mut acks, &events, first).await?;
            }
            let mut headers = message::headers();
            headers.insert(
                NATS_EXPECTED_LAST_SEQUENCE,
                (end + index as u64).to_string(),
            );
            let subject = subjects::of_event(&self.settings.prefix, event);
            let payload = message::payload(event);
            let is_asked = index % ACK_EVERY == 0 || index + 1 == events.len();
            let sent = if is_asked {
                asked.push_back(index);
                let inbox = inbox.clone();
                let sending = self
                    .client
                    .publish_with_reply_and_headers(subject, inbox, headers, payload);
                sending.await
            } else {
                self.client
                    .publish_with_headers(subject, headers, payload)
                    .await
            };
            sent.map_err(unavailable)?;
        }
        for index in asked {
            acknowledge(&mut acks, &events, index).await?;
        }
        self.set_end(Some(end + events.len() as u64));
        Ok(())
    }
}

/// Takes the next acknowledgement, which is that of the event at `index`. They come in the order of the
/// messages, because the stream takes them one after the other; and where one is refused, so is every
/// later one. So only the first says whether the stream ends elsewhere because of another publisher.
async fn acknowledge(
    acks: &mut Subscriber,
    events: &[FeedEvent],
    index: usize,
) -> Result<(), PublishError> {
    let ack = tokio::time::timeout(ACK_TIMEOUT, acks.next()).await;
    let Ok(Some(Message {
        payload,
        status: None,
        ..
    })) = ack
    else {
        return Err(unavailable(Cause::Unanswered));
    };
    let position = events[index].position;
    match api::stored(&payload).map_err(unavailable)? {
        Ok(_) => Ok(()),
        Err(refusal) if WRONG_LAST_SEQUENCE.contains(&refusal.code) => Err(match index {
            0 => PublishError::Overtaken,
            _ => unavailable(Cause::NotStored(position)),
        }),
        Err(refusal) => Err(unavailable(Cause::Refused {
            code: refusal.code,
            description: refusal.description,
        })),
    }
}

fn unavailable(cause: impl Into<BoxError>) -> PublishError {
    PublishError::Unavailable(cause.into())
}

pub(super) fn wanted(settings: &Settings) -> Stream {
    // Whatever a power cut takes is filled again from the journal, so nothing waits for the disk.
    Stream::new(
        &settings.stream,
        &settings.prefix,
        settings.replicas,
        json!({}),
    )
    .wish(json!({"persist_mode": "async"}))
}

impl Feed for JetStreamFeed {
    fn last(&self) -> BoxFuture<'_, Result<Option<EventPosition>, ReadError>> {
        async { self.look().await.map_err(ReadError::Unavailable) }.boxed()
    }

    fn publish(&self, events: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), PublishError>> {
        self.publish_behind_end(events).boxed()
    }

    fn subscribe(
        &self,
        filter: FeedFilter,
        start: FeedStart,
    ) -> BoxStream<'static, Result<FeedEvent, ReadError>> {
        subscribe::subscribe(self.client.clone(), self.settings.clone(), filter, start)
    }
}

/// Everything up to a commit is before the last place that an event of it could have.
fn last_of(commit: Position) -> EventPosition {
    EventPosition {
        position: commit,
        index: u32::MAX,
    }
}
