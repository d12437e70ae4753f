//! One tenant's many jobs do not hold back another's few.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::support::{Api, TestResult, Up, asked, say};

/// `LEDGERLINE_JOBS` asks for more.
const JOBS: usize = 20_000;
const FEW: usize = 10;

/// What one request takes.
const LINES_MAX: usize = 10_000;

/// Far longer than a wait that nobody causes, and far shorter than the many take.
const WAIT_MAX: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_jobs_of_one_tenant_do_not_wait_for_the_thousands_of_another() -> TestResult {
    let jobs = asked("LEDGERLINE_JOBS", JOBS);
    let up = Up::start("fairness")?;
    let (many, few) = (up.api("many", "member")?, up.api("few", "member")?);
    let line = json!({"command": "job.enqueue", "data": {"queue": "mail", "kind": "noop"}});
    let mut left = jobs;
    while left > 0 {
        let count = left.min(LINES_MAX);
        let answers = many.batch(format!("{line}\n").repeat(count)).await?;
        anyhow::ensure!(answers.iter().all(|answer| answer["status"] == 201));
        left -= count;
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(work(many.clone(), Arc::clone(&is_over))))
        .collect();
    let mut waits = Vec::new();
    for _ in 0..FEW {
        let body = json!({"queue": "mail", "kind": "noop"});
        let enqueued = few.post("/v1/jobs", &body).await?.is(201).receipt()?;
        let begun = Instant::now();
        let claim = json!({"queues": ["mail"], "worker": "w", "wait_ms": 10_000});
        let claimed = few.post("/v1/jobs/claim", &claim).await?.is(200).json()?;
        waits.push(begun.elapsed());
        anyhow::ensure!(claimed["jobs"][0]["id"] == enqueued.id.as_str());
    }
    is_over.store(true, Ordering::SeqCst);
    let mut done = 0;
    for worker in workers {
        done += worker.await??;
    }
    waits.sort();
    let longest = *waits.last().context("some waits")?;
    say(&format!(
        "{FEW} jobs beside {jobs} of another tenant ({done} of them done meanwhile): from enqueue to start {:?} at \
         the median, {longest:?} at most",
        waits[FEW / 2]
    ));
    anyhow::ensure!(done < jobs, "the many were done: nobody held anybody back");
    anyhow::ensure!(longest < WAIT_MAX, "waited {longest:?}");
    Ok(())
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
