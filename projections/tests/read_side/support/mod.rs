//! A Postgres server, a journal in memory, and a projector between them.

mod journal;
mod postgres;

use std::sync::Arc;
use std::time::Duration;

use domain::{Position, Tenant};
use projections::{Model, Projector, ReadSide, Reader};
use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

pub(crate) use self::journal::{
    Journal, change, commit, hourly, json, name, request, retry, spec, text, time,
};
pub(crate) use self::postgres::{database, options_of};

/// Nothing in these tests takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database, a journal, and who reads the one into the other.
pub(crate) struct House {
    pub(crate) pool: PgPool,
    pub(crate) journal: Journal,
    pub(crate) read_side: ReadSide,
}

/// A running projector; it is killed when this is dropped.
pub(crate) type Running = AbortOnDropHandle<()>;

impl House {
    pub(crate) async fn new() -> Self {
        let pool = database().await;
        Self {
            read_side: ReadSide::follow(pool.clone()),
            journal: Journal::default(),
            pool,
        }
    }

    pub(crate) fn run(&self) -> Running {
        self.run_models(Model::all())
    }

    pub(crate) fn run_models(&self, models: Vec<Model>) -> Running {
        let projector = Projector::new(self.pool.clone(), Arc::new(self.journal.clone()));
        let projector = projector.with_models(models);
        AbortOnDropHandle::new(tokio::spawn(projector.run(CancellationToken::new())))
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.pool.clone())
    }

    /// Waits until the read side has everything.
    pub(crate) async fn caught_up(&self) -> Position {
        let head = self.journal.head_now();
        let reached = self.read_side.wait_for(head, PATIENCE).await;
        reached.expect("the read side catches up")
    }

    /// Waits until every model is live, and the read side has everything.
    pub(crate) async fn all_live(&self) {
        until("every model is live", async || {
            let positions = projections::positions(&self.pool).await.expect("positions");
            let live = |m: &projections::positions::ModelPosition| m.status.as_str() == "live";
            !positions.models.is_empty() && positions.models.iter().all(live)
        })
        .await;
        self.caught_up().await;
    }

    /// Whether every row is what the journal says.
    pub(crate) async fn clean(&self) -> bool {
        let names: Vec<_> = Model::all().iter().map(Model::name).collect();
        self.clean_of(&names).await
    }

    pub(crate) async fn clean_of(&self, names: &[&str]) -> bool {
        let mut models = Model::all();
        models.retain(|model| names.contains(&model.name()));
        let report = projections::verify::verify_models(&self.journal, &self.pool, &models).await;
        let report = report.expect("verify");
        assert!(report.is_clean(), "{report:?}");
        report.models.len() == names.len()
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql)
            .fetch_one(&self.pool)
            .await
            .expect("count")
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("a tenant's name")
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
