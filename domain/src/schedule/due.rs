//! What becomes of a time that is due: catching up with what was missed, and the overlap policy.

use std::collections::VecDeque;

use jiff::SignedDuration;
use uuid::Uuid;

use super::{
    BACKFILL_MAX, CatchUp, Changes, Event, FireCause, Overlap, PauseCause, Plan, Refusal,
    RunOutcome, SkipCause, Status,
};
use crate::{Json, Timestamp};

/// How late a time may be decided on and still count as in time: a dispatcher's change of office.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(60);

/// How many times one decision looks at. What lies behind them is the next decision's.
const LOOKED_AT_MAX: usize = 20_000;

/// How many of the last missed times may be made up for.
const CAUGHT_UP_MAX: usize = 100;

/// How many times may wait for the end of what runs.
const QUEUED_MAX: usize = 100;

/// How many runs of one schedule may not have ended: whoever has more has no workers.
pub const RUNNING_MAX: usize = 1_000;

/// The times between the last decision and now.
struct Passed {
    /// The last of those that were missed.
    missed: VecDeque<Timestamp>,
    missed_count: u32,
    in_time: Vec<Timestamp>,
    /// Whether there are more than were looked at.
    has_more: bool,
}

/// The events of one decision, and what they make of the plan.
struct Decision<'a> {
    plan: &'a Plan,
    running: Vec<Uuid>,
    queued: usize,
    events: Vec<Event>,
}

impl Plan {
    pub(super) fn decide_due(&self, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        if self.standing.status != Status::Active {
            return Err(Refusal::NotDue);
        }
        let passed = self.passed(now);
        let mut decision = Decision::on(self);
        decision.catch_up(&passed);
        for due in passed.in_time {
            decision.fire_or_not(due, FireCause::Due);
        }
        if decision.events.is_empty() {
            return Err(Refusal::NotDue);
        }
        Ok(decision.events)
    }

    fn passed(&self, now: Timestamp) -> Passed {
        let late = now.checked_sub(LATE_MAX).unwrap_or(Timestamp::MIN);
        let mut passed = Passed {
            missed: VecDeque::new(),
            missed_count: 0,
            in_time: Vec::new(),
            has_more: false,
        };
        let mut last = self.standing.decided;
        for _ in 0..LOOKED_AT_MAX {
            let Some(due) = self.spec.next(last).filter(|due| *due <= now) else {
                return passed;
            };
            last = due;
            if due >= late {
                passed.in_time.push(due);
                continue;
            }
            passed.missed_count += 1;
            passed.missed.push_back(due);
            if passed.missed.len() > CAUGHT_UP_MAX {
                passed.missed.pop_front();
            }
        }
        passed.has_more = true;
        passed
    }

    /// One fire, with the job and the time from which it may be handed out.
    pub(super) fn fire(
        &self,
        due: Timestamp,
        job: Uuid,
        cause: FireCause,
        not_before: Timestamp,
    ) -> Event {
        let jitter = match cause {
            FireCause::Triggered | FireCause::Backfilled => SignedDuration::ZERO,
            FireCause::Due | FireCause::CaughtUp | FireCause::Queued => self.spec.jitter(job),
        };
        Event::Fired {
            due,
            job,
            cause,
            run_after: not_before.checked_add(jitter).unwrap_or(not_before),
        }
    }

    pub(super) fn fire_at(&self, due: Timestamp, cause: FireCause) -> Event {
        let job = self.spec.job_id(self.id, due, cause);
        self.fire(due, job, cause, due)
    }

    /// Whether so many more runs may begin.
    pub(super) fn check_room(&self, more: usize) -> Result<(), Refusal> {
        match self.standing.running.len() + more > RUNNING_MAX {
            true => Err(Refusal::TooManyRuns),
            false => Ok(()),
        }
    }

