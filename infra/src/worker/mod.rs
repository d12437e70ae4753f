//! The built-in worker: claims jobs, does them, and says what came of them, without HTTP in between.
//!
//! ```text
//! Settings ─▶ Worker::new ─▶ run(stop)
//!                             ├─ claim ──▶ an attempt each: work ─▶ complete │ fail │ release
//!                             └─ stop ───▶ no new claims, an end for what runs, release of the rest
//! ```
//! - [`settings`]: what a worker is told.
//! - [`kind`]: what a kind of work is.
//! - [`kinds`]: those that are built in: `noop`, `sleep`, `http`, `command`.
//! - `attempt`: one attempt, its heartbeats and its report.
//!
//! Invariants:
//! - Work goes on only as long as its attempt is known to run: it is stopped when a heartbeat says that it
//!   does not, when no heartbeat was answered for the length of the lease, and at the job's own end.
//! - What it reports names the attempt, so that the journal refuses it where another attempt runs.
//! - Dropped without a stop it says nothing, and its jobs go to others at the end of their leases.
//!
//! Deliberately absent: what decides which job is next (the dispatcher's), and retries of work (the job's).

mod attempt;
pub mod kind;
pub mod kinds;
pub mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use commands::dispatch::{CLAIM_BYTES_MAX, Claim, Dispatch, DispatchError, HandedOut};
use commands::{Clock, Handler};
use domain::Actor;
use domain::job::Job;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::kind::Kind;
pub use self::settings::{InvalidSettings, Kinds, Settings};

/// How long a claim waits for a job. A dispatcher keeps some memory for each that waits; one that comes
/// back twice a minute costs nothing.
const CLAIM_WAIT: Duration = Duration::from_secs(30);

/// The first and the longest pause after a claim that was not answered; each is twice the one before.
/// As long as a dispatcher takes to come into office: whoever asks more often learns nothing.
const CLAIM_PAUSE_MS: (u64, u64) = (100, 3_000);

/// How long the release of what did not end in time may take. Two appends; whatever is not released
/// then goes to others at the end of its lease.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// What a worker needs of the rest.
#[derive(Clone)]
pub struct Parts {
    /// From whom it has its jobs.
    pub dispatch: Arc<dyn Dispatch>,
    /// Through which it says what came of them.
    pub jobs: Arc<Handler<Job>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// A worker that has not begun yet.
pub struct Worker {
    shared: Arc<Shared>,
}

/// What all attempts of a worker have in common.
struct Shared {
    settings: Settings,
    parts: Parts,
    kinds: BTreeMap<&'static str, Arc<dyn Kind>>,
}

impl Worker {
    /// A worker with the kinds that `settings` turn on. Call it within the runtime that will run it.
    ///
    /// # Errors
    /// When a setting is out of its limits, or a kind cannot be set up.
    pub fn new(settings: Settings, parts: Parts) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let kinds = settings.kinds.set_up()?;
        Ok(Self {
            shared: Arc::new(Shared {
                kinds: kinds.into_iter().map(|kind| (kind.name(), kind)).collect(),
                settings,
                parts,
            }),
        })
    }

    /// Claims and works until `stop`. Then it claims nothing more, lets what runs go on for
    /// [`Settings::drain`], and releases what is still undone.
    pub async fn run(self, stop: CancellationToken) {
        let shared = self.shared;
        let abort = CancellationToken::new();
        let mut attempts = JoinSet::new();
        tracing::info!(
            worker = shared.settings.worker.as_str(),
            queues = ?shared.settings.queues.iter().map(domain::Token::as_str).collect::<Vec<_>>(),
            kinds = ?shared.kinds.keys().collect::<Vec<_>>(),
            "worker claims"
        );
        let mut pause_ms = CLAIM_PAUSE_MS.0;
        while !stop.is_cancelled() {
            while let Some(ended) = attempts.try_join_next() {
                note(ended);
            }
            match claim_some(&shared, &mut attempts, &stop).await {
                Ok(jobs) => {
                    pause_ms = CLAIM_PAUSE_MS.0;
                    for job in jobs {
                        let (shared, abort) = (Arc::clone(&shared), abort.clone());
                        attempts.spawn(attempt::make(shared, job, abort));
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, pause_ms, "claim not answered");
                    let pause = tokio::time::sleep(Duration::from_millis(pause_ms));
                    tokio::select! {
                        () = pause => {}
                        () = stop.cancelled() => {}
                    }
                    pause_ms = (pause_ms * 2).min(CLAIM_PAUSE_MS.1);
                }
            }
        }
        drain(&shared, attempts, &abort).await;
    }
}

/// As many jobs as there is room for; none, where there was none in time, no room, or a stop.
async fn claim_some(
    shared: &Shared,
    attempts: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<Vec<HandedOut>, DispatchError> {
    let room = shared.settings.concurrency.saturating_sub(attempts.len());
    if room == 0 {
        tokio::select! {
            Some(ended) = attempts.join_next() => note(ended),
            () = stop.cancelled() => {}
        }
        return Ok(Vec::new());
    }
    tokio::select! {
        // First, so that jobs which come together with the stop are not left to their leases. A claim
        // that is given up while it waits leaves none behind: the dispatcher takes them back.
        biased;
        claimed = shared.parts.dispatch.claim(shared.claim(room)) => claimed,
        () = stop.cancelled() => Ok(Vec::new()),
    }
}

async fn drain(shared: &Shared, mut attempts: JoinSet<()>, abort: &CancellationToken) {
    let running = attempts.len();
    if tokio::time::timeout(shared.settings.drain, all_ended(&mut attempts))
        .await
        .is_err()
    {
        tracing::info!(undone = attempts.len(), "worker releases what did not end");
        abort.cancel();
        if tokio::time::timeout(RELEASE_MAX, all_ended(&mut attempts))
            .await
            .is_err()
        {
            tracing::warn!(
                undone = attempts.len(),
                "worker leaves jobs to the end of their leases"
            );
            attempts.shutdown().await;
        }
    }
    tracing::info!(
        worker = shared.settings.worker.as_str(),
        running,
        "worker has stopped"
    );
}

async fn all_ended(attempts: &mut JoinSet<()>) {
    while let Some(ended) = attempts.join_next().await {
        note(ended);
    }
}

/// An attempt that ended by a mistake of ours has reported nothing: its lease ends it.
fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "attempt broke");
    }
}

impl Shared {
    fn claim(&self, jobs_max: usize) -> Claim {
        let Settings {
            tenant,
            queues,
            worker,
            capabilities,
            lease,
            ..
        } = &self.settings;
        Claim {
            tenant: tenant.clone(),
            queues: queues.clone(),
            worker: worker.clone(),
            capabilities: capabilities.clone(),
            jobs_max,
            bytes_max: CLAIM_BYTES_MAX,
            lease: *lease,
            wait: CLAIM_WAIT,
            actor: self.actor(),
        }
    }

    /// As whom the journal knows it.
    fn actor(&self) -> Actor {
        Actor {
            principal: self.settings.worker.clone(),
            on_behalf_of: None,
        }
    }
}
