//! Workers for Ledgerline's jobs.
//!
//! ```no_run
//! use ledgerline_worker::{Failure, Worker};
//! use serde_json::json;
//!
//! # async fn example() -> Result<(), ledgerline_worker::Error> {
//! let token = std::env::var("LEDGERLINE_TOKEN").unwrap_or_default();
//! Worker::connect("http://127.0.0.1:8080", &token) // or nats://worker:…@127.0.0.1:4222
//!     .await?
//!     .queue("mail")
//!     .handle("send", |job| async move {
//!         let to = job.payload["to"].as_str().ok_or(Failure::give_up("payload has no `to`"))?;
//!         job.progress(50, "connected");
//!         Ok(json!({ "sent_to": to }))
//!     })
//!     .run()
//!     .await
//! # }
//! ```
//! - [`Worker`]: what it does, and for whom. [`Job`]: one attempt at one job, as the work sees it.
//! - [`Failure`]: work that did not succeed; any error is one that is tried again.
//! - [`transport`]: the way to the server, HTTP or NATS; the protocol is the same.
//!
//! What it promises:
//! - It claims as many jobs as it has room for, and is heard of three times a lease.
//! - Work is dropped (at its next `await`) when its attempt does not run any more, or when the server
//!   was not reached for a whole lease. Its result is then nobody's.
//! - A result is told until it is taken or refused, always under the same key.
//! - On SIGTERM and Ctrl-C it claims nothing more, gives what runs [`Worker::drain`], and releases the
//!   rest.
//!
//! Work is done at least once: one that was cut off may still be at it when the next attempt begins.
//! [`Job::id`] is the same each time; use it as your key.

mod attempt;
mod http;
mod job;
mod nats;
mod run;
pub mod transport;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Serialize;
use serde_json::Value;

pub use self::job::{Failure, Job};
use self::transport::Transport;

/// How many jobs at once, unless told otherwise.
const CONCURRENCY_DEFAULT: usize = 8;

/// How long the server waits to hear of a job, unless told otherwise: three heartbeats.
const LEASE_DEFAULT: Duration = Duration::from_secs(30);

/// How long running jobs have to end at a stop, unless told otherwise: less than what a supervisor
/// commonly waits between SIGTERM and SIGKILL.
const DRAIN_DEFAULT: Duration = Duration::from_secs(20);

/// Why a worker did not begin, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is neither HTTP's nor NATS'.
    #[error("`{0}` is no address: it begins with `http://`, `https://`, `nats://` or `tls://`")]
    Address(String),
    /// The way to the server could not be set up.
    #[error("connect to the server")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server takes no claims of this worker, and would say so again.
    #[error("claim was refused with status `{status}`: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the server said.
        detail: String,
    },
    /// Signals cannot be waited for.
    #[error("wait for signals")]
    Signals(#[source] std::io::Error),
}

/// Work of one kind.
pub(crate) trait Work: Send + Sync {
    fn run(&self, job: Job) -> BoxFuture<'static, Result<Value, Failure>>;
}

impl<F, Done, R> Work for F
where
    F: Fn(Job) -> Done + Send + Sync,
    Done: Future<Output = Result<R, Failure>> + Send + 'static,
    R: Serialize,
{
    fn run(&self, job: Job) -> BoxFuture<'static, Result<Value, Failure>> {
        let done = self(job);
        async move { Ok(serde_json::to_value(done.await?)?) }.boxed()
    }
}

/// A worker that has not begun yet.
pub struct Worker {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) name: String,
    pub(crate) queues: Vec<String>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) kinds: BTreeMap<String, Arc<dyn Work>>,
    pub(crate) concurrency: usize,
    pub(crate) lease: Duration,
    pub(crate) drain: Duration,
}

impl Worker {
    /// A worker of the service at `url`, as whom `token` says. `nats://user:password@host` is the way
    /// over NATS, with user and password percent-encoded.
    ///
    /// # Errors
    /// When the address is none, or NATS takes no connection.
    pub async fn connect(url: &str, token: &str) -> Result<Self, Error> {
        let transport: Arc<dyn Transport> = match url.split_once("://") {
            Some(("http" | "https", _)) => Arc::new(http::Http::new(url, token)?),
            Some(("nats" | "tls", _)) => Arc::new(nats::Nats::connect(url, token).await?),
            _ => return Err(Error::Address(url.to_owned())),
        };
        Ok(Self {
            transport,
            name: format!("rust-{}", std::process::id()),
            queues: Vec::new(),
            capabilities: Vec::new(),
            kinds: BTreeMap::new(),
            concurrency: CONCURRENCY_DEFAULT,
            lease: LEASE_DEFAULT,
            drain: DRAIN_DEFAULT,
        })
    }

    /// Takes jobs of this queue as well; at least one is needed.
    #[must_use]
    pub fn queue(mut self, queue: &str) -> Self {
        self.queues.push(queue.to_owned());
        self
    }

    /// Does jobs of `kind` so. A job whose kind has nothing here fails, and is tried again: another
    /// worker of its queue may have it.
    #[must_use]
    pub fn handle<F, Done, R>(mut self, kind: &str, work: F) -> Self
    where
        F: Fn(Job) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<R, Failure>> + Send + 'static,
        R: Serialize,
    {
        self.kinds.insert(kind.to_owned(), Arc::new(work));
        self
    }

    /// Under which name the server knows it; `rust-<process>` unless told otherwise.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Something that it can do, for jobs that want it.
    #[must_use]
    pub fn capability(mut self, capability: &str) -> Self {
        self.capabilities.push(capability.to_owned());
        self
    }

    /// How many jobs at once; 8 unless told otherwise.
    #[must_use]
    pub fn concurrency(mut self, jobs: usize) -> Self {
        self.concurrency = jobs.clamp(1, 1_000);
        self
    }

    /// After how much silence its jobs go to others, in whole seconds; 30 s unless told otherwise.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long running jobs have to end at a stop; 20 s unless told otherwise.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }
}
