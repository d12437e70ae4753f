//! What the routes work with: the handler, the ports, the limits.
//!
//! Everything is shared and cheap to clone. The root builds it; nothing here opens a connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use commands::dispatch::Dispatch;
use commands::{Clock, Feed, Handler, Journal};
use domain::assignment::Assignment;
use domain::batch::Batch;
use domain::job::Job;
use domain::queue::Queue;
use domain::schedule::Schedule;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{AllowedOrigins, Verifier};
use crate::events::places::Places;
use crate::health::LastReport;
use crate::problem::ApiError;
use crate::reads::Reads;
use crate::replays::Replays;
use crate::tickets::Tickets;

/// The parts that the root gives.
pub struct Parts {
    /// Carries out commands on assignments.
    pub assignments: Handler<Assignment>,
    /// Carries out commands on jobs; the dispatcher's own, so that both know what the other did.
    pub jobs: Arc<Handler<Job>>,
    /// Carries out commands on queues.
    pub queues: Handler<Queue>,
    /// Carries out commands on schedules; the reactor's own, so that both know what the other did.
    pub schedules: Arc<Handler<Schedule>>,
    /// Carries out commands on batches; the reactor's own, so that both know what the other did.
    pub batches: Arc<Handler<Batch>>,
    /// Hands out jobs.
    pub dispatch: Arc<dyn Dispatch>,
    /// The log.
    pub journal: Arc<dyn Journal>,
    /// The public events.
    pub feed: Arc<dyn Feed>,
    /// Replays of slices of the log.
    pub replays: Replays,
    /// The read models.
    pub reads: Reads,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
    /// Checks tokens.
    pub verifier: Arc<Verifier>,
    /// Stand for tokens where none can be sent.
    pub tickets: Tickets,
    /// The pages that may watch.
    pub allowed_origins: AllowedOrigins,
    /// What `/health` looks at.
    pub checks: Vec<Arc<dyn HealthCheck>>,
    /// What `/metrics` shows.
    pub metrics: Arc<dyn RenderMetrics>,
    /// How much is taken on.
    pub limits: Limits,
    /// Ends the answers that have no end of their own when the server is to stop.
    pub shutdown: CancellationToken,
    /// Connections that the HTTP server has given out of its hands: to be waited for at the end.
    pub serving: TaskTracker,
}

/// The state of the routes.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    parts: Parts,
    requests: Semaphore,
    claims: Semaphore,
    event_clients: Arc<Places>,
    batches: Arc<Semaphore>,
    last_report: LastReport,
}

/// How much is taken on. Each limit is there so that one caller cannot take what all need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one command's body, and of one line of a batch: the journal takes 1 MiB a commit.
    pub body_bytes_max: usize,
    /// Bytes of the body that opens a batch with its jobs: 800 for each of 10,000. Whoever has more sends
    /// them as a stream, of which only what is carried out is held.
    pub batch_bytes_max: usize,
    /// Commands in one batch: a client that has more sends another, and can tell how far it came.
    pub batch_lines_max: usize,
    /// Commands of one batch that are carried out at the same time: what fills a group commit.
    pub batch_in_flight_max: usize,
    /// Batches at the same time: each may hold its answers, about 3 MiB, for a client that reads late.
    pub batches_max: usize,
    /// Requests at the same time, beyond which new ones are turned away at once: more would only wait.
    pub requests_max: usize,
    /// Claims of jobs at the same time: they wait, and so take no places among the requests. Fewer
    /// than the dispatcher lets wait, so that whoever is one too many is told so here.
    pub claims_max: usize,
    /// How long a request may take until its answer begins, beside what it waits by its own wish.
    pub request_timeout: Duration,
    /// Clients that follow events at the same time, whether all of them or those of a job: each holds a
    /// subscription to the feed.
    pub event_clients_max: usize,
    /// How many of those may come with the same name: the windows of one person, not of a house.
    pub event_clients_of_caller_max: usize,
    /// How long a client that follows events may leave its queue full, or a message unread, before it is
    /// dropped.
    pub event_stall_max: Duration,
    /// How often a silent client that follows events gets a comment or a ping, so that nobody between
    /// takes the connection for dead; and how often its token is looked at again.
    pub event_keep_alive: Duration,
    /// How long a query waits for the position that it asked for.
    pub read_wait_max: Duration,
    /// How long one health check may take.
    pub health_check_max: Duration,
    /// How long a health check that was well may fail until the process is no longer ready: a leader is
    /// elected in 4 to 9 seconds, and in some more where the first try gives none; whoever takes every
    /// process away for that takes the queries too.
    pub failing_ready_max: Duration,
}

/// One thing that `/health` looks at.
pub trait HealthCheck: Send + Sync + 'static {
    /// Its name in the answer.
    fn name(&self) -> &'static str;

    /// How it is. A check that takes too long counts as failed.
    fn check(&self) -> BoxFuture<'_, Health>;
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Ok,
    /// Requests are served, and somebody should look at it.
    Degraded(String),
    /// Requests cannot be served without it.
    Failed(String),
}

/// Renders the process's metrics for Prometheus.
pub trait RenderMetrics: Send + Sync + 'static {
    /// The text format, version 0.0.4.
    fn render(&self) -> String;
}

impl<F: Fn() -> String + Send + Sync + 'static> RenderMetrics for F {
    fn render(&self) -> String {
        self()
    }
}

impl App {
    /// The state over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let limits = &parts.limits;
        Self(Arc::new(Inner {
            requests: Semaphore::new(limits.requests_max),
            claims: Semaphore::new(limits.claims_max),
            event_clients: Arc::new(Places::new(
                limits.event_clients_max,
                limits.event_clients_of_caller_max,
            )),
            batches: Arc::new(Semaphore::new(limits.batches_max)),
            last_report: LastReport::default(),
            parts,
        }))
    }

    /// A place among the requests that are being served.
    pub(crate) fn admit(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.0
            .requests
            .try_acquire()
            .map_err(|_| ApiError::Overloaded)
    }

    /// A place among the claims.
    pub(crate) fn admit_claim(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let limit = self.limits.claims_max;
        let permit = self.0.claims.try_acquire();
        permit.map_err(|_| ApiError::TooMany {
            what: "claims",
            limit,
        })
    }

    /// The places for clients that follow events.
    pub(crate) fn event_clients(&self) -> &Arc<Places> {
        &self.0.event_clients
    }

    /// The last report on health.
    pub(crate) fn last_report(&self) -> &LastReport {
        &self.0.last_report
    }

    /// A place among the batches.
    pub(crate) fn admit_batch(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let limit = self.limits.batches_max;
        let permit = Arc::clone(&self.0.batches).try_acquire_owned();
        permit.map_err(|_| ApiError::TooMany {
            what: "batches",
            limit,
        })
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            batch_bytes_max: 8 * 1024 * 1024,
            batch_lines_max: 10_000,
            batch_in_flight_max: 4_000,
            batches_max: 32,
            requests_max: 4_096,
            claims_max: 4_096,
            request_timeout: Duration::from_secs(30),
            event_clients_max: 256,
            event_clients_of_caller_max: 64,
            event_stall_max: Duration::from_secs(30),
            event_keep_alive: Duration::from_secs(15),
            read_wait_max: Duration::from_secs(5),
            health_check_max: Duration::from_secs(2),
            failing_ready_max: Duration::from_secs(15),
        }
    }
}
