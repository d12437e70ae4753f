//! The feed in memory.

use std::sync::{Arc, Mutex};

use domain::EventPosition;
use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::locked;
use crate::feed::{Feed, FeedEvent, FeedFilter, FeedStart, PublishError};
use crate::journal::ReadError;

/// Events in a vector. Clones share it, and each clone is a publisher of its own.
#[derive(Debug)]
pub struct MemoryFeed {
    inner: Arc<Inner>,
    /// How many events there were when this publisher last knew.
    seen: Mutex<usize>,
}

#[derive(Debug)]
struct Inner {
    events: Mutex<Vec<FeedEvent>>,
    count: watch::Sender<usize>,
}

impl Default for MemoryFeed {
    fn default() -> Self {
        let (count, _) = watch::channel(0);
        Self {
            inner: Arc::new(Inner {
                events: Mutex::default(),
                count,
            }),
            seen: Mutex::default(),
        }
    }
}

impl Clone for MemoryFeed {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            seen: Mutex::default(),
        }
    }
}

impl MemoryFeed {
    /// Everything that was published.
    #[must_use]
    pub fn events(&self) -> Vec<FeedEvent> {
        locked(&self.inner.events).clone()
    }

    /// Waits until `count` events were published.
    pub async fn wait_for(&self, count: usize) {
        let mut published = self.inner.count.subscribe();
        // `self` keeps the sender alive, so waiting cannot fail.
        let reached = published.wait_for(|published| *published >= count).await;
        debug_assert!(reached.is_ok());
    }
}

impl Feed for MemoryFeed {
    fn last(&self) -> BoxFuture<'_, Result<Option<EventPosition>, ReadError>> {
        let events = locked(&self.inner.events);
        *locked(&self.seen) = events.len();
        ready(Ok(events.last().map(|event| event.position))).boxed()
    }

    fn publish(&self, new: Vec<FeedEvent>) -> BoxFuture<'_, Result<(), PublishError>> {
        let mut events = locked(&self.inner.events);
        let mut seen = locked(&self.seen);
        if events.len() != *seen {
            return ready(Err(PublishError::Overtaken)).boxed();
        }
        events.extend(new);
        *seen = events.len();
        self.inner.count.send_replace(events.len());
        ready(Ok(())).boxed()
    }

    fn subscribe(
        &self,
        filter: FeedFilter,
        start: FeedStart,
    ) -> BoxStream<'static, Result<FeedEvent, ReadError>> {
        let inner = self.inner.clone();
        let count = inner.count.subscribe();
        let skip = {
            let events = locked(&inner.events);
            match start {
                FeedStart::Now => events.len(),
                FeedStart::After(after) => events.partition_point(|event| event.position <= after),
                FeedStart::AfterCommit(after) => {
                    events.partition_point(|event| event.position.position <= after)
                }
            }
        };
        stream::unfold((inner, count, skip), async |(inner, mut count, index)| {
            count.wait_for(|count| *count > index).await.ok()?;
            let event = locked(&inner.events).get(index).cloned()?;
            Some((event, (inner, count, index + 1)))
        })
        .filter(move |event| ready(filter.passes(event)))
        .map(Ok)
        .boxed()
    }
}
