//! Relations: a table under one name, its own or that of a rebuild.

use sqlx::SqlStr;

use super::Table;

/// A table under one name, with the statements on its rows.
#[derive(Debug)]
pub struct Relation {
    pub(crate) table: &'static Table,
    pub(crate) name: String,
    pub(crate) load: SqlStr,
    pub(crate) insert: String,
    pub(crate) insert_missing: String,
    pub(crate) update: String,
    pub(crate) delete: String,
}

impl Relation {
    pub(crate) fn new(table: &'static Table, name: String) -> Self {
        Self {
            table,
            load: table.load(&name),
            insert: table.insert(&name),
            insert_missing: table.insert_missing(&name),
            update: table.update(&name),
            delete: table.delete(&name),
            name,
        }
    }

    /// `table` as it serves.
    #[must_use]
    pub fn of(table: &'static Table) -> Self {
        Self::new(table, table.name.to_owned())
    }
}
