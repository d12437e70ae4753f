//! Replays: slices of the journal as plain messages on `replay.<tenant>.<name>.>`.
//!
//! Nothing is stored. Whoever listens when a replay runs gets it; who listens too slowly is cut off by
//! the server, and sees by the count at the end that something is missing.

use async_nats::{Client, HeaderMap, HeaderName};
use commands::feed::FeedEvent;
use commands::feed::replay::ReplaySink;
use commands::journal::BoxError;
use domain::{Tenant, Token};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::json;

use super::message;

const REPLAY: HeaderName = HeaderName::from_static("Ledgerline-Replay");
const EVENTS: HeaderName = HeaderName::from_static("Ledgerline-Replay-Events");

/// Where replays are sent.
#[derive(Debug, Clone)]
pub struct NatsReplays {
    client: Client,
}

impl NatsReplays {
    /// Replays on the account of `client`, where the feed's subscribers are.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn send_all(&self, name: &Token, events: Vec<FeedEvent>) -> Result<(), BoxError> {
        for event in events {
            let prefix = format!("replay.{}.{name}", event.tenant);
            let FeedEvent {
                category,
                event: kind,
                id,
                ..
            } = &event;
            let subject = format!("{prefix}.{category}.{kind}.{id}");
            self.client
                .publish_with_headers(subject, message::headers(), message::payload(&event))
                .await?;
        }
        // Flushed, so that a replay runs no faster than the server takes it.
        self.client.flush().await?;
        Ok(())
    }

    async fn send_end(&self, tenant: &Tenant, name: &Token, events: u64) -> Result<(), BoxError> {
        let mut headers = HeaderMap::new();
        headers.insert(REPLAY, "end");
        headers.insert(EVENTS, events.to_string());
        let subject = format!("replay.{tenant}.{name}.end");
        let payload = json!({"events": events}).to_string();
        let sending = self
            .client
            .publish_with_headers(subject, headers, payload.into());
        sending.await?;
        self.client.flush().await?;
        Ok(())
    }
}

impl ReplaySink for NatsReplays {
    fn send<'a>(
        &'a self,
        name: &'a Token,
        events: Vec<FeedEvent>,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        self.send_all(name, events).boxed()
    }

    fn end<'a>(
        &'a self,
        tenant: &'a Tenant,
        name: &'a Token,
        events: u64,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        self.send_end(tenant, name, events).boxed()
    }
}
