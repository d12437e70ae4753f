//! batch: one row a batch, as it stands now.
//! Folds category `batch`; owns table `batch`; queries in `query.rs`, which also count its jobs.
//!
//! A row knows nothing of the batch's jobs: how far they are is counted in table `job`, at the moment of the
//! question. The counts in a row are those that the batch was completed with.

mod query;
mod row;

use std::iter::once;

use domain::batch::{Batch, Event, Spec, Status};
use domain::{Aggregate, Tenant};
use uuid::Uuid;

pub use self::query::{By, Filter, Progress, Sort, Standing, get, list};
pub use self::row::BatchRow;
use crate::fact::Fact;
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
    const READS: Reads = Reads::Category(Batch::CATEGORY);
    const ROWS: Rows = Rows::Folded;
    type Key = Key;
    type Row = BatchRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        Ok(once((fact.stream().tenant.clone(), fact.id()?)))
    }

    fn begins(fact: &Fact<'_>, _key: &Key) -> bool {
        fact.version() == 1
    }

    fn apply(row: &mut Option<BatchRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        match (fact.batch()?, &mut *row) {
            (Event::Opened(_), Some(_)) => {
                return Err(Poison::new("batch was opened before"));
            }
            (Event::Opened(spec), None) => *row = Some(opened(key, spec, fact)),
            (_, None) => return Err(Poison::new("batch was never opened")),
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

fn opened(key: &Key, spec: &Spec, fact: &Fact<'_>) -> BatchRow {
    let is_closed = spec.jobs.is_some();
    BatchRow {
        tenant: key.0.clone(),
        id: key.1,
        name: spec.name.clone(),
        status: if is_closed {
            Status::Closed
        } else {
            Status::Open
        },
        jobs: spec.jobs,
        on_complete: spec.on_complete.clone(),
        labels: spec.labels.clone(),
        opened_at: fact.at(),
        closed_at: is_closed.then(|| fact.at()),
        completed_at: None,
        counts: None,
        version: fact.version(),
        position: fact.position(),
        principal: fact.commit.payload.actor.principal.clone(),
    }
}

impl BatchRow {
    fn take(&mut self, event: &Event, fact: &Fact<'_>) {
        match event {
            Event::Opened(_) => {}
            Event::Closed { jobs } => {
                self.status = Status::Closed;
                self.jobs = Some(*jobs);
                self.closed_at = Some(fact.at());
            }
            Event::Completed { counts, .. } => {
                self.status = Status::Completed;
                self.counts = Some(*counts);
                self.completed_at = Some(fact.at());
            }
        }
        self.version = fact.version();
        self.position = fact.position();
    }
}
