//! One term of office: along the journal, and along the timetable.
//!
//! The effects of a chunk of entries are carried out beside everything else, so that what is due fires
//! in time however much there is to do; the next chunk waits for them, and the checkpoint follows them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use domain::{Entry, Position, StreamId, Timestamp};
use fail::fail_point;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, BoxStream, ReadyChunks};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::batches::{Known, Looked};
use super::command::NotNow;
use super::effects;
use super::timetable::Timetable;
use super::{Ended, Parts, Reaction, react};
use crate::clock::{instant_of, later};

/// How many entries of the journal have their effects at once.
const ENTRIES_MAX: usize = 1_000;

/// How many effects are carried out at once, and how many schedules fire at once: each is an append or two.
/// Many schedules are due at the same full minute, and the journal takes as many appends in one write as
/// wait for it together.
const CONCURRENT_MAX: usize = 1_000;

/// How often the checkpoint is saved where nothing had an effect. What is read again after a crash
/// costs a look at each entry.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// How long a schedule rests that could not fire.
const FIRED_AGAIN: Duration = Duration::from_secs(1);

/// How long nothing is looked at where nothing happens.
const IDLE: Duration = Duration::from_secs(60);

/// A reactor in office.
pub(super) struct Term {
    parts: Parts,
    /// Everything up to it has had its effects.
    checkpoint: Position,
    saved_at: Instant,
    entries: ReadyChunks<BoxStream<'static, Entry>>,
    timetable: Timetable,
    batches: Known,
    firing: JoinSet<(StreamId, Result<Option<Timestamp>, NotNow>)>,
}

/// What came of a chunk of entries.
struct Chunk {
    position: Position,
    is_saved: bool,
    /// The schedules that something happened to, each with its next time.
    moved: Vec<(StreamId, Option<Timestamp>)>,
    /// The batches that were looked at.
    looked: Vec<Looked>,
}

impl Term {
    /// Loads how far the effects have come, and what is due when.
    pub(super) async fn begin(parts: &Parts) -> Result<Self, Ended> {
        let checkpoint = parts.checkpoint.load().await.map_err(Ended::Checkpoint)?;
        let loaded = parts.due.load().await.map_err(Ended::Due)?;
        let mut timetable = Timetable::default();
        for (schedule, next) in loaded.next {
            timetable.set(schedule, Some(next));
        }
        // What happened to a schedule behind the loaded position moves its next time, also where it has
        // had its effects.
        let entries = parts.journal.read_all(checkpoint.min(loaded.position));
        Ok(Self {
            parts: parts.clone(),
            checkpoint,
            saved_at: Instant::now(),
            entries: entries.ready_chunks(ENTRIES_MAX),
            timetable,
            batches: Known::default(),
            firing: JoinSet::new(),
        })
    }

    pub(super) fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    pub(super) fn schedules(&self) -> usize {
        self.timetable.len()
    }

