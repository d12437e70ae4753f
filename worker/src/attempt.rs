//! One attempt: the work, the heartbeats beside it, and the report of what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::job::{Failure, Job, Progress};
use crate::transport::{Answer, Call, NoAnswer, Request};

/// How often a worker is heard of within one lease: two heartbeats may be lost.
const BEATS_PER_LEASE: u32 = 3;

/// How long a result is tried to be told: the server may be restarting.
const REPORT_MAX: Duration = Duration::from_secs(300);

/// The first and the longest pause between two tries; each is twice the one before.
pub(crate) const PAUSE_MS: (u64, u64) = (200, 5_000);

#[derive(Serialize)]
struct Heartbeat {
    attempt: u32,
    lease_s: u64,
    #[serde(flatten)]
    progress: Option<Progress>,
}

/// Does `job` once, and says what came of it.
pub(crate) async fn make(worker: Arc<Worker>, job: Job, abort: CancellationToken) {
    let attempt = job.attempt;
    tokio::select! {
        biased;
        done = work(&worker, &job) => match done {
            Ok(result) => {
                let body = json!({"attempt": attempt, "result": result});
                worker.settle(&job, "complete", body).await;
            }
            Err(failure) => worker.fail(&job, failure).await,
        },
        () = worker.keep_lease(&job) => {
            tracing::info!(job = job.id, attempt, "attempt does not run any more, work dropped");
        }
        () = abort.cancelled() => worker.settle(&job, "release", json!({"attempt": attempt})).await,
    }
}

async fn work(worker: &Worker, job: &Job) -> Result<Value, Failure> {
    let Some(work) = worker.kinds.get(&job.kind) else {
        let error = format!("kind `{}` is not known to this worker", job.kind);
        return Err(Failure::retry(error));
    };
    let done = AssertUnwindSafe(async { work.run(job.clone()).await });
    let broke = |_panic| Err(Failure::retry("the worker broke at it"));
    done.catch_unwind().await.unwrap_or_else(broke)
}

impl Worker {
    /// Is heard of, until that is of no use any more.
    async fn keep_lease(&self, job: &Job) {
        let between = self.lease / BEATS_PER_LEASE;
        let mut heard = Instant::now();
        while heard.elapsed() < self.lease {
            sleep(between).await;
            let asked = Instant::now();
            let heartbeat = Heartbeat {
                attempt: job.attempt,
                lease_s: self.lease.as_secs(),
                progress: job.take_progress(),
            };
            let answer = timeout(between, self.tell(job, "heartbeat", &heartbeat, None)).await;
            match answer {
                Ok(Ok(answer)) if answer.status == 200 => heard = asked,
                Ok(Ok(Answer {
                    status: 404 | 409, ..
                })) => return,
                Ok(Ok(answer)) => tracing::debug!(detail = answer.detail(), "heartbeat not taken"),
                Ok(Err(_)) | Err(_) => tracing::debug!("heartbeat not answered"),
            }
        }
    }

    async fn fail(&self, job: &Job, failure: Failure) {
        let Failure { error, retryable } = failure;
        tracing::info!(job = job.id, error, retryable, "attempt failed");
        let body = json!({"attempt": job.attempt, "error": error, "retryable": retryable});
        self.settle(job, "fail", body).await;
    }

    /// Tells what came of it, and is heard of until that is taken: the server may be slow to.
    async fn settle(&self, job: &Job, verb: &'static str, body: Value) {
        let beats = async {
            self.keep_lease(job).await;
            // Whether the attempt still runs, the report itself is told.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.report(job, verb, body) => {}
            () = beats => {}
        }
    }

    /// Tells until it is taken or refused.
    async fn report(&self, job: &Job, verb: &'static str, body: Value) {
        let key = format!("{}-{}-{verb}", job.id, job.attempt);
        let until = Instant::now() + REPORT_MAX;
        let mut pause = Duration::from_millis(PAUSE_MS.0);
        while Instant::now() < until {
            let after = match self.tell(job, verb, &body, Some(&key)).await {
                Ok(answer) if answer.is_later() => answer.retry_after,
                Err(_no_answer) => None,
                Ok(answer) if answer.status < 400 => return,
                Ok(answer) if verb == "complete" && matches!(answer.status, 400 | 413 | 422) => {
                    // Another try would be no shorter.
                    let detail = format!("result was refused: {}", answer.detail());
                    return Box::pin(self.fail(job, Failure::give_up(detail))).await;
                }
                Ok(answer) => {
                    tracing::info!(
                        job = job.id,
                        verb,
                        detail = answer.detail(),
                        "report refused"
                    );
                    return;
                }
            };
            sleep(after.unwrap_or(pause)).await;
            pause = (pause * 2).min(Duration::from_millis(PAUSE_MS.1));
        }
        tracing::warn!(job = job.id, verb, "report given up");
    }

    async fn tell(
        &self,
        job: &Job,
        verb: &'static str,
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<Answer, NoAnswer> {
        let body = serde_json::to_vec(body).map_err(NoAnswer::because)?;
        let request = Request {
            call: Call::Report { id: &job.id, verb },
            body: body.into(),
            key,
            wait: Duration::ZERO,
        };
        self.transport.ask(request).await
    }
}
