//! The journal, over a line on which requests and answers are late, lost or doubled.

use std::sync::Arc;
use std::time::Duration;

use commands::{Append, AppendError, Journal, ReadError};
use domain::{Commit, Entry, Position, StreamId};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{Outside, Planned};
use crate::sabotage::Sabotage;
use crate::world::World;

/// What becomes of an append.
#[derive(Debug)]
enum Fate {
    Arrives,
    /// Refused, as it is while another one on its stream is under way and comes to nothing.
    Conflict,
    Away,
    RequestLost,
    AnswerLost,
    /// It arrives when its writer has long given it up.
    Late(Duration),
    /// It arrives twice, and the writer hears of one of both.
    Twice,
}

impl Outside {
    fn fate(&self) -> Fate {
        let (world, rng) = (&self.world, &self.world.rng);
        if !world.strikes(4) {
            return Fate::Arrives;
        }
        match rng.below(6) {
            0 => Fate::Conflict,
            1 => Fate::Away,
            2 => Fate::RequestLost,
            3 => Fate::AnswerLost,
            4 => Fate::Late(rng.millis(1..=4_000)),
            _ => Fate::Twice,
        }
    }

    async fn carry(&self, append: Append) -> Result<Position, AppendError> {
        let fate = self.fate();
        if !matches!(fate, Fate::Arrives) {
            let line = || format!("append of `{}` on `{}`: {fate:?}", append.id, append.stream);
            self.world.note(line);
        }
        let unknown = || Err(AppendError::Unknown(Planned.into()));
        let stream = append.stream.clone();
        match fate {
            Fate::Arrives => write(&self.world, append).await,
            Fate::Conflict => Err(AppendError::Conflict { stream }),
            Fate::Away => Err(AppendError::Unavailable(Planned.into())),
            Fate::RequestLost => unknown(),
            Fate::AnswerLost => {
                drop(write(&self.world, append).await);
                unknown()
            }
            Fate::Late(by) => {
                let world = Arc::clone(&self.world);
                tokio::spawn(async move {
                    tokio::time::sleep(by).await;
                    drop(write(&world, append).await);
                });
                unknown()
            }
            Fate::Twice => {
                let first = write(&self.world, append.clone()).await;
                let second = write(&self.world, append).await;
                if self.world.rng.one_in(2) {
                    first
                } else {
                    second
                }
            }
        }
    }
}

impl Journal for Outside {
    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, AppendError>> {
        async {
            self.way().await;
            let answer = self.carry(append).await;
            self.way().await;
            answer
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
    ) -> BoxStream<'_, Result<Commit, ReadError>> {
        let stream = stream.clone();
        let read = async move {
            self.way().await;
            let commits = self.world.journal.read_stream(&stream, after);
            let mut commits: Vec<_> = commits.collect().await;
            if self.world.strikes(12) {
                // It breaks off anywhere.
                let kept = self.world.rng.from(0..=commits.len() as u64);
                commits.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
                commits.push(Err(ReadError::Unavailable(Planned.into())));
            }
            self.way().await;
            stream::iter(commits)
        };
        stream::once(read).flatten().boxed()
    }

    fn read_all(&self, after: Position) -> BoxStream<'static, Entry> {
        let outside = Self::new(&self.world, self.life.clone(), self.skew);
        let world = Arc::clone(&self.world);
        let entries = self.world.journal.read_all(after);
        stream::unfold((outside, entries), async |(outside, mut entries)| {
            let entry = entries.next().await?;
            // Mostly many come at once, sometimes one after the other.
            if outside.world.rng.one_in(8) {
                outside.way().await;
            }
            Some((entry, (outside, entries)))
        })
        .filter(move |_| {
            let is_lost = world.is_sabotaged(Sabotage::EntriesPassedOver) && world.rng.one_in(50);
            std::future::ready(!is_lost)
        })
        .boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        async {
            self.way().await;
            if self.world.strikes(10) {
                return Err(ReadError::Unavailable(Planned.into()));
            }
            self.world.journal.head().await
        }
        .boxed()
    }
}

/// What the journal itself does with what arrives.
async fn write(world: &World, mut append: Append) -> Result<Position, AppendError> {
    if world.is_sabotaged(Sabotage::ExpectationIgnored) {
        let commits = world.journal.read_stream(&append.stream, Position::START);
        let commits: Vec<_> = commits.collect().await;
        let last = commits.into_iter().filter_map(Result::ok).next_back();
        append.expected = last.map_or(Position::START, |commit| commit.position);
    }
    if world.is_sabotaged(Sabotage::AcknowledgedLost) && world.rng.one_in(50) {
        return Ok(world
            .journal
            .head()
            .await
            .map_or(Position::START, Position::next));
    }
    // The window in which it knows duplicates ends when it ends.
    if world.strikes(4) || world.is_sabotaged(Sabotage::ReceiptsForgotten) {
        world.journal.forget_commands();
    }
    world.journal.append(append).await
}
