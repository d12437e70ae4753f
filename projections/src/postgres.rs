//! Postgres as the store of the tables.
//!
//! The writes of all models and the move of the position are one statement, and so one round trip and one
//! transaction. Besides what queries take out of the pool, a runner keeps connections of its own, and one more
//! while it rebuilds.

mod statement;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgPool};

pub(crate) use self::statement::execute;
use crate::checkpoint;
use crate::fold::Model;
use crate::growth::Growth;
use crate::lease::{Lease, Office};
use crate::rebuild::{self, Rebuilder};
use crate::store::{Begun, EachRow, InOffice, Rebuilds, Session, Store};
use crate::table::{Columns, Relation, Writes};

/// A migrated database.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: PgPool,
}

/// A runner's connection.
struct InTerm {
    conn: PgConnection,
    growth: Growth,
}

impl Postgres {
    /// The database of `pool`, which must have been migrated.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

impl Store for Postgres {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, sqlx::Error>> {
        async {
            let lease = Lease::acquire(&self.pool, Office::Projector).await?;
            Ok(InOffice {
                lost: lease.lost.clone(),
                guard: Box::new(lease),
            })
        }
        .boxed()
    }

    fn begin<'a>(&'a self, models: &'a [Model]) -> BoxFuture<'a, Result<Begun, sqlx::Error>> {
        async {
            let mut conn = checkpoint::connection(&self.pool).await?;
            let term = checkpoint::take_office(&mut conn, models).await?;
            let growth = Growth::new(self.pool.clone(), models);
            let session: Box<dyn Session> = Box::new(InTerm { conn, growth });
            Ok((term, session))
        }
        .boxed()
    }

    fn rebuild(&self, rebuilds: Rebuilds) -> BoxFuture<'static, ()> {
        let Rebuilds {
            source,
            models,
            term,
            pending,
            hand_over,
        } = rebuilds;
        let rebuilder = Rebuilder {
            pool: self.pool.clone(),
            source,
            models,
            term,
            hand_over,
        };
        rebuild::run(rebuilder, pending).boxed()
    }
}

impl Session for InTerm {
    fn load<'a>(
        &'a mut self,
        relation: &'a Relation,
        keys: Columns,
        each: &'a mut EachRow<'a>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        self.conn.load(relation, keys, each)
    }

    fn write(&mut self, writes: Writes) -> BoxFuture<'_, Result<Option<f64>, sqlx::Error>> {
        async {
            let rows = writes.rows();
            let written = self.conn.write(writes).await?;
            if written.is_some() {
                self.growth.wrote(rows);
            }
            Ok(written)
        }
        .boxed()
    }

    fn rehearse(&mut self, writes: Writes) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        self.conn.rehearse(writes)
    }
}

impl Session for PgConnection {
    fn load<'a>(
        &'a mut self,
        relation: &'a Relation,
        mut keys: Columns,
        each: &'a mut EachRow<'a>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        async move {
            let keys = keys.take().map_err(sqlx::Error::Encode)?;
            let rows = sqlx::query_with(relation.load.clone(), keys)
                .fetch_all(self)
                .await?;
            rows.iter().try_for_each(|row| each(row))
        }
        .boxed()
    }

    fn write(&mut self, writes: Writes) -> BoxFuture<'_, Result<Option<f64>, sqlx::Error>> {
        execute(self, writes).boxed()
    }

    fn rehearse(&mut self, writes: Writes) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        async {
            let mut tx = self.begin().await?;
            let stored = execute(&mut tx, writes).await;
            tx.rollback().await?;
            stored.map(drop)
        }
        .boxed()
    }
}
