//! The roles of a process: each a few tasks over the connections, stopped together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::auth::{AllowedOrigins, Verifier};
use api::{App, Limits, Parts, Reads, Replays, Tickets};
use commands::dispatch::office;
use commands::dispatch::{Dispatch, Dispatcher};
use commands::feed::pump::Pump;
use commands::{Clock, Handler, Journal, Receipts, Snapshots, reactions};
use domain::Aggregate;
use domain::batch::Batch;
use domain::job::Job;
use domain::schedule::Schedule;
use infra::SystemClock;
use infra::dispatch::ReadSideJobs;
use infra::nats;
use infra::nats::dispatch::Forwarding;
use infra::office::PostgresOffice;
use infra::reactions::{PostgresCheckpoint, ReadSideCounts, ReadSideSchedules};
use infra::receipts::ReadSideReceipts;
use infra::tickets::PostgresTickets;
use infra::worker;
use projections::live::Projector;
use projections::{ReadSide, Reader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connections, Role, ServiceArgs, checks, keys, messages};

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
    let journal = nats::journal::Settings::default().stream;
    running.spawn(nats::cut_off::leave(connections.nats.clone(), journal));
    let feed = nats::feed::Settings::default().stream;
    running.spawn(nats::cut_off::leave(connections.nats_feed.clone(), feed));
    if roles.contains(&Role::Projector) {
        let projector = Projector::new(connections.pool.clone(), connections.journal.clone());
        running
            .roles
            .spawn(projector.run(running.stop_roles.clone()));
    }
    let writing = Writing::over(connections);
    let handlers = Handlers {
        jobs: Arc::new(writing.handler()),
        schedules: Arc::new(writing.handler()),
        batches: Arc::new(writing.handler()),
    };
    let mut own = None;
    if roles.contains(&Role::Reactor) {
        let sealer = service.seals.sealer(connections, key_folder)?;
        running.spawn(sealer.run());
        own = Some(running.react(connections, &writing, &handlers));
    }
    let forwarding = Forwarding::new(connections.nats.clone(), own).await;
    let forwarding = forwarding.context("listen to who is in office")?;
    let dispatch: Arc<dyn Dispatch> = Arc::new(forwarding);
    let parts = worker::Parts {
        dispatch: dispatch.clone(),
        jobs: handlers.jobs.clone(),
        clock: writing.clock.clone(),
    };
    if let Some(worker) = service.worker.worker(parts)? {
        // It ends with the requests: what it has to say at its end needs the roles.
        let stop = running.stop_serving.clone();
        running.serving.spawn(worker.run(stop));
    }
    match listener {
        Some(listener) => {
            let serving = Serving {
                writing,
                handlers,
                dispatch,
            };
            running.serve(connections, key_folder, service, serving, listener)
        }
        None => Ok(running),
    }
}

impl Running {
    /// Fills the feed, reacts to facts and hands out jobs, each when nobody else does.
    fn react(
        &self,
        connections: &Connections,
        writing: &Writing,
        handlers: &Handlers,
    ) -> Dispatcher {
        let publisher = Arc::new(connections.feed.publisher());
        let (pump, _state) = Pump::new(connections.journal.clone(), publisher);
        let effects = reactions::run(reactions::Parts {
            journal: writing.journal.clone(),
            clock: writing.clock.clone(),
            jobs: handlers.jobs.clone(),
            schedules: handlers.schedules.clone(),
            batches: handlers.batches.clone(),
            count: Arc::new(ReadSideCounts {
                reader: Reader::new(connections.pool.clone()),
                side: writing.side.clone(),
            }),
            checkpoint: Arc::new(PostgresCheckpoint(connections.pool.clone())),
            due: Arc::new(ReadSideSchedules(connections.pool.clone())),
            office: Arc::new(PostgresOffice::reactor(connections.pool.clone())),
        });
        let (dispatcher, dispatching) = Dispatcher::new(office::Parts {
            journal: writing.journal.clone(),
            jobs: handlers.jobs.clone(),
            clock: writing.clock.clone(),
            open: Arc::new(ReadSideJobs(connections.pool.clone())),
            office: Arc::new(PostgresOffice::dispatcher(connections.pool.clone())),
        });
        let answering = nats::dispatch::serve(connections.nats.clone(), dispatcher.clone());
        self.spawn(pump.run());
        self.spawn(effects);
        self.spawn(dispatching);
        self.spawn(answering);
        dispatcher
    }

