//! What a worker is told: whose jobs, how many at once, and which kinds it does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use commands::dispatch::{CLAIM_JOBS_MAX, CLAIM_QUEUES_MAX, LEASE_DEFAULT, LEASE_S};
use domain::job::Capabilities;
use domain::{Name, Tenant, Token};

use super::kind::Kind;
use super::kinds::{CommandSettings, HttpSettings, command, http, noop, sleep};

/// How many jobs a worker does at once, if nothing is said. Most work waits for something else.
pub const CONCURRENCY_DEFAULT: usize = 16;

/// How long running work has to end at a stop, if nothing is said: under the 30 seconds that service
/// managers give before they kill, with time left for the release.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(20);

/// What a worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose jobs it does.
    pub tenant: Tenant,
    /// From which queues, 1 to [`CLAIM_QUEUES_MAX`]. A job of a kind that is not on here fails, so they
    /// should be queues for this sort of worker.
    pub queues: Vec<Token>,
    /// Its name, under which the journal has what it did. Two that run at once should have two.
    pub worker: Name,
    /// What it can do, for jobs that want that.
    pub capabilities: Capabilities,
    /// How many jobs it does at once, 1 to [`CLAIM_JOBS_MAX`].
    pub concurrency: usize,
    /// How long it may be silent before its jobs go to others: 1 second to an hour. It is heard of
    /// three times as often, and a job that is cancelled runs on for up to a third of it.
    pub lease: Duration,
    /// How long running work has to end at a stop, before it is aborted and released.
    pub drain: Duration,
    /// Which kinds it does.
    pub kinds: Kinds,
}

/// Which kinds a worker does.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    /// `noop`: done at once.
    pub noop: bool,
    /// `sleep`: done after a time.
    pub sleep: bool,
    /// `http`: calls a server; off, where there are no settings.
    pub http: Option<HttpSettings>,
    /// `command`: runs a program; off, where there are no settings.
    pub command: Option<CommandSettings>,
    /// What else this program can do. One of the same name as a built-in kind takes its place.
    pub more: Vec<Arc<dyn Kind>>,
}

/// Why a worker cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// No queue, or too many.
    #[error("a worker has 1 to `{CLAIM_QUEUES_MAX}` queues, not `{0}`")]
    Queues(usize),
    /// No job at once, or too many.
    #[error("a worker does 1 to `{CLAIM_JOBS_MAX}` jobs at once, not `{0}`")]
    Concurrency(usize),
    /// Too short or too long a lease.
    #[error("a lease has 1 to 3600 seconds, not `{0:?}`")]
    Lease(Duration),
    /// A program that is not named by its absolute path.
    #[error("program `{}` of the allow-list is no absolute path", .0.display())]
    Program(PathBuf),
    /// Less memory than any program starts in.
    #[error("programs have `{bytes}` bytes of memory, less than the `{bytes_min}` that any needs")]
    Memory {
        /// What was said.
        bytes: u64,
        /// What is needed.
        bytes_min: u64,
    },
    /// The client for outbound calls cannot be made.
    #[error("set up outbound calls")]
    Http(#[source] reqwest::Error),
    /// The thread that starts programs cannot be started.
    #[error("set up programs")]
    Command(#[source] std::io::Error),
}

impl Settings {
    /// A worker of this name for these queues, with `noop` and `sleep` on and the rest as by default.
    #[must_use]
    pub fn new(tenant: Tenant, queues: Vec<Token>, worker: Name) -> Self {
        Self {
            tenant,
            queues,
            worker,
            capabilities: Capabilities::default(),
            concurrency: CONCURRENCY_DEFAULT,
            lease: LEASE_DEFAULT,
            drain: DRAIN_DEFAULT,
            kinds: Kinds {
                noop: true,
                sleep: true,
                ..Kinds::default()
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        let queues = self.queues.len();
        if !(1..=CLAIM_QUEUES_MAX).contains(&queues) {
            return Err(InvalidSettings::Queues(queues));
        }
        if !(1..=CLAIM_JOBS_MAX).contains(&self.concurrency) {
            return Err(InvalidSettings::Concurrency(self.concurrency));
        }
        let seconds = |seconds: &u32| Duration::from_secs(u64::from(*seconds));
        let (shortest, longest) = (seconds(LEASE_S.start()), seconds(LEASE_S.end()));
        if !(shortest..=longest).contains(&self.lease) {
            return Err(InvalidSettings::Lease(self.lease));
        }
        Ok(())
    }
}

impl Kinds {
    pub(super) fn set_up(&self) -> Result<Vec<Arc<dyn Kind>>, InvalidSettings> {
        let mut kinds: Vec<Arc<dyn Kind>> = Vec::new();
        if self.noop {
            kinds.push(Arc::new(noop::Noop));
        }
        if self.sleep {
            kinds.push(Arc::new(sleep::Sleep));
        }
        if let Some(settings) = &self.http {
            kinds.push(Arc::new(http::Http::new(settings)?));
        }
        if let Some(settings) = &self.command {
            kinds.push(Arc::new(command::Program::new(settings.clone())?));
        }
        kinds.extend(self.more.iter().cloned());
        Ok(kinds)
    }
}
