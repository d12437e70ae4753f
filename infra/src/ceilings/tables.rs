//! Raw tables: copies of the program's tables, with the same columns and indexes, that are written
//! by plain statements.
//!
//! The copies live in the schema [`SCHEMA`]. Names of tables and conditions come from the caller's
//! own text, never from data. Nothing here writes a table of the program; a lock that
//! holds the read side back ends with its connection.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgPoolCopyExt as _, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgPool, Row as _};

use super::Error;
use super::rows::{Column, Rows};

/// Where the copies are.
pub const SCHEMA: &str = "bench";

/// One for the copies, one to look at statistics meanwhile.
const CONNECTIONS_MAX: u32 = 2;

/// How much of a `COPY` goes into one message.
const COPY_CHUNK_BYTES: usize = 256 * 1024;

/// A connection to the program's database, as its owner.
#[derive(Debug, Clone)]
pub struct RawTables {
    pool: PgPool,
    url: String,
}

/// A copy of one of the program's tables, empty at first.
#[derive(Debug, Clone)]
pub struct RawTable {
    name: String,
    columns: Vec<Column>,
    key: Vec<String>,
}

/// What a table was written since the statistics began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows inserted.
    pub inserted: u64,
    /// Rows replaced.
    pub updated: u64,
}

/// Holds a table as it is: reads go on, writes wait, until [`Hold::release`] or the end of it.
#[derive(Debug)]
pub struct Hold(PgConnection);

impl Hold {
    /// Lets the writes go on.
    ///
    /// # Errors
    /// When Postgres does not answer; the lock ends with the connection then.
    pub async fn release(self) -> Result<(), Error> {
        Ok(self.0.close().await?)
    }
}

