//! Reading: one stream by direct get, and everything in order.

use std::sync::Arc;

use async_nats::Client;
use commands::ReadError;
use domain::{Commit, Entry, Position, StreamId};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Settings, message};
use crate::nats::ordered::{Delivered, Ordered};
use crate::nats::{direct, subjects};

/// The commits of one stream behind `after`.
pub(super) fn one<'a>(
    client: &'a Client,
    settings: &'a Settings,
    stream: &StreamId,
    after: Position,
) -> BoxStream<'a, Result<Commit, ReadError>> {
    let subject = subjects::of_stream(&settings.prefix, stream);
    let batches = stream::unfold((subject, Some(after)), async |(subject, after)| {
        let after = after?;
        let batch = direct::batch(client, &settings.stream, after.0, &subject).await;
        let (commits, next) = match batch {
            Ok(batch) => {
                let last = batch
                    .messages
                    .last()
                    .map(|stored| Position(stored.sequence));
                let next = last.filter(|_| !batch.is_last);
                let commits = batch.messages.iter().map(|stored| decode(settings, stored));
                (commits.collect(), next)
            }
            Err(error) => (vec![Err(ReadError::Unavailable(error.into()))], None),
        };
        Some((stream::iter(commits), (subject, next)))
    });
    batches.flatten().boxed()
}

fn decode(settings: &Settings, stored: &direct::Stored) -> Result<Commit, ReadError> {
    let commit = message::decode(settings, stored.sequence, &stored.subject, &stored.message);
    commit.map_err(|reason| ReadError::Unreadable {
        position: Position(stored.sequence),
        reason,
    })
}

/// Every entry behind a position, in order, with a consumer of its own.
#[derive(Debug)]
pub(super) struct InOrder {
    ordered: Ordered,
    settings: Settings,
    last: u64,
    /// How many messages lay behind the last one.
    pending: u64,
    /// What stands behind a gap, until the gap was told.
    held: Option<Delivered>,
}

impl InOrder {
    pub(super) fn new(client: Client, settings: Settings, after: u64) -> Self {
        Self {
            ordered: Ordered::new(client, settings.stream.clone(), None, after),
            settings,
            last: after,
            pending: u64::MAX,
            held: None,
        }
    }

    /// Whether nothing lay behind the last entry when it was delivered.
    pub(super) fn is_at_the_end(&self) -> bool {
        self.pending == 0
    }

    /// The journal is never deleted from, so its numbers have no gaps. One that stays when it is looked
    /// at again is lost history: the reader is told, and nobody passes over it.
    pub(super) async fn next(&mut self) -> Entry {
        if let Some(delivered) = self.held.take() {
            return self.entry(delivered);
        }
        let mut delivered = self.ordered.next().await;
        if delivered.sequence != self.last + 1 {
            self.ordered.rewind(self.last).await;
            delivered = self.ordered.next().await;
        }
        if delivered.sequence == self.last + 1 {
            return self.entry(delivered);
        }
        let (missing, found) = (self.last + 1, delivered.sequence);
        self.pending = 1;
        self.held = Some(delivered);
        Entry::Unreadable {
            position: Position(missing),
            reason: format!("nothing stands between `{missing}` and `{found}`"),
        }
    }

    fn entry(&mut self, delivered: Delivered) -> Entry {
        let Delivered {
            sequence,
            pending,
            message,
        } = delivered;
        (self.last, self.pending) = (sequence, pending);
        match message::decode(&self.settings, sequence, &message.subject, &message) {
            Ok(commit) => Entry::Commit(Arc::new(commit)),
            Err(reason) => Entry::Unreadable {
                position: Position(sequence),
                reason,
            },
        }
    }
}
