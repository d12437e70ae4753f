//! One client's subscription on its way: from the feed into the client's queue, whichever transport
//! empties it.
//!
//! Each client has a queue of its own, so that none waits for another; one that leaves it full is cut
//! off, and comes back to go on where it was.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tracing::Instrument as _;

use super::cloud_event::Message;
use super::places::Place;
use crate::app::App;
use crate::auth::Caller;

/// Events that wait for one client: a second of a fast feed.
pub(super) const QUEUE_EVENTS: usize = 1_024;

/// KiB that wait for one client. Most events have one, but a payload may have 256.
const QUEUE_KIB: u32 = 4 * 1_024;

/// What is sent to whom.
pub(crate) struct Subscription {
    /// What is sent; the first error is the end.
    pub(crate) messages: BoxStream<'static, Result<Message, End>>,
    /// To whom.
    pub(crate) caller: Caller,
    /// The parts.
    pub(crate) app: App,
    /// Its place among the clients, held to the end.
    pub(crate) place: Place,
}

/// One thing in a client's queue.
#[derive(Debug)]
pub(super) enum Sent {
    /// An event, or the state before it; and the room that it takes as long as it waits.
    Message(Message, OwnedSemaphorePermit),
    /// A sign of life.
    KeepAlive,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What was watched has ended.
    Over,
    /// The client has hung up.
    ClientGone,
    /// The client does not read what it is sent.
    ClientSlow,
    /// The client answers no ping.
    ClientSilent,
    /// The client said something, or more than fits; nothing is expected.
    ClientSpoke,
    /// The token that the client came with is no longer good.
    TokenEnded,
    /// The server stops.
    Stopping,
    /// The feed did not answer.
    FeedAway,
    /// The read side did not answer, or not in time.
    ReadSideAway,
}

/// A subscription that has begun.
pub(super) struct Begun {
    /// What the transport sends.
    pub(super) queue: Receiver<Sent>,
    /// Fills the queue, and tells why it has ended.
    pub(super) pump: JoinHandle<End>,
}

impl Subscription {
    /// Fills a queue until the client or the server goes, the token ends, or there is no more.
    pub(super) fn begin(self) -> Begun {
        let (client, queue) = mpsc::channel(QUEUE_EVENTS);
        let pump = async move {
            metrics::gauge!("ledgerline_event_clients").increment(1.0);
            let Self {
                messages,
                caller,
                app,
                place,
            } = self;
            let client = Client {
                queue: client,
                room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
                stall_max: app.limits.event_stall_max,
            };
            let end = pump(messages, &caller, &app, &client).await;
            metrics::gauge!("ledgerline_event_clients").decrement(1.0);
            tracing::debug!(?end, "subscription ended");
            drop(place);
            end
        };
        Begun {
            queue,
            pump: tokio::spawn(pump.in_current_span()),
        }
    }
}

/// The near end of a client's queue.
struct Client {
    queue: Sender<Sent>,
    room: Arc<Semaphore>,
    stall_max: Duration,
}

async fn pump(
    mut messages: BoxStream<'static, Result<Message, End>>,
    caller: &Caller,
    app: &App,
    client: &Client,
) -> End {
    let mut keep_alive = tokio::time::interval(app.limits.event_keep_alive);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep_alive.reset();
    loop {
        let next = tokio::select! {
            message = messages.next() => match message {
                Some(Ok(message)) => Some(message),
                Some(Err(end)) => return end,
                None => return End::FeedAway,
            },
            _ = keep_alive.tick() => {
                if !app.verifier.is_still_valid(caller) {
                    return End::TokenEnded;
                }
                None
            }
            () = client.queue.closed() => return End::ClientGone,
            () = app.shutdown.cancelled() => return End::Stopping,
        };
        if let Err(end) = client.send(next).await {
            return end;
        }
    }
}

impl Client {
    /// Puts a message, or a sign of life, behind what waits. A client that does not read is dropped: it
    /// comes back and goes on where it was.
    async fn send(&self, next: Option<Message>) -> Result<(), End> {
        let sending = async {
            let sent = match next {
                Some(message) => {
                    let kib = u32::try_from(message.json.len() / 1_024).unwrap_or(QUEUE_KIB);
                    let room = Arc::clone(&self.room).acquire_many_owned(kib.clamp(1, QUEUE_KIB));
                    // Nobody closes it.
                    Sent::Message(message, room.await.map_err(|_closed| End::ClientGone)?)
                }
                None => Sent::KeepAlive,
            };
            self.queue
                .send(sent)
                .await
                .map_err(|_closed| End::ClientGone)
        };
        let sent = tokio::time::timeout(self.stall_max, sending).await;
        sent.unwrap_or(Err(End::ClientSlow))
    }
}
