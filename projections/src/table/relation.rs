//! Relations: a table under one name, its own or that of a rebuild.

use sqlx::SqlStr;

use super::Table;

/// A table under one name, with the statements on its rows.
#[derive(Debug)]
pub struct Relation {
    pub(crate) table: &'static Table,
    pub(crate) name: String,
    pub(crate) load: SqlStr,
    pub(crate) upsert: String,
    pub(crate) update: String,
    pub(crate) insert_new: String,
    pub(crate) delete: String,
}

impl Relation {
    pub(crate) fn new(table: &'static Table, name: String) -> Self {
        Self {
            table,
            load: table.load(&name),
            upsert: table.upsert(&name),
            update: table.update(&name),
            insert_new: table.insert_new(&name),
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
