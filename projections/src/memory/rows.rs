//! The rows of one table in memory.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fmt;

use sqlx::error::{DatabaseError, ErrorKind};

use crate::store::EachRow;
use crate::table::{Action, Change, Columns, Fields, Kind, Table};

/// Fields in Postgres' binary form; a null is none.
type Row = Vec<Option<Vec<u8>>>;

/// The rows by their keys.
#[derive(Debug, Default)]
pub(super) struct Rows {
    by_key: BTreeMap<Row, Row>,
}

/// A change that can be made.
pub(super) struct Checked<'a> {
    change: &'a Change,
    rows: Vec<Row>,
}

/// A row as it is read; what is left out is null.
pub(super) struct Read<'a> {
    table: &'static Table,
    fields: &'a [Option<Vec<u8>>],
    without_large: bool,
}

impl<'a> Checked<'a> {
    /// Refuses what Postgres refuses of rows that models write to `stored`: a text with a NUL, a row that is
    /// there already, and one that is written over twice.
    pub(super) fn of(change: &'a Change, stored: Option<&Rows>) -> Result<Self, sqlx::Error> {
        let table = change.relation.table;
        let columns = match change.action {
            Action::Insert | Action::InsertMissing | Action::Update => table.columns,
            Action::Delete => table.key(),
        };
        let rows: Vec<Row> = change.rows.each().collect();
        let mut keys = HashSet::new();
        for row in &rows {
            let texts = columns.iter().zip(row);
            let mut texts = texts.filter(|(column, _)| column.kind == Kind::Text);
            if texts.any(|(_, field)| field.as_ref().is_some_and(|field| field.contains(&0))) {
                return Err(refused("22021", "a text has a NUL"));
            }
            let key = &row[..table.key().len()];
            let is_stored = stored.is_some_and(|stored| stored.by_key.contains_key(key));
            let is_named_before = !keys.insert(key);
            match change.action {
                Action::Insert if is_stored || is_named_before => {
                    return Err(refused("23505", "a row is there already"));
                }
                // Postgres would take any of two updates: nobody may rely on which.
                Action::Update if is_named_before => {
                    return Err(refused("21000", "a row is written over twice"));
                }
                _ => {}
            }
        }
        Ok(Self { change, rows })
    }

    pub(super) fn name(&self) -> &'a str {
        &self.change.relation.name
    }
}

impl Rows {
    pub(super) fn take(&mut self, checked: Checked<'_>) {
        let table = checked.change.relation.table;
        for row in checked.rows {
            let key = row[..table.key().len()].to_vec();
            match checked.change.action {
                Action::Insert => drop(self.by_key.insert(key, row)),
                Action::InsertMissing => drop(self.by_key.entry(key).or_insert(row)),
                Action::Update => self.update(table, &key, row),
                Action::Delete => drop(self.by_key.remove(&key)),
            }
        }
    }

    fn update(&mut self, table: &Table, key: &Row, row: Row) {
        let Some(stored) = self.by_key.get_mut(key) else {
            return;
        };
        let fields = stored.iter_mut().zip(row).zip(table.columns);
        for ((stored, field), _) in fields.filter(|(_, column)| !table.is_fixed(column)) {
            *stored = field;
        }
    }

    pub(super) fn load(
        &self,
        table: &'static Table,
        keys: &Columns,
        each: &mut EachRow<'_>,
    ) -> Result<(), sqlx::Error> {
        let rows = keys.each().filter_map(|key| self.by_key.get(&key));
        let mut rows = rows.map(|fields| Read {
            table,
            fields,
            without_large: true,
        });
        rows.try_for_each(|row| each(&row))
    }

    pub(super) fn all(&self, table: &'static Table) -> impl Iterator<Item = Read<'_>> {
        self.by_key.values().map(move |fields| Read {
            table,
            fields,
            without_large: false,
        })
    }
}

impl Fields for Read<'_> {
    fn field(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error> {
        let columns = self.table.columns.iter().zip(self.fields);
        let found = columns.into_iter().find(|(found, _)| found.name == column);
        let (found, field) = found.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))?;
        if self.without_large && self.table.is_large(found) {
            return Ok(None);
        }
        Ok(field.as_deref())
    }
}

/// What Postgres would say.
#[derive(Debug)]
struct Refused {
    code: &'static str,
    message: &'static str,
}

fn refused(code: &'static str, message: &'static str) -> sqlx::Error {
    sqlx::Error::Database(Box::new(Refused { code, message }))
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for Refused {}

impl DatabaseError for Refused {
    fn message(&self) -> &str {
        self.message
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(self.code.into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
