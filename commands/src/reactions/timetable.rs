//! The timetable: which schedule has its next time when.

use std::collections::{BTreeSet, HashMap};

use domain::{StreamId, Timestamp};

/// Each schedule that decides on something, once, with its next time.
#[derive(Debug, Default)]
pub struct Timetable {
    next: HashMap<StreamId, Timestamp>,
    order: BTreeSet<(Timestamp, StreamId)>,
}

impl Timetable {
    /// How many schedules are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.next.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// The schedule has its next time at `next`, or none any more.
    pub fn set(&mut self, schedule: StreamId, next: Option<Timestamp>) {
        let before = match next {
            Some(next) => self.next.insert(schedule.clone(), next),
            None => self.next.remove(&schedule),
        };
        if let Some(before) = before {
            self.order.remove(&(before, schedule.clone()));
        }
        if let Some(next) = next {
            self.order.insert((next, schedule));
        }
    }

    /// The next time of all.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out the schedule that has been due for longest, if one is by `now`.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<StreamId> {
        if self.first()? > now {
            return None;
        }
        let (_, schedule) = self.order.pop_first()?;
        self.next.remove(&schedule);
        Some(schedule)
    }
}
