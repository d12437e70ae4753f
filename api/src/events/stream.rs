//! One client's subscription on its way: from the feed into the client's queue.

use axum::body::Bytes;
use commands::{FeedEvent, ReadError};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc::Sender;
use tokio::time::MissedTickBehavior;

use super::cloud_event::server_sent;
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Chain;

/// The client waits so long before it comes back after a break, in milliseconds.
const PREAMBLE: &[u8] = b"retry: 1000\n\n";

pub(super) struct Subscription {
    pub(super) events: BoxStream<'static, Result<FeedEvent, ReadError>>,
    pub(super) caller: Caller,
    pub(super) app: App,
}

impl Subscription {
    /// Until the client or the server goes, the token ends, or the feed breaks off.
    pub(super) async fn send_to(mut self, client: Sender<Bytes>) {
        metrics::gauge!("ledgerline_event_clients").increment(1.0);
        let why = self.pump(&client).await;
        metrics::gauge!("ledgerline_event_clients").decrement(1.0);
        tracing::debug!(why, "subscription ended");
    }

    async fn pump(&mut self, client: &Sender<Bytes>) -> &'static str {
        let shutdown = self.app.shutdown.clone();
        let stall_max = self.app.limits.event_stall_max;
        let mut keep_alive = tokio::time::interval(self.app.limits.event_keep_alive);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keep_alive.reset();
        let mut next = Bytes::from_static(PREAMBLE);
        loop {
            // A client that does not read is dropped: it comes back and goes on where it was.
            match tokio::time::timeout(stall_max, client.send(next)).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => return "client has gone",
                Err(_elapsed) => return "client does not read",
            }
            next = tokio::select! {
                event = self.events.next() => match event {
                    Some(Ok(event)) => server_sent(&event),
                    Some(Err(error)) => {
                        tracing::warn!(error = %Chain(&error), "read the feed");
                        return "feed is away";
                    }
                    None => return "feed has ended",
                },
                _ = keep_alive.tick() => {
                    if !self.app.verifier.is_still_valid(&self.caller) {
                        return "token has ended";
                    }
                    Bytes::from_static(b": keep-alive\n\n")
                }
                () = client.closed() => return "client has gone",
                () = shutdown.cancelled() => return "server is stopping",
            };
        }
    }
}
