//! One tenant's many jobs do not hold back another's few, nor those of one fairness key another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::http::Receipt;
use crate::support::{Api, TestResult, Up, asked, say, until};

/// `LEDGERLINE_JOBS` asks for more.
const JOBS: usize = 10_000;
const FEW: usize = 10;

/// What one request takes.
const LINES_MAX: usize = 10_000;

/// Far longer than a wait that nobody causes, and far shorter than the many take.
const WAIT_MAX: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_jobs_of_one_tenant_do_not_wait_for_the_thousands_of_another() -> TestResult {
    let up = Up::start("fairness")?;
    let (many, few) = (up.api("many", "member")?, up.api("few", "member")?);
    let workers = Workers::beside(&many, "many").await?;
    let mut waits = Vec::new();
    for _ in 0..FEW {
        let enqueued = enqueue_one(&few, "few").await?;
        let begun = Instant::now();
        let claim = json!({"queues": ["mail"], "worker": "w", "wait_ms": 10_000});
        let claimed = few.post("/v1/jobs/claim", &claim).await?.is(200).json()?;
        waits.push(begun.elapsed());
        anyhow::ensure!(claimed["jobs"][0]["id"] == enqueued.id.as_str());
    }
    workers.judge("of another tenant", waits).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_jobs_of_one_key_take_turns_with_the_thousands_of_another() -> TestResult {
    let up = Up::start("fairness-keys")?;
    let api = up.api("acme", "member")?;
    let workers = Workers::beside(&api, "many").await?;
    let mut waits = Vec::new();
    for _ in 0..FEW {
        // The same workers hand it out, from the same queue.
        let enqueued = enqueue_one(&api, "few").await?;
        let path = format!("/v1/jobs/{}", enqueued.id);
        let wait_ms = until("it is handed out", async || {
            let job = api.get_at(&path, enqueued.position).await?.is(200).json()?;
            Ok(job["wait_ms"].as_u64())
        });
        waits.push(Duration::from_millis(wait_ms.await?));
    }
    workers
        .judge("of another key in the same queue", waits)
        .await
}

async fn enqueue_one(api: &Api, key: &str) -> TestResult<Receipt> {
    let body = json!({"queue": "mail", "kind": "noop", "fairness_key": key});
    api.post("/v1/jobs", &body).await?.is(201).receipt()
}

/// Workers that have thousands of jobs before them.
struct Workers {
    jobs: usize,
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<TestResult<usize>>>,
}

impl Workers {
    /// Four of them, at work on jobs of `key`.
    async fn beside(api: &Api, key: &str) -> TestResult<Self> {
        let jobs = asked("LEDGERLINE_JOBS", JOBS);
        let data = json!({"queue": "mail", "kind": "noop", "fairness_key": key});
        let line = json!({"command": "job.enqueue", "data": data});
        let mut left = jobs;
        while left > 0 {
            let count = left.min(LINES_MAX);
            let answers = api.batch(format!("{line}\n").repeat(count)).await?;
            anyhow::ensure!(answers.iter().all(|answer| answer["status"] == 201));
            left -= count;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let worker = |_| tokio::spawn(work(api.clone(), Arc::clone(&is_over)));
        let tasks = (0..4).map(worker).collect();
        Ok(Self {
            jobs,
            is_over,
            tasks,
        })
    }

    /// Lets them end, and judges how long the few waited.
    async fn judge(self, whose: &str, mut waits: Vec<Duration>) -> TestResult {
        self.is_over.store(true, Ordering::SeqCst);
        let mut done = 0;
        for task in self.tasks {
            done += task.await??;
        }
        waits.sort();
        let (jobs, longest) = (self.jobs, *waits.last().context("some waits")?);
        say(&format!(
            "{FEW} jobs beside {jobs} {whose} ({done} of them done meanwhile): from enqueue to start {:?} at the \
             median, {longest:?} at most",
            waits[FEW / 2]
        ));
        anyhow::ensure!(done < jobs, "the many were done: nobody held anybody back");
        anyhow::ensure!(longest < WAIT_MAX, "waited {longest:?}");
        Ok(())
    }
}

/// Does jobs one after the other; tells how many.
async fn work(api: Api, is_over: Arc<AtomicBool>) -> TestResult<usize> {
    let mut done = 0;
    while !is_over.load(Ordering::SeqCst) {
        let claim = json!({"queues": ["mail"], "worker": "w", "jobs_max": 10});
        let claimed = api.post("/v1/jobs/claim", &claim).await?.is(200).json()?;
        for job in claimed["jobs"].as_array().context("jobs")? {
            let id = job["id"].as_str().context("an id")?;
            let complete = json!({"attempt": job["attempt"]});
            api.post(&format!("/v1/jobs/{id}/complete"), &complete)
                .await?
                .is(200);
            done += 1;
        }
    }
    Ok(done)
}
