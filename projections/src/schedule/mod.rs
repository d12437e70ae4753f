//! schedule: one row a schedule, as it stands now.
//! Folds category `schedule`; owns table `schedule`; queries in `query.rs`, and `timetable.rs` is what
//! whoever fires them begins with.
//!
//! How a schedule stands, and when it is next due, are the domain's own folds: no rule is repeated here.
//! The payload of the job is a column of its own, of text: Postgres would look into it as `jsonb`.

mod query;
mod row;
mod timetable;

use std::iter::once;

use domain::schedule::{Event, RunOutcome, Schedule, Spec, Standing};
use domain::{Aggregate, Tenant, Timestamp};
use uuid::Uuid;

pub use self::query::{By, Filter, Sort, get, list};
pub use self::row::{Counts, LastRun, Pause, ScheduleRow};
pub use self::timetable::{Timetable, timetable};
use crate::fact::{Fact, stored};
use crate::model::{Poison, ReadModel, Reads, Rows};
use crate::table::Table;

/// The read model.
#[derive(Debug)]
pub struct Model;

/// What names a row: tenant and id.
pub type Key = (Tenant, Uuid);

impl ReadModel for Model {
    const TABLE: &'static Table = &row::TABLE;
    const VERSION: u32 = 1;
    const READS: Reads = Reads::Category(Schedule::CATEGORY);
    const ROWS: Rows = Rows::Folded;
    type Key = Key;
    type Row = ScheduleRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        Ok(once((fact.stream().tenant.clone(), fact.id()?)))
    }

    fn begins(fact: &Fact<'_>, _key: &Key) -> bool {
        fact.version() == 1
    }

    fn apply(row: &mut Option<ScheduleRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        match (fact.schedule()?, &mut *row) {
            (Event::Created { .. }, Some(_)) => {
                return Err(Poison::new("schedule was created before"));
            }
            (Event::Created { spec, .. }, None) => *row = Some(created(key, spec, fact)),
            (_, None) => return Err(Poison::new("schedule was never created")),
            (event, Some(row)) => {
                if fact.version() != row.version + 1 {
                    let (has, is) = (row.version, fact.version());
                    return Err(Poison::new(format!("event `{is}` follows event `{has}`")));
                }
                row.take(event, fact);
            }
        }
        Ok(())
    }
}

fn created(key: &Key, spec: &Spec, fact: &Fact<'_>) -> ScheduleRow {
    let mut row = ScheduleRow {
        tenant: key.0.clone(),
        id: key.1,
        spec: Box::new(spec.clone()),
        payload: None,
        standing: Standing::begin(happened_at(fact)),
        next_at: None,
        last_fired_at: None,
        last_job: None,
        last_run: None,
        counts: Counts::default(),
        pause: None,
        created_at: fact.at(),
        changed_at: fact.at(),
        version: fact.version(),
        position: fact.position(),
        principal: fact.commit.payload.actor.principal.clone(),
    };
    row.payload = row.spec.job.payload.take();
    row.looks_ahead();
    row
}

/// When the aggregate was told that it happened: exact, where columns have whole microseconds.
fn happened_at(fact: &Fact<'_>) -> Timestamp {
    fact.commit.happened_at(fact.recorded)
}

impl ScheduleRow {
    fn take(&mut self, event: &Event, fact: &Fact<'_>) {
        self.standing.take(event, happened_at(fact));
        match event {
            Event::Created { .. } | Event::Queued { .. } | Event::Superseded { .. } => {}
            Event::Changed(spec) => {
                self.spec.clone_from(spec);
                self.payload = self.spec.job.payload.take();
                self.changed_at = fact.at();
            }
            Event::Paused { cause, reason } => {
                self.pause = Some(Pause {
                    cause: *cause,
                    reason: reason.clone(),
                });
                self.changed_at = fact.at();
            }
            Event::Resumed | Event::Deleted => {
                self.pause = None;
                self.changed_at = fact.at();
            }
            Event::Fired { due, job, .. } => {
                self.counts.fired += 1;
                self.last_fired_at = Some(stored(*due));
                self.last_job = Some(*job);
            }
            Event::Skipped { count, .. } => self.counts.skipped += u64::from(*count),
            Event::RunEnded { job, outcome, .. } => {
                *self.counts.ended(*outcome) += 1;
                self.last_run = Some(LastRun {
                    job: *job,
                    outcome: *outcome,
                    ended_at: fact.at(),
                });
            }
        }
        self.looks_ahead();
        self.version = fact.version();
        self.position = fact.position();
    }

    fn looks_ahead(&mut self) {
        self.next_at = self.standing.next(&self.spec).map(not_before);
    }
}

impl Counts {
    fn ended(&mut self, outcome: RunOutcome) -> &mut u64 {
        match outcome {
            RunOutcome::Succeeded => &mut self.succeeded,
            RunOutcome::Failed => &mut self.failed,
            RunOutcome::Cancelled => &mut self.cancelled,
        }
    }
}

/// The first whole microsecond from `time` on: what is looked at then is due.
fn not_before(time: Timestamp) -> Timestamp {
    let later = time.checked_add(jiff::SignedDuration::from_nanos(999));
    stored(later.unwrap_or(time))
}
