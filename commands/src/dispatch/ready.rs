//! What is ready in one queue, and whose turn it is.
//!
//! Priorities come in order, but every [`BOTTOM_UP_EVERY`]th turn goes from the bottom up, so that what
//! is low gets an eighth of a queue that is never empty. Within a priority the fairness keys take
//! turns; within a key the first come is the first served.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use domain::Name;
use domain::job::{Capabilities, Priority};

use super::board::JobKey;

/// Which turn goes from the lowest priority up.
const BOTTOM_UP_EVERY: u64 = 8;

/// How many jobs of a key are looked at for one that the worker can do. What stands behind is found
/// when those in front are gone.
const LOOKED_AT_MAX: usize = 100;

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
    keys: HashMap<Key, BTreeMap<u64, Waiting>>,
    /// The keys that have jobs and room, the next one first.
    ring: VecDeque<Key>,
    /// The keys that have jobs and no room.
    parked: HashSet<Key>,
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
        let jobs = lane.keys.entry(key.clone()).or_default();
        if jobs.is_empty() && !lane.parked.contains(key) {
            lane.ring.push_back(key.clone());
        }
        if jobs.insert(order, Waiting { job, wanted }).is_none() {
            self.count += 1;
        }
    }

    pub(super) fn remove(&mut self, priority: Priority, key: &Key, order: u64) {
        let lane = &mut self.lanes[priority as usize];
        let Some(jobs) = lane.keys.get_mut(key) else {
            return;
        };
        if jobs.remove(&order).is_some() {
            self.count -= 1;
        }
        if jobs.is_empty() {
            lane.forget(key);
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
            if lane.parked.remove(key) && lane.keys.contains_key(key) {
                lane.ring.push_back(key.clone());
            }
        }
    }

    /// The limits have changed: every key may have room.
    pub(super) fn make_room_for_all(&mut self) {
        for lane in &mut self.lanes {
            lane.ring.extend(lane.parked.drain());
        }
    }
}

impl Lane {
    fn take(&mut self, offered: &Capabilities, has_room: &impl Fn(&Key) -> bool) -> Option<JobKey> {
        for _ in 0..self.ring.len() {
            let key = self.ring.pop_front()?;
            if !has_room(&key) {
                self.parked.insert(key);
                continue;
            }
            let jobs = self.keys.get_mut(&key)?;
            let fits = |(_, waiting): &(&u64, &Waiting)| waiting.wanted.are_in(offered);
            let order = jobs.iter().take(LOOKED_AT_MAX).find(fits);
            let order = order.map(|(order, _)| *order);
            let taken = order.and_then(|order| jobs.remove(&order));
            if jobs.is_empty() {
                self.keys.remove(&key);
            } else {
                self.ring.push_back(key);
            }
            if let Some(waiting) = taken {
                return Some(waiting.job);
            }
        }
        None
    }

    fn forget(&mut self, key: &Key) {
        self.keys.remove(key);
        self.parked.remove(key);
        self.ring.retain(|other| other != key);
    }
}
