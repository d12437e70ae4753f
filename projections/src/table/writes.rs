//! Writes: what a batch changes in all tables, as one statement.
//!
//! The statement is `with moved as (<head>), w1 as (<write>), … select * from moved`. One statement is
//! one round trip and one transaction; and since each write asks whether the head found its row,
//! nothing is written where it did not.

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments, Encode, Postgres, Type};

use super::{Columns, safe};

/// What every write asks: whether the head found its row.
pub(super) const IF_MOVED: &str = "exists (select from moved)";

/// Writes of one statement.
#[derive(Debug)]
pub(crate) struct Writes {
    sql: String,
    arguments: PgArguments,
    writes: usize,
    rows: usize,
}

impl Writes {
    /// Writes that happen only where `head`, a query, gives a row; its parameters follow with
    /// [`Writes::bind`].
    pub(crate) fn behind(head: &str) -> Self {
        Self {
            sql: format!("with moved as ({})", head.trim_end()),
            arguments: PgArguments::default(),
            writes: 0,
            rows: 0,
        }
    }

    /// Writes that happen in any case.
    pub(crate) fn always() -> Self {
        Self::behind("select")
    }

    /// The next parameter of what was said last.
    pub(crate) fn bind<'q, T>(mut self, value: T) -> Result<Self, sqlx::Error>
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        self.arguments.add(value).map_err(sqlx::Error::Encode)?;
        Ok(self)
    }

    /// Adds `sql`, whose parameters count from `$1` and follow with [`Writes::bind`].
    pub(crate) fn and(mut self, sql: &str) -> Self {
        self.begin(sql);
        self
    }

    /// Adds `sql`, whose parameters are the columns of `rows`; empties those.
    pub(crate) fn add(&mut self, sql: &str, rows: &mut Columns) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        self.begin(sql);
        self.rows += rows.rows();
        rows.take_into(&mut self.arguments)
            .map_err(sqlx::Error::Encode)
    }

    /// How many rows are written.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Gives the row of the head; none where there was none, and nothing was written.
    pub(crate) async fn execute(
        mut self,
        conn: &mut PgConnection,
    ) -> Result<Option<PgRow>, sqlx::Error> {
        self.sql.push_str(" select * from moved");
        sqlx::query_with(safe(self.sql), self.arguments)
            .fetch_optional(conn)
            .await
    }

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
    fn each_write_counts_on_where_the_last_one_ended() {
        let writes = Writes::behind("update a set b = $1 where c = $2 returning b")
            .bind(1_i64)
            .and_then(|writes| writes.bind(2_i64))
            .and_then(|writes| {
                writes
                    .and("update d set e = $2, f = $10 where g = $1")
                    .bind("x")
            })
            .expect("encoded");
        assert_eq!(
            writes.sql,
            "with moved as (update a set b = $1 where c = $2 returning b), \
             w1 as (update d set e = $4, f = $12 where g = $3)"
        );
    }
}
