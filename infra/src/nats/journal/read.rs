//! Reading: one stream by direct get, and everything in order.

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

/// Every entry behind `after`, for ever.
pub(super) fn all(
    client: Client,
    settings: Settings,
    after: Position,
) -> BoxStream<'static, Entry> {
    let reader = Reader {
        ordered: Ordered::new(client, settings.stream.clone(), None, after.0),
        settings,
        last: after.0,
        held: None,
    };
    stream::unfold(reader, async |mut reader| {
        let entry = reader.next().await;
        Some((entry, reader))
    })
    .boxed()
}

struct Reader {
    ordered: Ordered,
    settings: Settings,
    last: u64,
    /// What stands behind a gap, until the gap was told.
    held: Option<Delivered>,
}

impl Reader {
    /// The journal is never deleted from, so its numbers have no gaps. One that stays when it is looked
    /// at again is lost history: the reader is told, and nobody passes over it.
    async fn next(&mut self) -> Entry {
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
        self.held = Some(delivered);
        Entry::Unreadable {
            position: Position(missing),
            reason: format!("nothing stands between `{missing}` and `{found}`"),
        }
    }

    fn entry(&mut self, delivered: Delivered) -> Entry {
        let Delivered {
            sequence, message, ..
        } = delivered;
        self.last = sequence;
        match message::decode(&self.settings, sequence, &message.subject, &message) {
            Ok(commit) => Entry::Commit(commit),
            Err(reason) => Entry::Unreadable {
                position: Position(sequence),
                reason,
            },
        }
    }
}
