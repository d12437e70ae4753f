//! Reading the feed on from any place, for ever.

use std::time::Duration;

use async_nats::Client;
use commands::feed::{FeedEvent, FeedFilter, FeedStart};
use commands::journal::{BoxError, ReadError};
use domain::{EventPosition, Position};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Settings, last_of, message};
use crate::nats::ordered::{Delivered, Ordered};
use crate::nats::{api, direct, subjects};

/// The first and the longest wait before the place to begin is looked for again.
const RETRY_MS: (u64, u64) = (100, 2_000);

struct Subscription {
    client: Client,
    settings: Settings,
    filter: FeedFilter,
    start: FeedStart,
    ordered: Option<Ordered>,
}

/// The events behind `start` that pass `filter`, for ever.
pub(super) fn subscribe(
    client: Client,
    settings: Settings,
    filter: FeedFilter,
    start: FeedStart,
) -> BoxStream<'static, Result<FeedEvent, ReadError>> {
    let subscription = Subscription {
        client,
        settings,
        filter,
        start,
        ordered: None,
    };
    stream::unfold(subscription, async |mut subscription| {
        let event = subscription.next().await;
        Some((event, subscription))
    })
    .boxed()
}

impl Subscription {
    async fn next(&mut self) -> Result<FeedEvent, ReadError> {
        loop {
            let Some(ordered) = &mut self.ordered else {
                let before = self.place_patiently().await;
                let filter = subjects::of_filter(&self.settings.prefix, &self.filter);
                let (client, stream) = (self.client.clone(), self.settings.stream.clone());
                self.ordered = Some(Ordered::new(client, stream, Some(filter), before));
                continue;
            };
            let Delivered {
                sequence,
                message: delivered,
                ..
            } = ordered.next().await;
            let event = message::decode(&delivered).map_err(|reason| ReadError::Unreadable {
                position: message::position(&delivered).map_or(Position::START, |p| p.position),
                reason: format!("message `{sequence}` of the feed: {reason}"),
            })?;
            if !self.filter.passes(&event) {
                return Err(ReadError::Unreadable {
                    position: event.position.position,
                    reason: format!("message `{sequence}` of the feed has another's subject"),
                });
            }
            // Where the feed had not come as far as `start` yet, what comes is still before it.
            if self.behind().is_none_or(|behind| event.position > behind) {
                return Ok(event);
            }
        }
    }

    fn behind(&self) -> Option<EventPosition> {
        match self.start {
            FeedStart::Now => None,
            FeedStart::After(event) => Some(event),
            FeedStart::AfterCommit(commit) => Some(last_of(commit)),
        }
    }

    /// The sequence behind which to begin, however long the server is away.
    async fn place_patiently(&self) -> u64 {
        let mut retry_ms = RETRY_MS.0;
        loop {
            match self.place().await {
                Ok(sequence) => return sequence,
                Err(error) => {
                    tracing::warn!(
                        error = error.as_ref(),
                        "find a subscriber's place in the feed"
                    );
                    tokio::time::sleep(Duration::from_millis(retry_ms)).await;
                    retry_ms = (retry_ms * 2).min(RETRY_MS.1);
                }
            }
        }
    }

    /// Positions grow with the sequence, so the place is found by halving: 20 reads in a million events.
    async fn place(&self) -> Result<u64, BoxError> {
        let Settings { stream, prefix, .. } = &self.settings;
        let state = api::state(&self.client, stream).await?;
        let Some(behind) = self.behind() else {
            return Ok(state.last_seq);
        };
        let everything = format!("{prefix}.>");
        // Everything before `first` is known to be before the place, everything from `end` on behind it.
        let (mut first, mut end) = (state.first_seq, state.last_seq + 1);
        if state.messages == 0 {
            first = end;
        }
        while first < end {
            let middle = first + (end - first) / 2;
            let found = direct::first_from(&self.client, stream, middle, &everything).await?;
            match found {
                None => end = middle,
                Some(found) => {
                    let position = message::position(&found.message);
                    let position = position.ok_or("a message of the feed has no `id`")?;
                    if position <= behind {
                        first = found.sequence + 1;
                    } else {
                        end = middle;
                    }
                }
            }
        }
        Ok(first.saturating_sub(1))
    }
}
