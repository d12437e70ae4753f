//! Jobs under kills of everything: the program with its dispatcher, NATS, Postgres, and workers that
//! fall silent in the middle of a job. Every job ends exactly once, and none is stuck.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ledgerline_check::judge::job_ends;
use serde_json::{Value, json};

use crate::record::{self, Recorder, outcome, stored};
use crate::support::http::Answer;
use crate::support::{Api, Dice, TestResult, Up, asked, fresh_id, say, until};

/// `LEDGERLINE_JOB_FAULTS` and `LEDGERLINE_JOBS` ask for more.
const FAULTS: usize = 10;
const JOBS: usize = 2_000;
const WORKERS: usize = 8;

/// A lease that is soon over: a silent worker is found out within it.
const LEASE_S: u64 = 2;

/// How long all of it may take behind the last fault.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// What all workers share.
struct House {
    base: String,
    /// What workers and the client that enqueues were told.
    recorder: Recorder,
    enqueued: AtomicUsize,
    completed: AtomicUsize,
    /// Attempts that nobody reported on, until it was too late.
    abandoned: Mutex<Vec<(String, u64)>>,
    refused: AtomicUsize,
    is_over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_ends_exactly_once_whatever_is_killed() -> TestResult {
    let (faults, jobs) = (
        asked("LEDGERLINE_JOB_FAULTS", FAULTS),
        asked("LEDGERLINE_JOBS", JOBS),
    );
    let mut dice = Dice::thrown();
    let mut up = Up::start("jobs")?;
    let listen = up.listen().to_owned();
    let house = House::on(&up);
    let api = up.api("default", "member")?;
    let client = tokio::spawn(Arc::clone(&house).enqueue(api.clone(), jobs));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let dice = Dice::of(dice.below(u64::MAX));
            tokio::spawn(Arc::clone(&house).work(api.clone(), dice))
        })
        .collect();
    for fault in 0..faults {
        let goal = jobs * (fault + 1) / (faults + 2);
        until("some jobs are completed", async || {
            let is_broken = workers.iter().any(|worker| worker.is_finished());
            anyhow::ensure!(!is_broken, "a worker failed");
            Ok((house.completed.load(Ordering::SeqCst) >= goal).then_some(()))
        })
        .await?;
        tokio::time::sleep(Duration::from_micros(dice.below(20_000))).await;
        match dice.below(3) {
            0 => up.kill_server("nats-server"),
            1 => up.kill_server("postgres"),
            _ => up = Up::on_address(up.kill()?, &listen)?,
        }
    }
    client.await??;
    all_have_ended(&up, jobs).await?;
    house.is_over.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.await??;
    }
    let late = house.report_late(&api).await?;
    let journal = house.recorder.judge(&up).await?;
    let ends = job_ends(&journal);
    say(&format!(
        "{faults} faults, {jobs} jobs: {:?}; {late} attempts abandoned by silent workers, {} reports refused",
        ends,
        house.refused.load(Ordering::SeqCst),
    ));
    anyhow::ensure!(house.enqueued.load(Ordering::SeqCst) == jobs);
    anyhow::ensure!(
        ends.values().sum::<usize>() == jobs,
        "some are stuck: {ends:?}"
    );
    until("the read side is at the head", async || {
        let api = up.api("default", "admin")?;
        let positions = api.get("/v1/positions").await?.is(200).json()?;
        Ok((positions["read_side"] == positions["journal"]).then_some(()))
    })
    .await?;
    up.verify()
}

