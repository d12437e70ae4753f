//! Tables: the description of one, and the SQL made from it.
//!
//! Every identifier in the SQL comes from the constants of a model, never from data.

mod fields;
mod relation;
mod wire;
mod writes;

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlStr};

pub use self::fields::Fields;
pub use self::relation::Relation;
pub use self::wire::{Columns, RowWriter};
pub(crate) use self::wire::{CopyRows, EPOCH_MICROSECOND, differing, row_bytes};
pub use self::writes::{Action, Change, Guard, Stop, Writes};

/// What every write asks: whether the guard of [`Writes`] found its row.
const IF_MOVED: &str = "exists (select from moved)";

/// One table of a read model.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Every column, key columns first.
    pub columns: &'static [Column],
    /// How many of the columns are the key.
    pub key_columns: usize,
    /// Columns that only the first fact of a row writes: they are not written again with the row.
    pub fixed: &'static [&'static str],
    /// Those of them that may be large and that no later fact needs: they are not read back for folding either.
    pub large: &'static [&'static str],
    /// `create table {table} (…)` without any index.
    pub create: &'static str,
    /// What the filled table needs before it serves: indexes, row-level security, grants, comments.
    pub serve: &'static str,
    /// The views over it for analysts, created when it serves under its own name.
    pub views: &'static str,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// The types that columns have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `text`
    Text,
    /// `uuid`
    Uuid,
    /// `bigint`
    Bigint,
    /// `integer`
    Integer,
    /// `boolean`
    Boolean,
    /// `timestamptz`
    Timestamp,
    /// `json`, kept as it was written.
    Json,
    /// `jsonb`
    Jsonb,
}

impl Table {
    /// The name under which a rebuild fills it.
    pub(crate) fn next_name(&self) -> String {
        format!("{}_next", self.name)
    }

    /// Every column, for a query: `*` would change under a statement that was prepared before.
    pub(crate) fn column_names(&self) -> String {
        names(self.columns)
    }

    /// Every column, with a null for each of `left_out`.
    pub(crate) fn column_names_without(&self, left_out: &[&str]) -> String {
        let column = |c: &Column| match left_out.contains(&c.name) {
            true => format!("null::{} as {}", c.kind.sql(), c.name),
            false => c.name.to_owned(),
        };
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        columns.join(", ")
    }

