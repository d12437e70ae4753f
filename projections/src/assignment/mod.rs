//! assignment: one row an assignment, as it stands now.
//! Folds category `assignment`; owns table `assignment`; queries in `query.rs`.
//!
//! Times: `requested_at` is when the request happened (not when it was recorded), `updated_at` the
//! latest time at which anything of it happened, `since` when the present standing began. `outcome`
//! is what the last completion brought, until it is reopened; `hold_reason` stands while it is on hold.

mod query;
mod row;

use std::iter::once;

use domain::assignment::{Assignment, Change, Event, Request, Status};
use domain::{Aggregate, Commit, Entry, Position, Tenant, Timestamp};
use uuid::Uuid;

pub use self::query::{Assignee, By, Filter, Sort, get, list};
pub use self::row::AssignmentRow;
use crate::fact::{Fact, Facts, stored};
use crate::model::{Poison, ReadModel, Reads, Rows};
use crate::table::Table;

/// The read model.
#[derive(Debug)]
pub struct Model;

/// What names a row: tenant and id.
pub type Key = (Tenant, Uuid);

/// How far [`fold`] goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Until {
    /// Only what happened up to this time.
    pub at: Option<Timestamp>,
    /// Only what was recorded up to this position.
    pub position: Option<Position>,
}

impl ReadModel for Model {
    const TABLE: &'static Table = &row::TABLE;
    const VERSION: u32 = 1;
    const READS: Reads = Reads::Category(Assignment::CATEGORY);
    const ROWS: Rows = Rows::Folded;
    type Key = Key;
    type Row = AssignmentRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        Ok(once((fact.stream().tenant.clone(), fact.id()?)))
    }

    fn begins(fact: &Fact<'_>, _key: &Key) -> bool {
        fact.version() == 1
    }

    fn apply(row: &mut Option<AssignmentRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        match (fact.assignment()?, &mut *row) {
            (Event::Requested(_), Some(_)) => {
                return Err(Poison::new("assignment was requested before"));
            }
            (Event::Requested(request), None) => *row = Some(requested(key, request, fact)),
            (_, None) => return Err(Poison::new("assignment was never requested")),
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

/// The assignment as it was: folds the commits of its stream, as far as `until` goes.
///
/// # Errors
/// When a commit cannot be taken.
pub fn fold<'a>(
    commits: impl IntoIterator<Item = &'a Commit>,
    until: Until,
) -> Result<Option<AssignmentRow>, Poison> {
    let mut row = None;
    for commit in commits {
        if until.position.is_some_and(|until| commit.position > until) {
            break;
        }
        let facts = Facts::decode(Entry::Commit(commit.clone().into()), &[Model::READS]);
        for fact in facts.of(Model::READS)? {
            // Times of happening need not grow with the order of recording: what happened first is
            // known by the first event that lies behind, for an assignment has one order of its own.
            if until.at.is_some_and(|until| fact.happened_at() > until) {
                return Ok(row);
            }
            for key in Model::keys(&fact)? {
                Model::apply(&mut row, &key, &fact)?;
            }
        }
    }
    Ok(row)
}

fn requested(key: &Key, request: &Request, fact: &Fact<'_>) -> AssignmentRow {
    let at = fact.happened_at();
    AssignmentRow {
        tenant: key.0.clone(),
        id: key.1,
        title: request.title.clone(),
        description: request.description.clone(),
        kind: request.kind.clone(),
        status: Status::Queued,
        group: request.group.clone(),
        requester: request.requester.clone(),
        assignee: None,
        priority: request.priority,
        labels: request.labels.clone(),
        window: request.window,
        effort_minutes: request.effort_minutes,
        external_ref: request.external_ref.clone(),
        outcome: None,
        hold_reason: None,
        requested_at: at,
        updated_at: at,
        since: at,
        hand_overs: 0,
        notes: 0,
        version: fact.version(),
        position: fact.position(),
    }
}

impl AssignmentRow {
    fn take(&mut self, event: &Event, fact: &Fact<'_>) {
        if let Some(change) = event.change() {
            self.go_to(change, fact.happened_at());
        }
        match event {
            Event::HandedOver { .. } => self.hand_overs += 1,
            Event::Noted { .. } => self.notes += 1,
            Event::PutOnHold { reason, .. } => self.hold_reason = Some(reason.clone()),
            Event::Completed { outcome, .. } => self.outcome = Some(outcome.clone()),
            Event::Reopened { .. } => self.outcome = None,
            Event::Requested(_)
            | Event::Assigned { .. }
            | Event::Requeued { .. }
            | Event::Started { .. }
            | Event::Resumed { .. }
            | Event::Closed { .. }
            | Event::Cancelled { .. } => {}
        }
        self.updated_at = self.updated_at.max(fact.happened_at());
        self.version = fact.version();
        self.position = fact.position();
    }

    fn go_to(&mut self, change: &Change, at: Timestamp) {
        self.status = change.to.status;
        if self.group != change.to.group {
            self.group = change.to.group.clone();
        }
        if self.assignee != change.to.assignee {
            self.assignee.clone_from(&change.to.assignee);
        }
        self.since = stored(change.from.since).max(at);
        self.hold_reason = None;
    }
}
