//! Writes as one statement.
//!
//! It is `with moved as (<guard>), w1 as (<write>), … select * from moved`. One statement is one round trip
//! and one transaction; and since each write asks whether the guard found its row, nothing is written
//! where it did not.

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Arguments as _, Encode, Row as _, Type};

use crate::table::{Action, Guard, Writes, safe};

/// The time of the database, in seconds since 1970, as the row of a guard has it.
const NOW: &str = "extract(epoch from clock_timestamp())::float8 as now";

/// A statement on its way.
#[derive(Debug)]
struct Statement {
    sql: String,
    arguments: PgArguments,
    writes: usize,
}

/// Executes `writes`; gives the time of the database, and none where the guard held them back.
pub(crate) async fn execute(
    conn: &mut PgConnection,
    writes: Writes,
) -> Result<Option<f64>, sqlx::Error> {
    let statement = Statement::of(writes)?;
    let moved = sqlx::query_with(safe(statement.sql), statement.arguments)
        .fetch_optional(conn)
        .await?;
    moved.map(|moved| moved.try_get("now")).transpose()
}

impl Statement {
    fn of(writes: Writes) -> Result<Self, sqlx::Error> {
        let mut statement = Self::guarded(writes.guard)?;
        // Room for all of it at once: it may be some tens of megabytes.
        let columns = writes.changes.iter().map(|change| change.rows.width());
        let bytes = writes.changes.iter().map(|change| change.rows.bytes_sent());
        statement.arguments.reserve(columns.sum(), bytes.sum());
        for mut change in writes.changes {
            let relation = &change.relation;
            statement.begin(match change.action {
                Action::Insert => &relation.insert,
                Action::InsertMissing => &relation.insert_missing,
                Action::Update => &relation.update,
                Action::Delete => &relation.delete,
            });
            let rows = change.rows.take_into(&mut statement.arguments);
            rows.map_err(sqlx::Error::Encode)?;
        }
        for stop in writes.stops {
            statement.begin(include_str!("../stop_model.sql"));
            statement.bind(stop.model)?;
            statement.bind(stop.position.0.cast_signed())?;
            statement.bind(stop.error)?;
        }
        statement.sql.push_str(" select * from moved");
        Ok(statement)
    }

    fn guarded(guard: Guard) -> Result<Self, sqlx::Error> {
        match guard {
            Guard::None => Ok(Self::behind(&format!("select {NOW}"))),
            Guard::Move { term, from, to } => {
                let mut statement = Self::behind(include_str!("../advance.sql"));
                statement.bind(from.0.cast_signed())?;
                statement.bind(to.0.cast_signed())?;
                statement.bind(term)?;
                Ok(statement)
            }
            Guard::Hold { term, at } => {
                let mut statement = Self::behind(&format!(
                    "select {NOW} from read_side where position = $1 and term = $2 for update"
                ));
                statement.bind(at.0.cast_signed())?;
                statement.bind(term)?;
                Ok(statement)
            }
        }
    }

    fn behind(guard: &str) -> Self {
        Self {
            sql: format!("with moved as ({})", guard.trim_end()),
            arguments: PgArguments::default(),
            writes: 0,
        }
    }

    /// The next parameter of what was begun last.
    fn bind<'q, T>(&mut self, value: T) -> Result<(), sqlx::Error>
    where
        T: Encode<'q, sqlx::Postgres> + Type<sqlx::Postgres>,
    {
        self.arguments.add(value).map_err(sqlx::Error::Encode)
    }

    /// Adds `sql`, whose parameters count from `$1` and follow.
    fn begin(&mut self, sql: &str) {
        self.writes += 1;
        self.sql += &format!(", w{} as (", self.writes);
        renumber(sql.trim_end(), self.arguments.len(), &mut self.sql);
        self.sql.push(')');
    }
}

/// Writes `sql` to `out`, each `$n` as `$(n + by)`. In our SQL a dollar sign is nothing else.
fn renumber(sql: &str, by: usize, out: &mut String) {
    let mut parts = sql.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        let number = number.parse::<usize>().unwrap_or_default();
        *out += &format!("${}{rest}", number + by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_write_counts_on_where_the_last_one_ended() -> Result<(), sqlx::Error> {
        let mut statement = Statement::behind("update a set b = $1 where c = $2 returning b");
        statement.bind(1_i64)?;
        statement.bind(2_i64)?;
        statement.begin("update d set e = $2, f = $10 where g = $1");
        statement.bind("x")?;
        assert_eq!(
            statement.sql,
            "with moved as (update a set b = $1 where c = $2 returning b), \
             w1 as (update d set e = $4, f = $12 where g = $3)"
        );
        Ok(())
    }
}