    pub(super) async fn serve(mut self) -> Result<Infallible, Ended> {
        let mut working: Option<BoxFuture<'static, Result<Chunk, Ended>>> = None;
        loop {
            self.fire_due();
            let next = self.next_look();
            tokio::select! {
                biased;
                Some(fired) = self.firing.join_next() => self.fired(fired)?,
                chunk = async { working.as_mut().expect("only asked where it works").await },
                    if working.is_some() =>
                {
                    working = None;
                    self.take(chunk?);
                }
                entries = self.entries.next(), if working.is_none() => {
                    working = Some(self.work(entries.ok_or(Ended::NoMoreEntries)?));
                }
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Carries out what follows from `entries`.
    fn work(&mut self, entries: Vec<Entry>) -> BoxFuture<'static, Result<Chunk, Ended>> {
        let parts = self.parts.clone();
        let checkpoint = self.checkpoint;
        let is_time = self.saved_at.elapsed() >= SAVED_EVERY;
        let position = entries.last().map_or(checkpoint, Entry::position);
        let (mut reactions, touched) = sorted(&entries, checkpoint);
        let has_effects = !reactions.is_empty();
        let is_saved = is_time || has_effects;
        self.batches.leave_due(&mut reactions);
        async move {
            let looked = carry_out_all(&parts, reactions).await?;
            fail_point!("effects-done", has_effects, |_| std::process::abort());
            if is_saved && position > checkpoint {
                let saved = parts.checkpoint.save(position).await;
                saved.map_err(Ended::Save)?;
            }
            let nexts = touched.into_iter().map(|schedule| async {
                let next = effects::next(&parts, &schedule, position).await;
                next.map(|next| (schedule, next))
            });
            let nexts = stream::iter(nexts).buffer_unordered(CONCURRENT_MAX);
            Ok(Chunk {
                position,
                is_saved,
                moved: nexts.try_collect().await.map_err(Ended::Effect)?,
                looked,
            })
        }
        .boxed()
    }

    fn take(&mut self, chunk: Chunk) {
        self.checkpoint = self.checkpoint.max(chunk.position);
        if chunk.is_saved {
            self.saved_at = Instant::now();
        }
        self.batches.take(chunk.looked);
        for (schedule, next) in chunk.moved {
            self.timetable.set(schedule, next);
        }
    }

    fn fire_due(&mut self) {
        while self.firing.len() < CONCURRENT_MAX
            && let Some(schedule) = self.timetable.pop_due(self.parts.clock.now())
        {
            let parts = self.parts.clone();
            self.firing.spawn(async move {
                let next = effects::fire(&parts, &schedule).await;
                (schedule, next)
            });
        }
    }

    fn fired(
        &mut self,
        fired: Result<(StreamId, Result<Option<Timestamp>, NotNow>), JoinError>,
    ) -> Result<(), Ended> {
        let (schedule, next) = fired.map_err(|error| Ended::Effect(error.into()))?;
        let next = next.unwrap_or_else(|error| {
            tracing::warn!(stream = %schedule, error, "a schedule did not fire, tried again");
            Some(later(self.parts.clock.now(), FIRED_AGAIN))
        });
        self.timetable.set(schedule, next);
        Ok(())
    }

    fn next_look(&self) -> Instant {
        let is_full = self.firing.len() >= CONCURRENT_MAX;
        let due = self.timetable.first().filter(|_| !is_full);
        due.map_or_else(
            || Instant::now() + IDLE,
            |due| instant_of(due, self.parts.clock.now(), IDLE),
        )
    }
}

/// What follows from `entries` behind `checkpoint`, and the schedules that something happened to.
fn sorted(entries: &[Entry], checkpoint: Position) -> (Vec<Reaction>, BTreeSet<StreamId>) {
    let mut reactions = Vec::new();
    let mut touched = BTreeSet::new();
    for entry in entries {
        match entry {
            Entry::Commit(commit) => {
                if effects::is_schedule(&commit.stream) {
                    touched.insert(commit.stream.clone());
                }
                if commit.position > checkpoint {
                    reactions.extend(react(commit));
                }
            }
            Entry::Unreadable { position, reason } => {
                metrics::counter!("ledgerline_reactions_unreadable_total").increment(1);
                tracing::error!(
                    position = position.0,
                    reason,
                    "nothing follows from an entry that the reactor cannot read"
                );
            }
        }
    }
    (reactions, touched)
}

/// In order for each schedule and each batch, and side by side for all of them. Sorted, as everything here, so
/// that the same entries lead to the same calls in the same order and a simulation can be run again.
async fn carry_out_all(parts: &Parts, reactions: Vec<Reaction>) -> Result<Vec<Looked>, Ended> {
    let mut lanes: BTreeMap<StreamId, Vec<Reaction>> = BTreeMap::new();
    for reaction in reactions {
        let lane = lanes.entry(reaction.about.clone()).or_default();
        lane.push(reaction);
    }
    let lanes = lanes.into_values().map(|lane| async {
        let mut looked = None;
        for reaction in lane {
            looked = effects::carry_out(parts, reaction).await?.or(looked);
        }
        Ok(looked)
    });
    let looked = stream::iter(lanes).buffer_unordered(CONCURRENT_MAX);
    let looked = looked.try_filter_map(async |looked| Ok(looked));
    looked.try_collect().await.map_err(Ended::Effect)
}
