//! What the dispatcher needs of Postgres: the open jobs that it begins with. And the offices that only one
//! holds, the dispatcher's and others.

use std::sync::Arc;

use commands::dispatch::board::WaitingJob;
use commands::dispatch::{InOffice, Loaded, Office, OpenJob, OpenJobs};
use commands::journal::BoxError;
use domain::queue::Queue;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use projections::{Lease, job};
use sqlx::PgPool;

/// The open jobs, from the read models `job` and `queue`.
#[derive(Debug, Clone)]
pub struct ReadSideJobs(pub PgPool);

/// An office, as a lease in Postgres.
#[derive(Debug, Clone)]
pub struct PostgresOffice {
    pool: PgPool,
    office: projections::Office,
}

impl OpenJobs for ReadSideJobs {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, BoxError>> {
        async {
            let open = job::open(&self.0).await?;
            let queues = open.queues.into_iter().map(|row| {
                let control = Queue {
                    limits: row.limits,
                    is_paused: row.is_paused,
                };
                (row.tenant, row.name, control)
            });
            Ok(Loaded {
                position: open.position,
                queues: queues.collect(),
                jobs: open.jobs.into_iter().map(open_job).collect(),
            })
        }
        .boxed()
    }
}

/// Without what only a worker needs, which is read from the journal when the job is handed out.
fn open_job(open: job::OpenJob) -> OpenJob {
    OpenJob {
        job: (open.tenant, open.id),
        waiting: WaitingJob {
            spec: Arc::new(open.spec),
            is_whole: false,
            attempt: open.attempt,
            ready_at: open.ready_at,
        },
        running_since: open.running_since,
    }
}

impl PostgresOffice {
    /// The one who hands out jobs.
    #[must_use]
    pub fn dispatcher(pool: PgPool) -> Self {
        let office = projections::Office::Dispatcher;
        Self { pool, office }
    }

    /// The one who seals the journal.
    #[must_use]
    pub fn sealer(pool: PgPool) -> Self {
        let office = projections::Office::Sealer;
        Self { pool, office }
    }
}

impl Office for PostgresOffice {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, BoxError>> {
        async {
            let lease = Lease::acquire(&self.pool, self.office).await?;
            Ok(InOffice {
                lost: lease.lost.clone(),
                guard: Box::new(lease),
            })
        }
        .boxed()
    }
}