impl RawTables {
    /// Connects, and makes the schema for the copies.
    ///
    /// # Errors
    /// When Postgres cannot be reached, or does not let the user make a schema.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
        let tables = Self {
            pool: options.connect(url).await?,
            url: url.to_owned(),
        };
        tables.remove().await?;
        tables.run(format!("create schema {SCHEMA}")).await?;
        Ok(tables)
    }

    /// The version of the server, as it says itself.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn server_version(&self) -> Result<String, Error> {
        let shown = sqlx::query_scalar("show server_version");
        Ok(shown.fetch_one(&self.pool).await?)
    }

    /// Removes the schema with all copies.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn remove(&self) -> Result<(), Error> {
        self.run(format!("drop schema if exists {SCHEMA} cascade"))
            .await
    }

    /// An empty table with the columns, the indexes and the constraints of `source`.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn like(&self, source: &str) -> Result<RawTable, Error> {
        let name = format!("{SCHEMA}.{source}");
        self.run(format!("drop table if exists {name}")).await?;
        self.run(format!("create table {name} (like {source} including all)"))
            .await?;
        let options = "select array_to_string(reloptions, ', ') from pg_class \
                       where oid = $1::text::regclass";
        let options = sqlx::query_scalar::<_, Option<String>>(options).bind(source);
        if let Some(options) = options.fetch_one(&self.pool).await? {
            self.run(format!("alter table {name} set ({options})"))
                .await?;
        }
        let columns = sqlx::query(
            "select a.attname::text as name, a.atttypid as type_id, t.typarray as array_id, \
                    coalesce(a.attnum = any(i.indkey::int2[]), false) as in_key \
             from pg_attribute a join pg_type t on t.oid = a.atttypid \
             left join pg_index i on i.indrelid = a.attrelid and i.indisprimary \
             where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped \
             order by a.attnum",
        );
        let mut table = RawTable {
            name,
            columns: Vec::new(),
            key: Vec::new(),
        };
        for row in columns.bind(source).fetch_all(&self.pool).await? {
            let name: String = row.try_get("name")?;
            if row.try_get("in_key")? {
                table.key.push(name.clone());
            }
            let type_id: sqlx::postgres::types::Oid = row.try_get("type_id")?;
            let array_id: sqlx::postgres::types::Oid = row.try_get("array_id")?;
            table.columns.push(Column {
                name,
                type_id: type_id.0,
                array_id: array_id.0,
            });
        }
        Ok(table)
    }

    /// The rows of the program's table `source` for which the condition `which` holds.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn rows(&self, source: &str, which: &str) -> Result<Rows, Error> {
        let sql = format!("copy (select * from {source} where {which}) to stdout (format binary)");
        let mut chunks = self.pool.copy_out_raw(&sql).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Rows::parse(bytes).ok_or_else(|| Error::Form {
            table: source.to_owned(),
        })
    }

    /// How long it takes to `COPY` all of `rows` into `table`, to the commit.
    ///
    /// # Errors
    /// When Postgres refuses a row.
    pub async fn copy(&self, table: &RawTable, rows: &Rows) -> Result<Duration, Error> {
        let sql = format!("copy {} from stdin (format binary)", table.name);
        let started = Instant::now();
        let mut copy = self.pool.copy_in_raw(&sql).await?;
        for chunk in rows.as_copy().chunks(COPY_CHUNK_BYTES) {
            copy.send(chunk).await?;
        }
        copy.finish().await?;
        Ok(started.elapsed())
    }

    /// Upserts `writes`, each a table with rows and which of them, in one transaction.
    ///
    /// # Errors
    /// When Postgres refuses a row.
    pub async fn upsert(
        &self,
        writes: &[(&RawTable, &Rows, std::ops::Range<usize>)],
    ) -> Result<(), Error> {
        let mut transaction = self.pool.begin().await?;
        for (table, rows, range) in writes {
            if range.is_empty() {
                continue;
            }
            let columns = rows.columns(range.clone(), &table.columns);
            let form = || Error::Form {
                table: table.name.clone(),
            };
            let mut query = sqlx::query(AssertSqlSafe(table.upsert_sql()));
            for column in columns.ok_or_else(form)? {
                query = query.bind(column);
            }
            query.execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// What `table` of the program was written, as far as Postgres' statistics know: they follow
    /// about a second behind.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn written(&self, table: &str) -> Result<Written, Error> {
        let sql = "select n_tup_ins, n_tup_upd from pg_stat_all_tables \
                   where relid = $1::text::regclass";
        let row = sqlx::query(sql).bind(table).fetch_one(&self.pool).await?;
        let count = |column| {
            row.try_get::<i64, _>(column)
                .map(|count| count.unsigned_abs())
        };
        Ok(Written {
            inserted: count("n_tup_ins")?,
            updated: count("n_tup_upd")?,
        })
    }

    /// How many rows `table` of the program has.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn count(&self, table: &str) -> Result<u64, Error> {
        let sql = format!("select count(*) from {table}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&self.pool)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Keeps everybody from writing to `table` of the program, on a connection of its own.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn hold(&self, table: &str) -> Result<Hold, Error> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let lock = format!("begin; lock table {table} in share mode");
        sqlx::raw_sql(AssertSqlSafe(lock))
            .execute(&mut connection)
            .await?;
        Ok(Hold(connection))
    }

    async fn run(&self, sql: String) -> Result<(), Error> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl RawTable {
    /// Every identifier comes from Postgres' own catalogue.
    fn upsert_sql(&self) -> String {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| quoted(&column.name))
            .collect();
        let parameters: Vec<String> = (1..=names.len()).map(|n| format!("${n}")).collect();
        let rest = self
            .columns
            .iter()
            .filter(|column| !self.key.contains(&column.name));
        let set = rest.map(|column| format!("{0} = excluded.{0}", quoted(&column.name)));
        let set: Vec<String> = set.collect();
        let key: Vec<String> = self.key.iter().map(|name| quoted(name)).collect();
        format!(
            "insert into {} ({names}) select * from unnest({}) as r ({names}) \
             on conflict ({}) do update set {}",
            self.name,
            parameters.join(", "),
            key.join(", "),
            set.join(", "),
            names = names.join(", "),
        )
    }
}