/// Waits until the journal has an end of every job.
async fn all_have_ended(up: &Up, jobs: usize) -> TestResult {
    let begun = Instant::now();
    loop {
        if let Ok(journal) = stored(up).await
            && job_ends(&journal).values().sum::<usize>() >= jobs
        {
            return Ok(());
        }
        let is_time = begun.elapsed() < ENDS_WITHIN;
        anyhow::ensure!(is_time, "jobs are stuck: {:?}", stuck(up).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What the program says of the jobs that have not ended.
async fn stuck(up: &Up) -> TestResult<Value> {
    let api = up.api("default", "admin")?;
    let queues = api.get("/v1/queues").await?.json()?;
    let running = api.get("/v1/jobs?status=running&limit=3").await?.json()?;
    Ok(json!({"queues": queues, "running": running}))
}

impl House {
    fn on(up: &Up) -> Arc<Self> {
        Arc::new(Self {
            base: up.endpoints.http.clone(),
            recorder: Recorder::start(),
            enqueued: AtomicUsize::new(0),
            completed: AtomicUsize::new(0),
            abandoned: Mutex::default(),
            refused: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    /// Reports on every attempt that was abandoned: each has ended long ago.
    async fn report_late(&self, api: &Api) -> TestResult<usize> {
        let abandoned = self.abandoned.lock().map(|abandoned| abandoned.clone());
        let abandoned = abandoned.map_err(|_| anyhow::anyhow!("a worker failed"))?;
        for (id, attempt) in &abandoned {
            let late = json!({"attempt": attempt, "result": "late"});
            let is_taken = self.report(api, id, "complete", &late).await?;
            anyhow::ensure!(!is_taken, "a late result of {id} was taken");
        }
        Ok(abandoned.len())
    }

    /// Enqueues all jobs, each until it is acknowledged.
    async fn enqueue(self: Arc<Self>, api: Api, jobs: usize) -> TestResult {
        for number in 0..jobs {
            let id = fresh_id();
            let priority = ["critical", "high", "normal", "low"][number % 4];
            let body = json!({
                "id": id, "queue": "faults", "kind": "noop", "payload": {"number": number},
                "priority": priority,
                "attempts_max": 100, "backoff": {"type": "fixed", "delay_ms": 20},
            });
            let began = self.recorder.now();
            let answer = self.until_answered(&api, "/v1/jobs", &body, &id).await?;
            anyhow::ensure!([200, 201].contains(&answer.status), "{}", answer.text());
            let asked = record::write("client", "job", &id, &id);
            self.recorder.add(asked, began, outcome(&answer)?);
            self.enqueued.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Claims and reports until all is over. Some attempts it abandons, fails or gives back.
    async fn work(self: Arc<Self>, api: Api, mut dice: Dice) -> TestResult {
        while !self.is_over.load(Ordering::SeqCst) {
            let claim = json!({
                "queues": ["faults"], "worker": "tester", "jobs_max": 1 + dice.below(20),
                "lease_s": LEASE_S, "wait_ms": 300,
            });
            let Ok(answer) = api.at(&self.base).post("/v1/jobs/claim", &claim).await else {
                // Whatever was handed out with an answer that never came is found by its lease.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if answer.status != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            let claimed = answer.json()?;
            for job in claimed["jobs"].as_array().context("jobs")? {
                self.do_job(&api, &mut dice, job).await?;
            }
        }
        Ok(())
    }

    async fn do_job(&self, api: &Api, dice: &mut Dice, job: &Value) -> TestResult {
        let id = job["id"].as_str().context("an id")?;
        let attempt = job["attempt"].as_u64().context("an attempt")?;
        let failed = json!({"attempt": attempt, "error": "told to fail"});
        let done = json!({"attempt": attempt, "result": {"by": attempt}});
        match dice.below(20) {
            0 => {
                let abandoned = self.abandoned.lock();
                let mut abandoned = abandoned.map_err(|_| anyhow::anyhow!("a worker failed"))?;
                abandoned.push((id.to_owned(), attempt));
            }
            1 => drop(self.report(api, id, "fail", &failed).await?),
            2 => {
                let given_back = json!({"attempt": attempt});
                self.report(api, id, "release", &given_back).await?;
            }
            chance => {
                if chance == 3 {
                    let half = json!({"attempt": attempt, "percent": 50});
                    self.report(api, id, "heartbeat", &half).await?;
                }
                if self.report(api, id, "complete", &done).await? {
                    self.completed.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        Ok(())
    }

    /// Whether the attempt still ran when its worker said this.
    async fn report(&self, api: &Api, id: &str, verb: &str, body: &Value) -> TestResult<bool> {
        let path = format!("/v1/jobs/{id}/{verb}");
        let key = format!("{verb}-{id}-{}", body["attempt"]);
        let began = self.recorder.now();
        let answer = self.until_answered(api, &path, body, &key).await?;
        if verb != "heartbeat" {
            let asked = record::write("worker", "job", id, &key);
            self.recorder.add(asked, began, outcome(&answer)?);
        }
        match answer.status {
            200 => Ok(true),
            // Its lease was over: another attempt runs, or waits to.
            409 => {
                self.refused.fetch_add(1, Ordering::SeqCst);
                Ok(false)
            }
            _ => anyhow::bail!("{verb}: {}", answer.text()),
        }
    }

    /// Sends the same until the program says yes or no.
    async fn until_answered(
        &self,
        api: &Api,
        path: &str,
        body: &Value,
        key: &str,
    ) -> TestResult<Answer> {
        let begun = Instant::now();
        loop {
            let headers = [("Idempotency-Key", key)];
            let api = api.at(&self.base);
            let sent = api.post_with(path, body, &headers);
            if let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(10), sent).await
                && answer.status != 503
            {
                return Ok(answer);
            }
            anyhow::ensure!(begun.elapsed() < ENDS_WITHIN, "{path} is never answered");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}
