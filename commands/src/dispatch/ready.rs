//! What is ready in one queue, and whose turn it is.
//!
//! Priorities come in order, but every [`BOTTOM_UP_EVERY`]th turn goes from the bottom up, so that what
//! is low gets an eighth of a queue that is never empty. Within a priority the fairness keys take
//! turns; within a key the first come is the first served.

use std::collections::{BTreeMap, HashMap};

use domain::job::{Capabilities, Priority};
use domain::{Name, Tenant};
use uuid::Uuid;

/// Which turn goes from the lowest priority up.
const BOTTOM_UP_EVERY: u64 = 8;

/// How many jobs of a key are looked at for one that the worker can do. What stands behind is found
/// when those in front are gone.
const LOOKED_AT_MAX: usize = 100;

/// A job of a tenant.
pub type JobKey = (Tenant, Uuid);

/// What a job shares its turn with; jobs without a key share one.
pub(super) type Key = Option<Name>;

/// The ready jobs of one queue.
#[derive(Debug, Default)]
pub(super) struct Ready {
    lanes: [Lane; 4],
    count: usize,
    turn: u64,
}

/// The ready jobs of one priority.
#[derive(Debug, Default)]
struct Lane {
    keys: HashMap<Key, Line>,
    /// The keys whose turn comes, by their places: the first one is next.
    turns: BTreeMap<u64, Key>,
    /// The place of whoever comes last.
    last_place: u64,
}

/// The ready jobs of one key, of which there is at least one.
#[derive(Debug, Default)]
struct Line {
    jobs: BTreeMap<u64, Waiting>,
    /// Its place among the turns; none while it was found without room.
    place: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    job: JobKey,
    wanted: Capabilities,
}

impl Ready {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Puts a job in; `order` is its place, and tells it from every other.
    pub(super) fn push(
        &mut self,
        priority: Priority,
        key: &Key,
        order: u64,
        job: JobKey,
        wanted: Capabilities,
    ) {
        let lane = &mut self.lanes[priority as usize];
        let is_new = !lane.keys.contains_key(key);
        let line = lane.keys.entry(key.clone()).or_default();
        if line.jobs.insert(order, Waiting { job, wanted }).is_none() {
            self.count += 1;
        }
        if is_new {
            lane.line_up(key);
        }
    }

    pub(super) fn remove(&mut self, priority: Priority, key: &Key, order: u64) {
        let lane = &mut self.lanes[priority as usize];
        let Some(line) = lane.keys.get_mut(key) else {
            return;
        };
        if line.jobs.remove(&order).is_some() {
            self.count -= 1;
        }
        if line.jobs.is_empty() {
            if let Some(place) = line.place {
                lane.turns.remove(&place);
            }
            lane.keys.remove(key);
        }
    }

    /// The next job for a worker that can do `offered`, where `has_room` says whether a key may have
    /// one more.
    pub(super) fn take(
        &mut self,
        offered: &Capabilities,
        has_room: impl Fn(&Key) -> bool,
    ) -> Option<JobKey> {
        if self.count == 0 {
            return None;
        }
        self.turn += 1;
        let is_bottom_up = self.turn.is_multiple_of(BOTTOM_UP_EVERY);
        let mut lanes: Vec<_> = self.lanes.iter_mut().collect();
        if is_bottom_up {
            lanes.reverse();
        }
        let job = lanes
            .into_iter()
            .find_map(|lane| lane.take(offered, &has_room))?;
        self.count -= 1;
        Some(job)
    }

    /// A job of `key` has ended: there is room again.
    pub(super) fn make_room(&mut self, key: &Key) {
        for lane in &mut self.lanes {
            if lane.keys.get(key).is_some_and(Line::is_parked) {
                lane.line_up(key);
            }
        }
    }

    /// The limits have changed: every key may have room, and whose job came first is first.
    pub(super) fn make_room_for_all(&mut self) {
        for lane in &mut self.lanes {
            let parked = lane.keys.iter().filter(|(_, line)| line.is_parked());
            let mut parked: Vec<_> = parked
                .map(|(key, line)| (line.jobs.keys().next().copied(), key.clone()))
                .collect();
            parked.sort_unstable_by_key(|(first, _)| *first);
            for (_, key) in parked {
                lane.line_up(&key);
            }
        }
    }
}

impl Lane {
    fn take(&mut self, offered: &Capabilities, has_room: &impl Fn(&Key) -> bool) -> Option<JobKey> {
        for _ in 0..self.turns.len() {
            let (_, key) = self.turns.pop_first()?;
            let line = self.keys.get_mut(&key)?;
            line.place = None;
            if !has_room(&key) {
                continue;
            }
            let fits = |(_, waiting): &(&u64, &Waiting)| waiting.wanted.are_in(offered);
            let order = line.jobs.iter().take(LOOKED_AT_MAX).find(fits);
            let order = order.map(|(order, _)| *order);
            let taken = order.and_then(|order| line.jobs.remove(&order));
            if line.jobs.is_empty() {
                self.keys.remove(&key);
            } else {
                self.line_up(&key);
            }
            if let Some(waiting) = taken {
                return Some(waiting.job);
            }
        }
        None
    }

    /// Gives `key` the last place.
    fn line_up(&mut self, key: &Key) {
        if let Some(line) = self.keys.get_mut(key) {
            self.last_place += 1;
            line.place = Some(self.last_place);
            self.turns.insert(self.last_place, key.clone());
        }
    }
}

impl Line {
    fn is_parked(&self) -> bool {
        self.place.is_none()
    }
}
