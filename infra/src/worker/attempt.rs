//! One attempt: the work, the heartbeats beside it, and the report of what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use commands::dispatch::{Beat, HandedOut};
use commands::{Failure, Request};
use domain::job::{Command, Job, Refusal, Spec};
use domain::{Aggregate as _, CommandId, Digest, Json, StreamId, Timestamp, Token};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use uuid::{Uuid, uuid};

use super::Shared;
use super::kind::{Context, Failed};

/// How often a worker is heard of within one lease: two heartbeats may be lost.
const BEATS_PER_LEASE: u32 = 3;

/// How long a report is tried that the journal does not take. A journal that is away this long has
/// ended the leases too, when it comes back.
const REPORT_MAX: Duration = Duration::from_secs(300);

/// The first and the longest pause between two tries; each is twice the one before.
const REPORT_PAUSE_MS: (u64, u64) = (100, 3_000);

/// From which the ids of reports are made.
const REPORTS: Uuid = uuid!("7265706f-7274-5d0e-a6b1-1c5e9d4f2b73");

/// How the work of an attempt ended.
enum Ended {
    Done(Option<Json>),
    Failed(Failed),
    /// The attempt does not run any more: nobody wants to hear of it.
    Lost,
    /// No heartbeat was answered for a lease: perhaps another has the job by now.
    Unheard,
    /// The job's timeout or deadline: the dispatcher says so.
    OutOfTime,
    /// The worker has to go away.
    Aborted,
}

/// Does `job` once, and says what came of it.
#[tracing::instrument(name = "job.attempt", level = "debug", skip_all, fields(job = %job.id, attempt = job.attempt, kind = %job.spec.kind))]
pub(super) async fn make(shared: Arc<Shared>, job: HandedOut, abort: CancellationToken) {
    let ended = tokio::select! {
        biased;
        ended = shared.work(&job) => ended,
        ended = shared.keep_lease(&job) => ended,
        () = shared.out_of_time(&job.spec) => Ended::OutOfTime,
        () = abort.cancelled() => Ended::Aborted,
    };
    let attempt = job.attempt;
    let (outcome, command) = match ended {
        Ended::Done(result) => ("completed", Some(Command::Complete { attempt, result })),
        Ended::Failed(Failed { error, retryable }) => {
            tracing::info!(error = error.as_str(), retryable, "attempt failed");
            let fail = Command::Fail {
                attempt,
                error,
                retryable,
            };
            ("failed", Some(fail))
        }
        Ended::Aborted => ("released", Some(Command::Release { attempt })),
        // Where it was another's already, the journal refuses it.
        Ended::Unheard => ("unheard", Some(Command::Release { attempt })),
        Ended::Lost => ("lost", None),
        Ended::OutOfTime => ("out_of_time", None),
    };
    tracing::debug!(outcome, "attempt ended");
    metrics::counter!("ledgerline_worker_attempts_total", "outcome" => outcome).increment(1);
    if let Some(command) = command {
        shared.report(&job, command).await;
    }
}

impl Shared {
    async fn work(&self, job: &HandedOut) -> Ended {
        let Some(kind) = self.kinds.get(job.spec.kind.as_str()) else {
            // Another worker of the same queue may have it.
            return Ended::Failed(Failed::for_now(format_args!(
                "kind `{}` is not on in worker `{}`",
                job.spec.kind, self.settings.worker
            )));
        };
        let context = Context {
            tenant: self.settings.tenant.clone(),
            job: job.id,
            attempt: job.attempt,
        };
        let run = kind.run(&context, job.spec.payload.as_ref());
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(result)) => Ended::Done(result),
            Ok(Err(failed)) => Ended::Failed(failed),
            Err(_panic) => Ended::Failed(Failed::for_now("the worker broke at it")),
        }
    }

    /// Is heard of, until that is of no use any more.
    async fn keep_lease(&self, job: &HandedOut) -> Ended {
        let between = self.settings.lease / BEATS_PER_LEASE;
        let mut lease_until = job.lease_until;
        loop {
            tokio::time::sleep(between).await;
            let beat = self.parts.dispatch.beat(Beat {
                tenant: self.settings.tenant.clone(),
                id: job.id,
                attempt: job.attempt,
                lease: Some(self.settings.lease),
            });
            match tokio::time::timeout(between, beat).await {
                Ok(Ok(Some(until))) => lease_until = until,
                Ok(Ok(None)) => return Ended::Lost,
                Ok(Err(_)) | Err(_) if self.parts.clock.now() >= lease_until => {
                    return Ended::Unheard;
                }
                Ok(Err(error)) => tracing::debug!(%error, "heartbeat not taken"),
                Err(_elapsed) => tracing::debug!("heartbeat not answered"),
            }
        }
    }

    /// Waits for the job's timeout or deadline, whichever is first. The dispatcher ends the attempt by
    /// itself; this is so that nothing runs on until the next heartbeat.
    async fn out_of_time(&self, spec: &Spec) {
        let now = self.parts.clock.now();
        let timeout = spec
            .timeout_s
            .map(|timeout| Duration::from_secs(timeout.get()));
        let deadline = spec.deadline.map(|deadline| until(now, deadline));
        match timeout.into_iter().chain(deadline).min() {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    }

    /// Says `command` to the job until the journal has taken or refused it.
    async fn report(&self, job: &HandedOut, command: Command) {
        let stream = StreamId::new(
            self.settings.tenant.clone(),
            Job::CATEGORY,
            Token::from(job.id),
        );
        let mut request = Request {
            // Said again under the same id, so it is made of one and not drawn: it has a receipt then.
            id: CommandId(Uuid::new_v5(
                &REPORTS,
                self.parts.clock.fresh_id().as_bytes(),
            )),
            // Nobody has seen it before.
            keyed: false,
            digest: Digest::default(),
            actor: self.actor(),
            correlation: None,
            causation: None,
            trace: None,
            occurred_at: None,
            expected_version: None,
            command,
        };
        let tries = async {
            let mut pause_ms = REPORT_PAUSE_MS.0;
            loop {
                match self.parts.jobs.handle(&stream, request.clone()).await {
                    Err(Failure::Unavailable(_) | Failure::Contended { .. }) => {
                        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                        pause_ms = (pause_ms * 2).min(REPORT_PAUSE_MS.1);
                        // The try before may have been written.
                        request.keyed = true;
                    }
                    told => return told,
                }
            }
        };
        match tokio::time::timeout(REPORT_MAX, tries).await {
            Ok(Ok(_receipt)) => {}
            Ok(Err(Failure::Refused(refusal))) => note(&refusal),
            Ok(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "report of an attempt cannot be taken"
                );
            }
            Err(_elapsed) => tracing::error!("report of an attempt was given up"),
        }
    }
}

fn note(refusal: &Refusal) {
    tracing::info!(%refusal, "report of an attempt came too late");
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    if then <= now {
        Duration::ZERO
    } else {
        then.duration_since(now).unsigned_abs()
    }
}
