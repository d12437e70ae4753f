//! The roles of a process: each a few tasks over the connections, stopped together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::auth::Verifier;
use api::{App, Limits, Parts, Reads, Replays};
use commands::dispatch::office;
use commands::dispatch::{Dispatch, Dispatcher};
use commands::feed::pump::Pump;
use commands::{Clock, Handler, Journal, Receipts, Snapshots};
use domain::Aggregate;
use infra::SystemClock;
use infra::dispatch::{PostgresOffice, ReadSideJobs};
use infra::receipts::ReadSideReceipts;
use infra::worker;
use projections::live::Projector;
use projections::{ReadSide, Reader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connections, Role, ServiceArgs, WorkerArgs, checks, keys};

/// How long requests that are under way have to end. Whoever holds a connection open beyond it is
/// cut off: all that was acknowledged is on the disk.
const SERVING_ENDS_MAX: Duration = Duration::from_secs(5);

/// How long the roles have to end after that.
const ROLES_END_MAX: Duration = Duration::from_secs(5);

/// A process with its roles.
pub struct Running {
    address: Option<SocketAddr>,
    serving: TaskTracker,
    stop_serving: CancellationToken,
    roles: TaskTracker,
    stop_roles: CancellationToken,
}

/// Starts `roles` over `connections`; HTTP is served on `listener`.
pub(super) async fn start(
    connections: &Connections,
    roles: &[Role],
    key_folder: &Path,
    service: &ServiceArgs,
    listener: Option<TcpListener>,
) -> anyhow::Result<Running> {
    let running = Running {
        address: None,
        serving: TaskTracker::new(),
        stop_serving: CancellationToken::new(),
        roles: TaskTracker::new(),
        stop_roles: CancellationToken::new(),
    };
    if roles.contains(&Role::Projector) {
        let projector = Projector::new(connections.pool.clone(), connections.journal.clone());
        running
            .roles
            .spawn(projector.run(running.stop_roles.clone()));
    }
    if roles.contains(&Role::Reactor) {
        let publisher = Arc::new(connections.feed.publisher());
        let (pump, _state) = Pump::new(connections.journal.clone(), publisher);
        let stop = running.stop_roles.clone();
        running
            .roles
            .spawn(async move { stop.run_until_cancelled(pump.run()).await });
        let sealer = service.seals.sealer(connections, key_folder)?;
        let stop = running.stop_roles.clone();
        running
            .roles
            .spawn(async move { stop.run_until_cancelled(sealer.run()).await });
    }
    match listener {
        Some(listener) => running.serve(connections, key_folder, &service.worker, listener),
        None => Ok(running),
    }
}

impl Running {
    fn serve(
        mut self,
        connections: &Connections,
        key_folder: &Path,
        worker: &WorkerArgs,
        listener: TcpListener,
    ) -> anyhow::Result<Self> {
        self.address = Some(
            listener
                .local_addr()
                .context("ask for the address of HTTP")?,
        );
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let verifier = Arc::new(Verifier::new(keys::read(key_folder)?, clock.clone()));
        let follow = keys::follow(
            key_folder.to_owned(),
            verifier.clone(),
            self.stop_roles.clone(),
        );
        self.roles.spawn(follow);
        let journal: Arc<dyn Journal> = connections.journal.clone();
        let metrics = infra::telemetry::start_metrics()?;
        let shutdown = self.stop_serving.clone();
        let side = ReadSide::follow(connections.pool.clone());
        let receipts = ReadSideReceipts::follow(connections.pool.clone(), &side);
        let writing = Writing {
            journal: journal.clone(),
            receipts: Arc::new(receipts),
            snapshots: connections.snapshots.clone(),
            clock: clock.clone(),
        };
        let jobs = Arc::new(writing.handler());
        let (dispatcher, dispatching) = Dispatcher::new(office::Parts {
            journal: journal.clone(),
            jobs: jobs.clone(),
            clock: clock.clone(),
            open: Arc::new(ReadSideJobs(connections.pool.clone())),
            office: Arc::new(PostgresOffice::dispatcher(connections.pool.clone())),
        });
        let stop = self.stop_roles.clone();
        self.roles
            .spawn(async move { stop.run_until_cancelled(dispatching).await });
        let dispatch: Arc<dyn Dispatch> = Arc::new(dispatcher);
        let parts = worker::Parts {
            dispatch: dispatch.clone(),
            jobs: jobs.clone(),
            clock: clock.clone(),
        };
        if let Some(worker) = worker.worker(parts)? {
            // It ends with the requests: what it has to say at its end needs the roles.
            self.serving.spawn(worker.run(self.stop_serving.clone()));
        }
        let app = App::new(Parts {
            assignments: writing.handler(),
            jobs,
            queues: writing.handler(),
            dispatch: dispatch.clone(),
            journal: journal.clone(),
            feed: connections.feed.clone(),
            replays: Replays::new(journal, connections.replays.clone(), shutdown.clone()),
            reads: Reads {
                reader: Reader::new(connections.pool.clone()),
                side,
            },
            clock,
            verifier,
            checks: checks::all(connections, dispatch.clone()),
            metrics: Arc::new(move || metrics.render()),
            limits: Limits::default(),
            shutdown: shutdown.clone(),
        });
        self.serving.spawn(async move {
            let served = api::serve(listener, api::router(app), shutdown.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(%error, "HTTP is served no longer");
            }
        });
        Ok(self)
    }

    /// Where HTTP is served, if it is.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends the requests that are under way, then the roles.
    pub async fn stop(self) {
        self.stop_serving.cancel();
        ended("requests", &self.serving, SERVING_ENDS_MAX).await;
        self.stop_roles.cancel();
        ended("roles", &self.roles, ROLES_END_MAX).await;
    }
}

/// What a handler works with, whichever aggregate it is for.
struct Writing {
    journal: Arc<dyn Journal>,
    receipts: Arc<dyn Receipts>,
    snapshots: Arc<dyn Snapshots>,
    clock: Arc<dyn Clock>,
}

impl Writing {
    fn handler<A: Aggregate>(&self) -> Handler<A> {
        Handler::new(
            self.journal.clone(),
            self.receipts.clone(),
            self.snapshots.clone(),
            self.clock.clone(),
        )
    }
}

async fn ended(what: &str, tasks: &TaskTracker, limit: Duration) {
    tasks.close();
    if tokio::time::timeout(limit, tasks.wait()).await.is_err() {
        tracing::warn!(
            "{what} have not ended in `{}` s, going on without them",
            limit.as_secs()
        );
    }
}