    pub(super) fn backfill(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Event>, Refusal> {
        let behind = from
            .checked_sub(SignedDuration::from_nanos(1))
            .unwrap_or(from);
        let times = self.spec.times(behind, to, BACKFILL_MAX + 1);
        if times.is_empty() || times.len() > BACKFILL_MAX {
            return Err(Refusal::BackfillRange);
        }
        self.check_room(times.len())?;
        let fires = times
            .into_iter()
            .map(|due| self.fire_at(due, FireCause::Backfilled));
        Ok(fires.collect())
    }

    pub(super) fn end_run(
        &self,
        job: Uuid,
        outcome: RunOutcome,
        result: Option<&Json>,
    ) -> Vec<Event> {
        if !self.standing.running.contains(&job) {
            return vec![];
        }
        let mut events = vec![Event::RunEnded {
            job,
            outcome,
            changes: self.changes(outcome, result),
        }];
        let failures = outcome.failures(self.standing.failures);
        let is_too_many = |max: super::Failures| u64::from(failures) >= max.get();
        if self.standing.status != Status::Active {
            return events;
        }
        if outcome == RunOutcome::Failed && self.spec.failures_max.is_some_and(is_too_many) {
            events.push(Event::Paused {
                cause: PauseCause::Failures,
                reason: None,
            });
        } else if self.standing.running.len() == 1 {
            events.extend(self.fire_queued());
        }
        events
    }

    fn changes(&self, outcome: RunOutcome, result: Option<&Json>) -> Option<Changes> {
        let is_compared = self.spec.compare_previous && outcome == RunOutcome::Succeeded;
        is_compared.then(|| {
            // JSON that was checked can be read.
            let result = result.and_then(|json| serde_json::from_str(json.get()).ok());
            Changes::between(&self.last_result, &result.unwrap_or_default())
        })
    }

    /// The first of the times that wait.
    pub(super) fn fire_queued(&self) -> Option<Event> {
        let due = self.standing.queued.front()?;
        Some(self.fire_at(*due, FireCause::Queued))
    }
}

impl<'a> Decision<'a> {
    fn on(plan: &'a Plan) -> Self {
        Self {
            plan,
            running: plan.standing.running.clone(),
            queued: plan.standing.queued.len(),
            events: Vec::new(),
        }
    }

    /// Makes up for as many of the last missed times as the policy says, and tells of the others.
    fn catch_up(&mut self, passed: &Passed) {
        let wanted = match self.plan.spec.catch_up {
            CatchUp::None => 0,
            CatchUp::Last => 1,
            CatchUp::All { at_most } => at_most.get() as usize,
        };
        // While more times lie behind, these are not the last ones.
        let wanted = if passed.has_more { 0 } else { wanted };
        let made_up_for = wanted.min(passed.missed.len());
        let left_out = passed.missed.len() - made_up_for;
        if left_out > 0 {
            let count = passed.missed_count - u32::try_from(made_up_for).unwrap_or(0);
            self.events.push(Event::Skipped {
                due: passed.missed[left_out - 1],
                count,
                cause: SkipCause::Missed,
            });
        }
        for due in passed.missed.iter().skip(left_out) {
            self.fire_or_not(*due, FireCause::CaughtUp);
        }
    }

    fn fire_or_not(&mut self, due: Timestamp, cause: FireCause) {
        let is_busy = !self.running.is_empty();
        match self.plan.spec.overlap {
            Overlap::Skip if is_busy => self.skip(due),
            Overlap::Queue if is_busy && self.queued < QUEUED_MAX => {
                self.queued += 1;
                self.events.push(Event::Queued { due });
            }
            Overlap::Queue if is_busy => self.skip(due),
            Overlap::CancelRunning => {
                let superseded = self.running.drain(..);
                self.events
                    .extend(superseded.map(|job| Event::Superseded { job }));
                self.fire(due, cause);
            }
            Overlap::Allow if self.running.len() >= RUNNING_MAX => self.skip(due),
            Overlap::Allow | Overlap::Skip | Overlap::Queue => self.fire(due, cause),
        }
    }

    fn fire(&mut self, due: Timestamp, cause: FireCause) {
        let fired = self.plan.fire_at(due, cause);
        if let Event::Fired { job, .. } = &fired {
            self.running.push(*job);
        }
        self.events.push(fired);
    }

    fn skip(&mut self, due: Timestamp) {
        self.events.push(Event::Skipped {
            due,
            count: 1,
            cause: SkipCause::Overlap,
        });
    }
}