    pub(crate) fn key(&self) -> &'static [Column] {
        &self.columns[..self.key_columns]
    }

    /// `script`, one of the scripts of this table, for the table `name`.
    pub(crate) fn script(&self, script: &str, name: &str) -> SqlStr {
        safe(script.replace("{table}", name))
    }

    /// Adds the primary key to `name`. Ids stand first in it: they tell rows apart, and are compared faster than texts.
    /// Behind a text they cost an update an eighth more.
    pub(crate) fn add_key(&self, name: &str) -> SqlStr {
        let (ids, others): (Vec<_>, Vec<_>) = self.key().iter().partition(|c| c.kind == Kind::Uuid);
        safe(format!(
            "alter table {name} add primary key ({})",
            names(ids.into_iter().chain(others))
        ))
    }

    /// Writes rows that are not there; a part of the statement of [`Writes`].
    fn insert(&self, name: &str) -> String {
        let columns = names(self.columns);
        format!(
            "insert into {name} ({columns}) select * from unnest({}) as r ({columns}) where {IF_MOVED}",
            parameters(self.columns),
        )
    }

    /// Writes rows, leaving those that are there; a part of the statement of [`Writes`].
    fn insert_missing(&self, name: &str) -> String {
        let key = names(self.key());
        format!("{} on conflict ({key}) do nothing", self.insert(name))
    }

    /// Writes rows that are there anew, without what is fixed; a part of the statement of [`Writes`].
    fn update(&self, name: &str) -> String {
        let written: Vec<_> = self.columns.iter().filter(|c| !self.is_fixed(c)).collect();
        let set = written[self.key_columns..].iter();
        let set = set.map(|c| format!("{0} = r.{0}", c.name));
        let set = set.collect::<Vec<_>>().join(", ");
        let equal = self.key().iter().map(|c| format!("t.{0} = r.{0}", c.name));
        let equal = equal.collect::<Vec<_>>().join(" and ");
        format!(
            "update {name} t set {set} from unnest({}) as r ({}) where {equal} and {IF_MOVED}",
            parameters(written.iter().copied()),
            names(written.iter().copied()),
        )
    }

    /// Reads the rows of the given keys, without what is large.
    pub(crate) fn load(&self, name: &str) -> SqlStr {
        let column = |c: &Column| match self.is_large(c) {
            true => format!("null::{} as {}", c.kind.sql(), c.name),
            false => format!("t.{}", c.name),
        };
        let columns = self.columns.iter().map(column);
        let columns = columns.collect::<Vec<_>>().join(", ");
        safe(format!(
            "select {columns} from {name} t {}",
            self.join_keys("join")
        ))
    }

    /// Deletes the rows of the given keys; a part of the statement of [`Writes`].
    fn delete(&self, name: &str) -> String {
        let equal = self.key().iter().map(|c| format!("t.{0} = k.{0}", c.name));
        let equal = equal.collect::<Vec<_>>().join(" and ");
        let keys = names(self.key());
        format!(
            "delete from {name} t using unnest({}) as k ({keys}) where {equal} and {IF_MOVED}",
            parameters(self.key())
        )
    }

    pub(crate) fn is_fixed(&self, column: &Column) -> bool {
        self.fixed.contains(&column.name)
    }

    /// How many columns a change has.
    fn width(&self, action: Action) -> usize {
        match action {
            Action::Insert | Action::InsertMissing => self.columns.len(),
            Action::Update => self.columns.len() - self.fixed.len(),
            Action::Delete => self.key_columns,
        }
    }

    pub(crate) fn is_large(&self, column: &Column) -> bool {
        self.large.contains(&column.name)
    }

    fn join_keys(&self, join: &str) -> String {
        let keys = names(self.key());
        format!(
            "{join} unnest({}) as k ({keys}) using ({keys})",
            parameters(self.key())
        )
    }

    /// Reads every row, in the order of `order`, a list of columns.
    pub(crate) fn select_all(&self, order: &str) -> SqlStr {
        let columns = names(self.columns);
        safe(format!(
            "select {columns} from {} order by {order}",
            self.name
        ))
    }

    /// Fills `name` by `COPY`.
    pub(crate) fn copy(&self, name: &str) -> String {
        format!(
            "copy {name} ({}) from stdin (format binary)",
            names(self.columns)
        )
    }

    /// Leaves the first row of each key in a table that has no primary key yet.
    pub(crate) fn keep_first(&self, name: &str) -> SqlStr {
        safe(format!(
            "delete from {name} where ctid in (select ctid from (select ctid, row_number() over \
             (partition by {} order by position) as nth from {name}) r where nth > 1)",
            names(self.key())
        ))
    }
}

/// SQL made of a model's constants and of literals in this crate: no data can be in it.
pub(crate) fn safe(sql: String) -> SqlStr {
    // Shared, so that a statement that runs for every batch is not copied for each.
    sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(Arc::<str>::from(sql)))
}

fn names<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    let names: Vec<_> = columns.into_iter().map(|column| column.name).collect();
    names.join(", ")
}

fn parameters<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    let parameter =
        |(index, column): (usize, &Column)| format!("${}::{}[]", index + 1, column.kind.sql());
    let parameters: Vec<_> = columns.into_iter().enumerate().map(parameter).collect();
    parameters.join(", ")
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Bigint => "bigint",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamptz",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
        }
    }

    /// The object ids of the type and of its array, fixed in Postgres' catalogue `pg_type.dat`.
    fn oids(self) -> (u32, u32) {
        match self {
            Self::Text => (25, 1009),
            Self::Uuid => (2950, 2951),
            Self::Bigint => (20, 1016),
            Self::Integer => (23, 1007),
            Self::Boolean => (16, 1000),
            Self::Timestamp => (1184, 1185),
            Self::Json => (114, 199),
            Self::Jsonb => (3802, 3807),
        }
    }
}
