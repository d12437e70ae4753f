//! Filling: a read model at work on a table that nobody reads yet.
//!
//! New rows go in by `COPY`; a row that was written before is loaded and written over. The primary key
//! is added when it is first needed, and the indexes at the end: both are cheaper than keeping them.

use sqlx::PgConnection;

use super::{FILL_ROWS_MAX, Folded, Folding, poisoned};
use crate::fact::Facts;
use crate::model::{Key, ReadModel, Row, Rows};
use crate::postgres::execute;
use crate::table::{Columns, CopyRows, Writes, safe};

/// How many bytes of finished rows a rebuild holds before it copies them.
const FILL_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much the folded facts may say before the rows are written: what they say may be in the rows.
const FILL_DATA_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How many bytes one statement writes over rows that are there.
const UPDATE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many bytes go to `COPY` in one message.
const COPY_BYTES: usize = 256 * 1024;

impl<M: ReadModel> Folding<M> {
    pub(super) async fn fill_batch(
        &mut self,
        conn: &mut PgConnection,
        batch: &[Facts],
    ) -> Result<Folded, sqlx::Error> {
        let (touched, mut stuck) = Self::touched(batch);
        let before = self.copy.bytes().len();
        let applied = match M::ROWS {
            Rows::Folded => {
                let missing = self.admit(&touched, self.filled.rows);
                if !missing.is_empty() {
                    self.add_key(conn).await?;
                }
                self.load(conn, missing).await?;
                self.apply(touched)
            }
            Rows::Once => {
                let copy = &mut self.copy;
                Self::apply_once(touched, |row| copy.push(|out| row.write(out)))
            }
        };
        if let Err(applied) = applied {
            stuck = Some(applied);
            self.copy.cut(before);
        }
        if stuck.is_some() {
            return Ok(Folded {
                poisoned: poisoned(batch, stuck),
            });
        }
        self.filled.data_bytes += batch.iter().map(Facts::data_bytes).sum::<usize>();
        let is_full = self.hot.len() > FILL_ROWS_MAX
            || self.filled.data_bytes > FILL_DATA_BYTES_MAX
            || self.copy.bytes().len() > FILL_BYTES_MAX;
        if is_full {
            self.flush(conn).await?;
        }
        Ok(Folded { poisoned: None })
    }

    /// Writes everything that is in memory: new rows by `COPY`, others over those that are there.
    async fn flush(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut written = false;
        let mut updates = Columns::over(M::TABLE);
        let mut deletes = Columns::new(M::TABLE.key());
        if self
            .hot
            .iter_mut()
            .any(|(_, cell)| cell.changed && cell.stored)
        {
            self.add_key(conn).await?;
            for (key, cell) in self.hot.iter_mut() {
                if !cell.changed || !cell.stored {
                    continue;
                }
                cell.changed = false;
                match &cell.row {
                    Some(row) => updates.push(|out| row.write(out)),
                    None => deletes.push(|out| key.write(out)),
                }
                written = true;
                if updates.bytes() > UPDATE_BYTES_MAX {
                    let full = std::mem::replace(&mut updates, Columns::over(M::TABLE));
                    let mut writes = Writes::always();
                    writes.update(&self.relation, full);
                    execute(conn, writes).await?;
                }
            }
            let mut writes = Writes::always();
            writes.update(&self.relation, updates);
            writes.delete(&self.relation, deletes);
            execute(conn, writes).await?;
        }
        let mut copy = conn
            .copy_in_raw(&M::TABLE.copy(&self.relation.name))
            .await?;
        copy.send(CopyRows::HEADER).await?;
        for (_, cell) in self.hot.iter_mut().filter(|(_, cell)| cell.changed) {
            if let Some(row) = &cell.row {
                self.copy.push(|out| row.write(out));
            }
            if self.copy.bytes().len() > COPY_BYTES {
                copy.send(self.copy.bytes()).await?;
                self.copy.clear();
            }
        }
        copy.send(self.copy.bytes()).await?;
        copy.send(CopyRows::TRAILER).await?;
        self.copy.clear();
        written |= copy.finish().await? > 0;
        self.filled.rows |= written;
        self.filled.data_bytes = 0;
        self.hot.clear();
        self.changed.clear();
        Ok(())
    }

    /// Adds the primary key to a table that is being filled, when it is first needed.
    pub(super) async fn add_key(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.filled.key || self.relation.name == M::TABLE.name {
            return Ok(());
        }
        /// Two rows of one key, which only rows that are written once can have.
        const UNIQUE_VIOLATION: &str = "23505";
        let added = sqlx::raw_sql(M::TABLE.add_key(&self.relation.name))
            .execute(&mut *conn)
            .await;
        match added {
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(UNIQUE_VIOLATION) =>
            {
                sqlx::raw_sql(M::TABLE.keep_first(&self.relation.name))
                    .execute(&mut *conn)
                    .await?;
                sqlx::raw_sql(M::TABLE.add_key(&self.relation.name))
                    .execute(&mut *conn)
                    .await?;
            }
            added => {
                added?;
            }
        }
        self.filled.key = true;
        Ok(())
    }

    pub(super) async fn finish_fill(&mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.flush(conn).await?;
        self.add_key(conn).await?;
        sqlx::raw_sql(M::TABLE.script(M::TABLE.serve, &self.relation.name))
            .execute(&mut *conn)
            .await?;
        sqlx::raw_sql(safe(format!("analyze {}", self.relation.name)))
            .execute(&mut *conn)
            .await?;
        Ok(())
    }
}
