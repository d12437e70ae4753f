//! The state of one aggregate in memory, and how it is brought up to its stream's end.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Aggregate, Chain, CommandId, Commit, Position, StreamId};
use futures_util::StreamExt as _;

use crate::{Journal, ReadError, Receipt, Snapshot, Snapshots};

/// A snapshot is taken whenever so many events have come since the last one: folding them again
/// takes about a millisecond, and a stream that never gets so long never pays for a snapshot.
const SNAPSHOT_EVENTS_MIN: u64 = 500;

/// How many commits are read before it is asked whether there is a snapshot. Most streams end
/// sooner, and loading them costs one request.
const COMMITS_BEFORE_SNAPSHOT: usize = 256;

/// How many of the last command ids are remembered, for retries that are faster than the read side.
/// One aggregate takes some thousand commands a second at most, and the read side tells of them within
/// some hundredths of a second, or within two under the heaviest load. 24 bytes each, where there are so many.
const RECENT_COMMANDS_MAX: usize = 4_096;

/// The fold of a stream's beginning.
#[derive(Debug)]
pub(super) struct Loaded<A> {
    pub(super) state: A,
    /// Where its last commit stands.
    pub(super) position: Position,
    /// How many events are in it.
    pub(super) version: u64,
    pub(super) chain: Chain,
    /// The last commands on this stream and where they stand, oldest first.
    recent: VecDeque<(CommandId, Position)>,
    /// Every commit behind this position is in `recent`.
    recent_after: Position,
    snapshot_version: u64,
}

impl<A: Aggregate> Loaded<A> {
    /// Reads `stream` to its end, from its snapshot where it is long.
    pub(super) async fn load(
        stream: &StreamId,
        journal: &dyn Journal,
        snapshots: &dyn Snapshots,
    ) -> Result<Self, ReadError> {
        let mut loaded = Self::empty();
        let mut commits = journal.read_stream(stream, Position::START);
        let mut count = 0;
        while let Some(commit) = commits.next().await {
            loaded.take(&commit?)?;
            count += 1;
            if count == COMMITS_BEFORE_SNAPSHOT
                && let Some(from_snapshot) = Self::from_snapshot(stream, snapshots).await
                && from_snapshot.position > loaded.position
            {
                loaded = from_snapshot;
                commits = journal.read_stream(stream, loaded.position);
            }
        }
        Ok(loaded)
    }

    /// Folds what was written behind it.
    pub(super) async fn read_on(
        &mut self,
        stream: &StreamId,
        journal: &dyn Journal,
    ) -> Result<(), ReadError> {
        let mut commits = journal.read_stream(stream, self.position);
        while let Some(commit) = commits.next().await {
            self.take(&commit?)?;
        }
        Ok(())
    }

    /// The state before the first commit.
    pub(super) fn empty() -> Self {
        Self {
            state: A::default(),
            position: Position::START,
            version: 0,
            chain: Chain::default(),
            recent: VecDeque::new(),
            recent_after: Position::START,
            snapshot_version: 0,
        }
    }

    /// A snapshot that is missing, unreadable or of another program's state is as good as none.
    async fn from_snapshot(stream: &StreamId, snapshots: &dyn Snapshots) -> Option<Self> {
        let snapshot = match snapshots.load(stream).await {
            Ok(snapshot) => snapshot.filter(|s| s.state_version == A::STATE_VERSION)?,
            Err(error) => {
                tracing::warn!(%stream, error, "snapshot not loaded: the whole stream is folded");
                return None;
            }
        };
        let state = match serde_json::from_slice(&snapshot.state) {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(%stream, %error, "snapshot not decoded: the whole stream is folded");
                return None;
            }
        };
        Some(Self {
            state,
            position: snapshot.position,
            version: snapshot.version,
            chain: snapshot.chain,
            recent_after: snapshot.position,
            snapshot_version: snapshot.version,
            ..Self::empty()
        })
    }

    /// Folds one more commit.
    pub(super) fn take(&mut self, commit: &Commit) -> Result<(), ReadError> {
        for recorded in &commit.payload.events {
            let event = recorded
                .decode::<A::Event>()
                .map_err(|error| ReadError::Unreadable {
                    position: commit.position,
                    reason: chain_of(&error),
                })?;
            self.state.evolve(&event, commit.happened_at(recorded));
        }
        self.went_to(
            commit.position,
            commit.chain,
            commit.id(),
            commit.payload.events.len(),
        );
        Ok(())
    }

    /// Notes that the stream now ends at `position`.
    pub(super) fn went_to(
        &mut self,
        position: Position,
        chain: Chain,
        command: CommandId,
        events: usize,
    ) {
        self.position = position;
        self.version += events as u64;
        self.chain = chain;
        self.recent.push_back((command, position));
        if self.recent.len() > RECENT_COMMANDS_MAX
            && let Some((_, forgotten)) = self.recent.pop_front()
        {
            self.recent_after = forgotten;
        }
    }

    /// Where `command` stands on this stream behind `after`: known from memory, or not to be told so.
    pub(super) fn recent(&self, command: CommandId, after: Position) -> Recent {
        match self.recent.iter().find(|(recent, _)| *recent == command) {
            Some((_, position)) => Recent::At(*position),
            None if self.recent_after <= after => Recent::Never,
            None => Recent::ReadTheStream,
        }
    }

    /// The receipt for a command that had nothing to change.
    pub(super) fn unchanged(&self, stream: &StreamId, command: CommandId) -> Receipt {
        Receipt {
            id: stream.id.to_string(),
            version: self.version,
            position: self.position,
            command,
            events: vec![],
            unchanged: true,
        }
    }

    /// Saves a snapshot in the background when enough has happened since the last one.
    pub(super) fn save_if_long(&mut self, stream: &StreamId, snapshots: &Arc<dyn Snapshots>) {
        if self.version - self.snapshot_version < SNAPSHOT_EVENTS_MIN {
            return;
        }
        self.snapshot_version = self.version;
        let state = match serde_json::to_vec(&self.state) {
            Ok(state) => Bytes::from(state),
            Err(error) => {
                tracing::warn!(%stream, %error, "snapshot not encoded");
                return;
            }
        };
        let snapshot = Snapshot {
            stream: stream.clone(),
            state_version: A::STATE_VERSION,
            position: self.position,
            version: self.version,
            chain: self.chain,
            state,
        };
        let snapshots = Arc::clone(snapshots);
        tokio::spawn(async move {
            let stream = snapshot.stream.clone();
            if let Err(error) = snapshots.save(snapshot).await {
                tracing::warn!(%stream, error, "snapshot not saved");
            }
        });
    }
}

/// What memory tells of an earlier command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recent {
    At(Position),
    Never,
    ReadTheStream,
}

fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