    /// Runs a part of a role until the roles stop.
    fn spawn<T: Send + 'static>(&self, part: impl Future<Output = T> + Send + 'static) {
        let stop = self.stop_roles.clone();
        self.roles
            .spawn(async move { drop(stop.run_until_cancelled(part).await) });
    }

    fn serve(
        mut self,
        connections: &Connections,
        key_folder: &Path,
        service: &ServiceArgs,
        serving: Serving,
        listener: TcpListener,
    ) -> anyhow::Result<Self> {
        self.address = Some(
            listener
                .local_addr()
                .context("ask for the address of HTTP")?,
        );
        let Serving {
            writing,
            handlers,
            dispatch,
        } = serving;
        let Writing {
            journal,
            clock,
            side,
            ..
        } = &writing;
        let verifier = Arc::new(Verifier::new(keys::read(key_folder)?, clock.clone()));
        let follow = keys::follow(
            key_folder.to_owned(),
            verifier.clone(),
            self.stop_roles.clone(),
        );
        self.roles.spawn(follow);
        let metrics = infra::telemetry::start_metrics()?;
        let counting = infra::telemetry::count_metrics(metrics.clone(), self.stop_roles.clone());
        self.roles.spawn(counting);
        let shutdown = self.stop_serving.clone();
        let tickets = Arc::new(PostgresTickets(connections.pool.clone()));
        let replays = connections.replays.clone();
        let app = App::new(Parts {
            assignments: writing.handler(),
            jobs: handlers.jobs,
            queues: writing.handler(),
            schedules: handlers.schedules,
            batches: handlers.batches,
            dispatch: dispatch.clone(),
            journal: journal.clone(),
            feed: connections.feed.clone(),
            replays: Replays::new(journal.clone(), replays, shutdown.clone()),
            reads: Reads {
                reader: Reader::new(connections.pool.clone()),
                side: side.clone(),
            },
            tickets: Tickets::new(infra::keys::fresh_secret()?, tickets, clock.clone()),
            allowed_origins: AllowedOrigins::new(&service.allowed_origins)
                .context("read `--allowed-origins`")?,
            clock: clock.clone(),
            verifier,
            checks: checks::all(connections, dispatch),
            metrics: Arc::new(move || metrics.render()),
            limits: Limits::default(),
            shutdown: shutdown.clone(),
            serving: self.serving.clone(),
        });
        let router = api::router(app);
        let messages = messages::serve(
            connections.nats_feed.clone(),
            router.clone(),
            shutdown.clone(),
        );
        self.serving.spawn(messages);
        self.serving.spawn(async move {
            let served = api::serve(listener, router, shutdown.cancelled_owned()).await;
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
    side: ReadSide,
    receipts: Arc<dyn Receipts>,
    snapshots: Arc<dyn Snapshots>,
    clock: Arc<dyn Clock>,
}

/// The handlers that more than one role works with: they share what they know.
struct Handlers {
    jobs: Arc<Handler<Job>>,
    schedules: Arc<Handler<Schedule>>,
    batches: Arc<Handler<Batch>>,
}

/// What HTTP is served with.
struct Serving {
    writing: Writing,
    handlers: Handlers,
    dispatch: Arc<dyn Dispatch>,
}

impl Writing {
    fn over(connections: &Connections) -> Self {
        let side = ReadSide::follow(connections.pool.clone());
        let receipts = ReadSideReceipts::follow(connections.pool.clone(), &side);
        Self {
            journal: connections.journal.clone(),
            side,
            receipts: Arc::new(receipts),
            snapshots: connections.snapshots.clone(),
            clock: Arc::new(SystemClock),
        }
    }

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
