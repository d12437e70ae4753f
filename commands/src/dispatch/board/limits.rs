//! One queue of the board: what is ready and what runs, held to its limits, its rate and its pauses.

use std::collections::HashMap;
use std::time::Duration;

use domain::Timestamp;
use domain::job;
use domain::queue::{Queue as Control, Rate};

use crate::clock::later;
use crate::dispatch::Depth;
use crate::dispatch::ready::{JobKey, Key, Ready};

/// What one queue has, and how it may be handed out.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) ready: Ready,
    pub(super) delayed: usize,
    /// Offered ones among them.
    running: usize,
    running_by_key: HashMap<Key, usize>,
    pub(super) control: Control,
    /// Of the present period of the rate.
    begun: usize,
    pub(super) period_ends: Option<Timestamp>,
}

impl Queue {
    pub(super) fn depth(&self) -> Depth {
        Depth {
            ready: self.ready.len(),
            delayed: self.delayed,
            running: self.running,
            is_paused: self.control.is_paused,
        }
    }

    pub(super) fn take(&mut self, offered: &job::Capabilities, now: Timestamp) -> Option<JobKey> {
        let limits = self.control.limits;
        let is_full = limits
            .running_max
            .is_some_and(|max| self.running >= max.get() as usize);
        if self.control.is_paused || is_full || !self.may_begin(limits.rate, now) {
            return None;
        }
        let running_by_key = &self.running_by_key;
        self.ready.take(offered, |key| {
            let running = running_by_key.get(key).copied().unwrap_or(0);
            // Jobs without a key share their turn, not a limit.
            let max = limits.running_per_key_max.filter(|_| key.is_some());
            max.is_none_or(|max| running < max.get() as usize)
        })
    }

    /// Whether the rate lets one more begin in this period.
    fn may_begin(&mut self, rate: Option<Rate>, now: Timestamp) -> bool {
        let Some(rate) = rate else {
            self.period_ends = None;
            return true;
        };
        if self.period_ends.is_none_or(|ends| ends <= now) {
            let period = Duration::from_millis(rate.period_ms.get());
            self.period_ends = Some(later(now, period));
            self.begun = 0;
        }
        self.begun < rate.jobs.get() as usize
    }

    pub(super) fn began(&mut self, key: &Key) {
        self.begun += 1;
        self.running += 1;
        *self.running_by_key.entry(key.clone()).or_default() += 1;
    }

    pub(super) fn ended(&mut self, key: &Key) {
        self.running = self.running.saturating_sub(1);
        if let Some(running) = self.running_by_key.get_mut(key) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.running_by_key.remove(key);
            }
        }
        self.ready.make_room(key);
    }
}
