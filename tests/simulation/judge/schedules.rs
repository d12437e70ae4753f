//! Schedules: each time is decided on once and in order, each fire has its job, each run ends once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::job::ParentKind;
use domain::schedule::{Event, FireCause, Recurrence, Schedule, Spec};
use domain::{Aggregate as _, Timestamp};
use uuid::Uuid;

use super::jobs::{History, State};
use super::{Streams, of};

/// How long before its deletion a schedule's last time may be that nobody decided on. Nothing fails then, and
/// only what was begun before is in the way.
const BEHIND_MS_MAX: i64 = 5_000;

/// A schedule as the judge follows it.
struct Followed {
    id: Uuid,
    spec: Box<Spec>,
    /// The last time that was decided on.
    decided: Timestamp,
    is_active: bool,
    queued: VecDeque<Timestamp>,
    fired: BTreeSet<Uuid>,
    ended: BTreeSet<Uuid>,
    superseded: BTreeSet<Uuid>,
    /// Times that nobody decided on before it was deleted.
    left: u64,
}

pub(super) fn judge(
    streams: &Streams<'_>,
    jobs: &BTreeMap<Uuid, History>,
    faults: &mut Vec<String>,
) {
    let mut fired = BTreeSet::new();
    for schedule in followed(streams, faults) {
        let id = schedule.id;
        if schedule.left > 0 {
            faults.push(format!(
                "schedule `{id}` left out `{}` times",
                schedule.left
            ));
        }
        for job in &schedule.superseded {
            let state = jobs.get(job).map(|job| job.state);
            if !matches!(state, Some(State::Cancelled | State::Completed)) {
                faults.push(format!("job `{job}` was to be cancelled, and is {state:?}"));
            }
        }
        fired.extend(schedule.fired);
    }
    for (id, job) in jobs {
        let parent = job.parent.as_ref();
        let is_run = parent.is_some_and(|parent| parent.kind == ParentKind::Schedule);
        if is_run && !fired.contains(id) {
            faults.push(format!("job `{id}` was enqueued and never fired"));
        }
    }
}

pub(super) fn unfinished(
    streams: &Streams<'_>,
    jobs: &BTreeMap<Uuid, History>,
    unfinished: &mut Vec<String>,
) {
    for schedule in followed(streams, &mut vec![]) {
        for job in &schedule.fired {
            if !jobs.contains_key(job) {
                unfinished.push(format!("run `{job}` was fired and is not enqueued"));
            } else if !schedule.ended.contains(job) {
                unfinished.push(format!("run `{job}` has not ended for its schedule"));
            }
        }
    }
}

fn followed(streams: &Streams<'_>, faults: &mut Vec<String>) -> Vec<Followed> {
    let mut schedules = Vec::new();
    for (id, events) in of::<Event>(streams, Schedule::CATEGORY) {
        let mut schedule: Option<Followed> = None;
        for (commit, event) in events {
            let at = commit.payload.at;
            let follows = match (&mut schedule, event) {
                (None, Event::Created { spec, .. }) => {
                    schedule = Some(Followed::begin(id, spec, at));
                    true
                }
                (Some(schedule), event) => schedule.take(&event, at),
                (None, _) => false,
            };
            if !follows {
                let position = commit.position;
                faults.push(format!(
                    "schedule `{id}`: what stands at `{position}` cannot follow"
                ));
            }
        }
        schedules.extend(schedule);
    }
    schedules
}

impl Followed {
    fn begin(id: Uuid, spec: Box<Spec>, at: Timestamp) -> Self {
        Self {
            id,
            spec,
            decided: at,
            is_active: true,
            queued: VecDeque::new(),
            fired: BTreeSet::new(),
            ended: BTreeSet::new(),
            superseded: BTreeSet::new(),
            left: 0,
        }
    }

    /// Whether `event` can follow.
    fn take(&mut self, event: &Event, at: Timestamp) -> bool {
        match event {
            Event::Created { .. } => false,
            Event::Changed(spec) => {
                self.spec = spec.clone();
                self.decided = self.decided.max(at);
                true
            }
            Event::Paused { .. } => std::mem::replace(&mut self.is_active, false),
            Event::Resumed => !std::mem::replace(&mut self.is_active, true),
            Event::Fired {
                due, job, cause, ..
            } => {
                let is_new = self.fired.insert(*job);
                is_new
                    && match cause {
                        FireCause::Due | FireCause::CaughtUp => self.decide(*due, 1),
                        FireCause::Queued => self.queued.pop_front() == Some(*due),
                        FireCause::Triggered | FireCause::Backfilled => true,
                    }
            }
            Event::Skipped { due, count, .. } => self.decide(*due, u64::from(*count)),
            Event::Queued { due } => {
                self.queued.push_back(*due);
                self.decide(*due, 1)
            }
            Event::Superseded { job } => {
                self.superseded.insert(*job);
                self.fired.contains(job)
            }
            Event::RunEnded { job, .. } => self.fired.contains(job) && self.ended.insert(*job),
            Event::Deleted => {
                if self.is_active {
                    let by = at.as_millisecond() - BEHIND_MS_MAX;
                    let by = Timestamp::from_millisecond(by).expect("a time");
                    self.left = self.times_to(by);
                }
                self.is_active = false;
                true
            }
        }
    }

    /// So many times were decided on, up to `due`; they are all that there are since the last decision.
    fn decide(&mut self, due: Timestamp, count: u64) -> bool {
        let is_all = self.is_active && self.times_to(due) == count;
        self.decided = due;
        is_all
    }

    /// How many times there are behind the last decision, up to and with `to`.
    fn times_to(&self, to: Timestamp) -> u64 {
        let Recurrence::Every { interval_ms, .. } = &self.spec.recurrence else {
            panic!("the clients' schedules recur every so often");
        };
        let interval_ns = i128::from(u64::from(*interval_ms)) * 1_000_000;
        let number = |time: Timestamp| time.as_nanosecond().div_euclid(interval_ns);
        u64::try_from(number(to) - number(self.decided)).unwrap_or(0)
    }
}
