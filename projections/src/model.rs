//! What a read model is: a pure fold of rows.
//!
//! A model says which rows a fact touches and how it changes one. It reads no table, no clock and
//! no other row; everything else (reading, batching, writing, checkpoints, rebuilding, proving) is
//! done for it.

use std::fmt::Debug;
use std::hash::Hash;

use domain::{Category, Tenant};
use uuid::Uuid;

use crate::fact::Fact;
use crate::table::{Fields, RowWriter, Table};

/// A pure fold of facts into the rows of one table.
pub trait ReadModel: Send + Sync + 'static {
    /// The table; its name is the model's.
    const TABLE: &'static Table;
    /// Grows whenever the table or the meaning of a row changes: the model is then rebuilt.
    const VERSION: u32;
    /// Which facts it folds.
    const READS: Reads;
    /// How its rows live.
    const ROWS: Rows;
    /// What names a row.
    type Key: Key;
    /// A row.
    type Row: Row<Key = Self::Key>;

    /// The rows that `fact` touches, each once.
    ///
    /// # Errors
    /// When the fact cannot be taken; the model stops before it.
    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Self::Key>, Poison>;

    /// Whether no earlier fact can have touched this row: saves looking for it.
    fn begins(_fact: &Fact<'_>, _key: &Self::Key) -> bool {
        false
    }

    /// Takes `fact` into the row of `key`.
    ///
    /// # Errors
    /// When the fact cannot be taken; the model stops before its commit.
    fn apply(row: &mut Option<Self::Row>, key: &Self::Key, fact: &Fact<'_>) -> Result<(), Poison>;
}

/// Which facts a model folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The events of one category, decoded.
    Category(Category),
    /// Every commit of every category, its events undecoded.
    Commits,
}

/// How the rows of a model live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// A row changes with its facts.
    Folded,
    /// A row is written by its first fact and never changed: it need not be read back.
    Once,
}

/// One row: every column of its table, key columns first.
pub trait Row: Debug + Clone + PartialEq + Send + Sync + Sized + 'static {
    /// What names it.
    type Key: Key;

    /// What names this row.
    fn key(&self) -> Self::Key;

    /// Writes every column, in the order of the table.
    fn write(&self, out: &mut RowWriter<'_>);

    /// Reads what `write` wrote.
    ///
    /// # Errors
    /// When a column is missing or holds something else.
    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error>;

    /// Whether no fact is to be expected that changes it: it is then not kept in memory.
    fn is_final(&self) -> bool {
        false
    }

    /// Told when it was written, so that it lets go of what is large in the table.
    fn written(&mut self) {}
}

/// The key of a row.
pub trait Key: Debug + Clone + Eq + Ord + Hash + Send + Sync + 'static {
    /// Writes the key columns, in the order of the table.
    fn write(&self, out: &mut RowWriter<'_>);
}

/// An aggregate of a tenant.
impl Key for (Tenant, Uuid) {
    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.0.as_str());
        out.uuid(self.1);
    }
}

/// Why a model cannot take a fact. It stops before it, visibly; nothing is passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Poison(Box<str>);

impl Poison {
    /// With the reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        // The reason goes into a text column, which holds no NUL.
        Self(reason.into().replace('\0', "�").into_boxed_str())
    }

    /// With the whole chain of `error` as the reason.
    #[must_use]
    pub fn from_error(error: &dyn std::error::Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            source = error.source();
        }
        Self::new(reason)
    }
}
