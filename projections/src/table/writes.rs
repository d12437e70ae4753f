//! Writes: what a batch changes in all tables, as one step that happens whole or not at all.

use std::sync::Arc;

use domain::Position;

use super::{Columns, Relation};

/// What is written in one step, and when it is.
#[derive(Debug)]
pub struct Writes {
    /// Where the read side has to be.
    pub guard: Guard,
    /// What becomes of rows.
    pub changes: Vec<Change>,
    /// Which models stop.
    pub stops: Vec<Stop>,
}

/// Where the read side has to be for writes to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Anywhere.
    None,
    /// At `from` in this term; it is at `to` then.
    Move {
        /// The present term.
        term: i64,
        /// Where it is.
        from: Position,
        /// Where it is then.
        to: Position,
    },
    /// At `at` in this term; it stays there while they happen.
    Hold {
        /// The present term.
        term: i64,
        /// Where it is.
        at: Position,
    },
}

/// Rows of one table that change in the same way.
#[derive(Debug)]
pub struct Change {
    /// Of which table.
    pub relation: Arc<Relation>,
    /// What becomes of them.
    pub action: Action,
    /// Rows, or their keys.
    pub rows: Columns,
}

/// What becomes of the rows of a [`Change`]: each is named once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Whole rows that are not there; with one that is, nothing can be stored.
    Insert,
    /// Whole rows; one that is there stays as it is.
    InsertMissing,
    /// Rows as [`Columns::over`] has them, written over those that are there; one that is not there does not come.
    Update,
    /// Keys, whose rows go.
    Delete,
}

/// A model that cannot go on.
#[derive(Debug)]
pub struct Stop {
    /// Its name.
    pub model: &'static str,
    /// What its table has.
    pub position: Position,
    /// Why.
    pub error: String,
}

impl Writes {
    fn guarded(guard: Guard) -> Self {
        Self {
            guard,
            changes: Vec::new(),
            stops: Vec::new(),
        }
    }

    /// Writes that happen in any case.
    #[must_use]
    pub fn always() -> Self {
        Self::guarded(Guard::None)
    }

    /// Writes that move the read side, and happen only where it is at `from`, in this term.
    #[must_use]
    pub fn advance(term: i64, from: Position, to: Position) -> Self {
        Self::guarded(Guard::Move { term, from, to })
    }

    /// Writes that hold the read side where it is until they are done, and happen only where it is `at`,
    /// in this term.
    #[must_use]
    pub fn hold(term: i64, at: Position) -> Self {
        Self::guarded(Guard::Hold { term, at })
    }

    /// Adds whole rows that are not there.
    pub fn insert(&mut self, relation: &Arc<Relation>, rows: Columns) {
        self.change(relation, Action::Insert, rows);
    }

    /// Adds whole rows; where there is a row of the same key already, it stays.
    pub fn insert_missing(&mut self, relation: &Arc<Relation>, rows: Columns) {
        self.change(relation, Action::InsertMissing, rows);
    }

    /// Adds rows, as [`Columns::over`] has them, over those that are there. Each key may be there once.
    pub fn update(&mut self, relation: &Arc<Relation>, rows: Columns) {
        self.change(relation, Action::Update, rows);
    }

    /// Adds that the rows of `keys` go.
    pub fn delete(&mut self, relation: &Arc<Relation>, keys: Columns) {
        self.change(relation, Action::Delete, keys);
    }

    /// Adds that `model` stops, with what its table has at `position`.
    pub fn stop(&mut self, model: &'static str, position: Position, error: String) {
        self.stops.push(Stop {
            model,
            position,
            error,
        });
    }

    /// How many rows change.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.changes.iter().map(|change| change.rows.rows()).sum()
    }

    fn change(&mut self, relation: &Arc<Relation>, action: Action, rows: Columns) {
        debug_assert_eq!(rows.width(), relation.table.width(action), "{action:?}");
        if !rows.is_empty() {
            let relation = Arc::clone(relation);
            self.changes.push(Change {
                relation,
                action,
                rows,
            });
        }
    }
}
