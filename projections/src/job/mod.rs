//! job: one row a job, as it stands now.
//! Folds category `job`; owns table `job`; queries in `query.rs`, `statistics.rs` and `group.rs`, and `open.rs` is
//! what the dispatcher begins with.
//!
//! A row changes some three times: enqueued, started, ended. So its payload, which may be large, is
//! written once and not kept in memory, and a row that nothing can follow is forgotten when it is
//! written. `wait_ms` is the time from when the job could be handed out to its first start; `error` is
//! that of the last failure, also after a later success; `ended_at` and `death` go when it is put back.

mod group;
mod open;
mod query;
mod row;
mod statistics;

use std::iter::once;

use domain::job::{ErrorText, Event, Expiry, Job, Progress, Spec, Status};
use domain::{Aggregate, Tenant};
use uuid::Uuid;

pub use self::group::{Counts, Group, belonging, counts};
pub use self::open::{Open, OpenJob, open};
pub use self::query::{By, Filter, Sort, get, list};
pub use self::row::JobRow;
pub use self::statistics::{
    LastMinute, Percentiles, QueueStatistics, Worker, queue_statistics, workers,
};
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
    const READS: Reads = Reads::Category(Job::CATEGORY);
    const ROWS: Rows = Rows::Folded;
    type Key = Key;
    type Row = JobRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        Ok(once((fact.stream().tenant.clone(), fact.id()?)))
    }

    fn begins(fact: &Fact<'_>, _key: &Key) -> bool {
        fact.version() == 1
    }

    fn apply(row: &mut Option<JobRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        match (fact.job()?, &mut *row) {
            (Event::Enqueued(_), Some(_)) => {
                return Err(Poison::new("job was enqueued before"));
            }
            (Event::Enqueued(spec), None) => *row = Some(enqueued(key, spec, fact)),
            (_, None) => return Err(Poison::new("job was never enqueued")),
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

fn enqueued(key: &Key, spec: &Spec, fact: &Fact<'_>) -> JobRow {
    JobRow {
        tenant: key.0.clone(),
        id: key.1,
        queue: spec.queue.clone(),
        kind: spec.kind.clone(),
        priority: spec.priority,
        status: Status::Waiting,
        attempt: 0,
        failures: 0,
        worker: None,
        enqueued_at: fact.at(),
        ready_at: spec.run_after.map(stored),
        started_at: None,
        ended_at: None,
        deadline: spec.deadline.map(stored),
        timeout_s: spec.timeout_s,
        fairness_key: spec.fairness_key.clone(),
        capabilities: spec.capabilities.clone(),
        labels: spec.labels.clone(),
        parent: spec.parent.clone(),
        progress: Progress::default(),
        error: None,
        death: None,
        wait_ms: None,
        payload: spec.payload.clone(),
        result: None,
        retry: spec.retry,
        version: fact.version(),
        position: fact.position(),
        principal: fact.commit.payload.actor.principal.clone(),
    }
}

impl JobRow {
    fn take(&mut self, event: &Event, fact: &Fact<'_>) {
        match event {
            Event::Enqueued(_) => {}
            Event::Started { attempt, worker } => {
                let at = fact.at();
                if self.wait_ms.is_none() {
                    let waited = at.duration_since(self.could_start_at());
                    self.wait_ms = Some(u64::try_from(waited.as_millis()).unwrap_or(0));
                }
                self.rests(Status::Running);
                self.attempt = *attempt;
                self.worker = Some(worker.clone());
                self.started_at = Some(at);
            }
            Event::Progressed { progress, .. } => self.progress.clone_from(progress),
            Event::Completed { result, .. } => {
                self.ends(Status::Completed, fact);
                self.result.clone_from(result);
            }
            Event::Failed { error, .. } => self.fails(error.clone()),
            Event::TimedOut { cause, .. } => self.fails(timed_out(*cause)),
            Event::Released { .. } => self.rests(Status::Waiting),
            Event::Retried { at } => {
                self.rests(Status::Waiting);
                self.ready_at = Some(stored(*at));
            }
            Event::DeadLettered { cause, .. } => {
                self.ends(Status::Dead, fact);
                self.death = Some(*cause);
            }
            Event::Cancelled { .. } => self.ends(Status::Cancelled, fact),
            Event::Requeued => {
                self.rests(Status::Waiting);
                self.failures = 0;
                self.deadline = None;
                self.ended_at = None;
            }
        }
        self.version = fact.version();
        self.position = fact.position();
    }

    /// From when on it could be handed out, while it waits for its first start.
    fn could_start_at(&self) -> domain::Timestamp {
        self.ready_at
            .map_or(self.enqueued_at, |at| at.max(self.enqueued_at))
    }

    /// Goes to `status`, without what was only true of the one before.
    fn rests(&mut self, status: Status) {
        self.status = status;
        self.ready_at = None;
        self.worker = None;
        self.progress = Progress::default();
        self.death = None;
    }

    fn ends(&mut self, status: Status, fact: &Fact<'_>) {
        self.rests(status);
        self.ended_at = Some(fact.at());
    }

    /// An attempt came to nothing; what follows is said by the next event.
    fn fails(&mut self, error: ErrorText) {
        self.failures += 1;
        self.error = Some(error);
    }
}

fn timed_out(cause: Expiry) -> ErrorText {
    ErrorText::new(format!("timed out: {cause}")).expect("a short line is within the limit")
}
