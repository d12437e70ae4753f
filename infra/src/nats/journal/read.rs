//! Reading: one stream by direct get, and everything in order.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use commands::seal::RawCommit;
use commands::{Append, ReadError};
use domain::{Commit, Entry, Position, StreamId};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Settings, message};
use crate::nats::ordered::{Delivered, Ordered};
use crate::nats::raw::raw;
use crate::nats::{api, direct, subjects};

/// How often a replica is asked again that has not yet what the leader has, and how long after each time:
/// five seconds in all. One that follows is milliseconds behind.
const CATCH_UPS_MAX: u32 = 1_000;
const CATCH_UP_AFTER: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
#[error("replicas do not catch up with the leader")]
struct Behind;

/// Where reading one stream goes on.
struct Next {
    after: Position,
    /// How often in a row replicas were behind the leader.
    catch_ups: u32,
}

/// The commits of one stream behind `after`.
///
/// Any replica answers a direct get. Whoever reads here is about to decide, so the end is the leader's
/// end: a refusal on what a follower has would deny what was acknowledged a moment ago.
pub(super) fn one<'a>(
    client: &'a Client,
    settings: &'a Settings,
    stream: &StreamId,
    after: Position,
) -> BoxStream<'a, Result<Commit, ReadError>> {
    let subject = subjects::of_stream(&settings.prefix, stream);
    let begin = Next {
        after,
        catch_ups: 0,
    };
    let batches = stream::unfold((subject, Some(begin)), async |(subject, next)| {
        let next = next?;
        let batch = direct::batch(client, &settings.stream, next.after.0, &subject).await;
        let (commits, next) = match batch {
            Ok(batch) => {
                let commits = batch.messages.iter().map(|stored| decode(settings, stored));
                let mut commits: Vec<_> = commits.collect();
                let next = behind(client, settings, &subject, &batch, &next).await;
                let next = next.unwrap_or_else(|error| {
                    commits.push(Err(error));
                    None
                });
                (commits, next)
            }
            Err(error) => (vec![Err(ReadError::Unavailable(error.into()))], None),
        };
        Some((stream::iter(commits), (subject, next)))
    });
    batches.flatten().boxed()
}

/// Where to read on behind `batch`, if anything is left there.
async fn behind(
    client: &Client,
    settings: &Settings,
    subject: &str,
    batch: &direct::Batch,
    asked: &Next,
) -> Result<Option<Next>, ReadError> {
    let last = batch.messages.last().map(|last| Position(last.sequence));
    let after = last.unwrap_or(asked.after);
    if !batch.is_last {
        return Ok(last.map(|after| Next {
            after,
            catch_ups: 0,
        }));
    }
    // A server alone is the leader. Of a cluster's, any that has a copy may have answered.
    let is_clustered = client.server_info().cluster.is_some();
    if !is_clustered || api::last_on(client, &settings.stream, subject).await? <= after.0 {
        return Ok(None);
    }
    if asked.catch_ups == CATCH_UPS_MAX {
        return Err(ReadError::Unavailable(Behind.into()));
    }
    tokio::time::sleep(CATCH_UP_AFTER).await;
    let catch_ups = asked.catch_ups + 1;
    Ok(Some(Next { after, catch_ups }))
}

fn decode(settings: &Settings, stored: &direct::Stored) -> Result<Commit, ReadError> {
    let commit = message::decode(settings, stored.sequence, &stored.subject, &stored.message);
    commit.map_err(|reason| ReadError::Unreadable {
        position: Position(stored.sequence),
        reason,
    })
}

/// An entry, and what it was made of.
#[derive(Debug, Clone)]
pub(super) struct Met {
    pub(super) entry: Entry,
    pub(super) made_of: MadeOf,
}

/// What an entry was made of.
#[derive(Debug, Clone)]
pub(super) enum MadeOf {
    /// A message that the server delivered.
    Delivered(Arc<Delivered>),
    /// What this process wrote itself.
    Written(Arc<Append>),
    /// Nothing: history is lost there.
    Nothing,
}

impl Met {
    /// What stands in the journal, if anything does.
    pub(super) fn raw(&self, prefix: &str) -> Option<RawCommit> {
        match &self.made_of {
            MadeOf::Delivered(delivered) => Some(raw(prefix, delivered)),
            MadeOf::Written(append) => Some(message::raw_written(self.entry.position().0, append)),
            MadeOf::Nothing => None,
        }
    }
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
    pub(super) async fn next(&mut self) -> Met {
        if let Some(delivered) = self.held.take() {
            return self.met(delivered);
        }
        let mut delivered = self.ordered.next().await;
        if delivered.sequence != self.last + 1 {
            self.ordered.rewind(self.last).await;
            delivered = self.ordered.next().await;
        }
        if delivered.sequence == self.last + 1 {
            return self.met(delivered);
        }
        let (missing, found) = (self.last + 1, delivered.sequence);
        self.pending = 1;
        self.held = Some(delivered);
        let entry = Entry::Unreadable {
            position: Position(missing),
            reason: format!("nothing stands between `{missing}` and `{found}`"),
        };
        Met {
            entry,
            made_of: MadeOf::Nothing,
        }
    }

    fn met(&mut self, delivered: Delivered) -> Met {
        let Delivered {
            sequence,
            pending,
            message,
        } = &delivered;
        (self.last, self.pending) = (*sequence, *pending);
        let entry = match message::decode(&self.settings, *sequence, &message.subject, message) {
            Ok(commit) => Entry::Commit(Arc::new(commit)),
            Err(reason) => Entry::Unreadable {
                position: Position(*sequence),
                reason,
            },
        };
        Met {
            entry,
            made_of: MadeOf::Delivered(Arc::new(delivered)),
        }
    }
}
