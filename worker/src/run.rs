//! The worker at work: claims, attempts, and its end.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::attempt::{self, PAUSE_MS};
use crate::job::Job;
use crate::transport::{Call, Request};
use crate::{Error, Worker};

/// How long a claim waits for a job on the server; it takes up to 60 s.
const CLAIM_WAIT: Duration = Duration::from_secs(30);

/// How long the release of what did not end in time may take.
const RELEASE_MAX: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Claimed {
    jobs: Vec<Job>,
}

/// What came of a claim.
enum Claim {
    Jobs(Vec<Job>),
    /// Nothing now; after so long, where the server said so.
    Later(Option<Duration>),
}

impl Worker {
    /// Works until SIGTERM or Ctrl-C, and then ends gracefully.
    ///
    /// # Errors
    /// When the server takes no claims of this worker.
    pub async fn run(self) -> Result<(), Error> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        self.run_until(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await
    }

    /// Works until `stop`, and then ends gracefully.
    ///
    /// # Errors
    /// When the server takes no claims of this worker.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let worker = Arc::new(self);
        let (mut attempts, abort) = (JoinSet::new(), CancellationToken::new());
        let ended = tokio::select! {
            ended = worker.claim_for_ever(&mut attempts, &abort) => ended,
            () = stop => Ok(()),
        };
        tracing::info!(running = attempts.len(), "worker stops");
        if timeout(worker.drain, all(&mut attempts)).await.is_err() {
            abort.cancel();
            if timeout(RELEASE_MAX, all(&mut attempts)).await.is_err() {
                tracing::warn!(
                    jobs = attempts.len(),
                    "jobs are left to the end of their leases"
                );
            }
        }
        ended
    }

    /// Dropped while it waits, it is handed nothing.
    async fn claim_for_ever(
        self: &Arc<Self>,
        attempts: &mut JoinSet<()>,
        abort: &CancellationToken,
    ) -> Result<(), Error> {
        let mut pause = Duration::from_millis(PAUSE_MS.0);
        loop {
            while attempts.try_join_next().is_some() {}
            let room = self.concurrency - attempts.len();
            if room == 0 {
                attempts.join_next().await;
                continue;
            }
            match self.claim(room).await? {
                Claim::Jobs(jobs) => {
                    pause = Duration::from_millis(PAUSE_MS.0);
                    for job in jobs {
                        attempts.spawn(attempt::make(Arc::clone(self), job, abort.clone()));
                    }
                }
                Claim::Later(after) => {
                    sleep(after.unwrap_or(pause)).await;
                    pause = (pause * 2).min(Duration::from_millis(PAUSE_MS.1));
                }
            }
        }
    }

    async fn claim(&self, jobs_max: usize) -> Result<Claim, Error> {
        let body = json!({
            "queues": self.queues,
            "worker": self.name,
            "capabilities": self.capabilities,
            "jobs_max": jobs_max,
            "lease_s": self.lease.as_secs(),
            "wait_ms": CLAIM_WAIT.as_millis() as u64,
        });
        let request = Request {
            call: Call::Claim,
            body: body.to_string().into(),
            key: None,
            wait: CLAIM_WAIT,
        };
        let answer = match self.transport.ask(request).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "claim not answered"
                );
                return Ok(Claim::Later(None));
            }
        };
        if answer.is_later() {
            tracing::info!(detail = answer.detail(), "claim not taken");
            return Ok(Claim::Later(answer.retry_after));
        }
        let claimed: Option<Claimed> = serde_json::from_slice(&answer.body).ok();
        match claimed.filter(|_| answer.status == 200) {
            Some(claimed) => Ok(Claim::Jobs(claimed.jobs)),
            None => Err(Error::Refused {
                status: answer.status,
                detail: answer.detail(),
            }),
        }
    }
}

/// Waits for all of them. One that broke has told nothing: its lease ends it.
async fn all(attempts: &mut JoinSet<()>) {
    while attempts.join_next().await.is_some() {}
}
