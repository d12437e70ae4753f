//! Fault: several processes take claims, and the one whose dispatcher is in office is stopped, then
//! killed. Whichever process a worker asks, it gets jobs, none twice, and none is left behind.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledgerline_check::journal::Event;
use ledgerline_check::judge::{job_ends, of_journal};
use ledgerline_check::{Commit, Message};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::record::stored;
use crate::support::serve::Serve;
use crate::support::{Api, TestResult, Up, say, until};

/// A killed process is known to be gone at once, and whoever stands by looks twice a second.
const GOES_ON_WITHIN: Duration = Duration::from_secs(8);

/// What the workers of one process were given.
#[derive(Default)]
struct Given {
    attempts: Vec<(String, u64)>,
    completed: BTreeSet<(String, u64)>,
}

/// A worker at one process, and what it got there.
struct Worker {
    given: Arc<Mutex<Given>>,
    is_over: Arc<AtomicBool>,
    task: JoinHandle<TestResult>,
}

impl Worker {
    fn at(api: Api) -> Self {
        let (given, is_over) = (Arc::default(), Arc::default());
        let task = tokio::spawn(work(api, Arc::clone(&given), Arc::clone(&is_over)));
        Self {
            given,
            is_over,
            task,
        }
    }

    fn completed(&self) -> usize {
        self.given.lock().map_or(0, |given| given.completed.len())
    }

    /// Completes one more job than before.
    async fn goes_on(&self) -> TestResult {
        let before = self.completed();
        until("a worker goes on", async || {
            Ok((self.completed() > before).then_some(()))
        })
        .await
    }

    /// What it was given in all; whoever was killed under it has no more to say.
    async fn end(self) -> TestResult<Given> {
        self.is_over.store(true, Ordering::SeqCst);
        self.task.await??;
        let mut given = self
            .given
            .lock()
            .map_err(|_| anyhow::anyhow!("a worker failed"))?;
        Ok(std::mem::take(&mut given))
    }
}

async fn work(api: Api, given: Arc<Mutex<Given>>, is_over: Arc<AtomicBool>) -> TestResult {
    let claim =
        json!({"queues": ["mail"], "worker": "w", "jobs_max": 2, "lease_s": 5, "wait_ms": 500});
    while !is_over.load(Ordering::SeqCst) {
        // A process that was killed does not answer, and one without a dispatcher says 503.
        let Ok(answer) = api.post("/v1/jobs/claim", &claim).await else {
            tokio::task::yield_now().await;
            continue;
        };
        for job in answer.json()?["jobs"].as_array().into_iter().flatten() {
            let attempt = attempt_of(job);
            if let Ok(mut given) = given.lock() {
                given.attempts.push(attempt.clone());
            }
            let path = format!("/v1/jobs/{}/complete", attempt.0);
            let told = api.post(&path, &json!({"attempt": attempt.1})).await;
            if told.is_ok_and(|told| told.status == 200)
                && let Ok(mut given) = given.lock()
            {
                given.completed.insert(attempt);
            }
        }
    }
    Ok(())
}

fn attempt_of(job: &Value) -> (String, u64) {
    let id = job["id"].as_str().unwrap_or_default().to_owned();
    (id, job["attempt"].as_u64().unwrap_or_default())
}

/// Enqueues without an end, at whichever process answers.
async fn enqueue(apis: Vec<Api>, is_over: Arc<AtomicBool>) -> BTreeSet<String> {
    let mut enqueued = BTreeSet::new();
    let job = json!({"queue": "mail", "kind": "send", "backoff": {"type": "fixed", "delay_ms": 0}});
    for api in apis.iter().cycle() {
        if is_over.load(Ordering::SeqCst) {
            break;
        }
        if let Ok(answer) = api.post("/v1/jobs", &job).await
            && let Ok(receipt) = answer.receipt()
        {
            enqueued.insert(receipt.id);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    enqueued
}

fn is_in_office(serve: &Serve) -> TestResult<bool> {
    Ok(serve.log()?.contains("dispatcher is in office"))
}

/// Waits until no job waits or runs.
async fn nothing_is_left(api: &Api) -> TestResult {
    until("every job has ended", async || {
        let path = "/v1/queues";
        let queues = api.get(path).await?.is(200).json()?;
        let left = queues["queues"]
            .as_array()
            .and_then(|all| all.first())
            .cloned();
        let left = left.unwrap_or_default();
        let is_empty = ["ready", "delayed", "running"]
            .iter()
            .all(|count| left[*count] == 0);
        Ok(is_empty.then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_answered_everywhere_whoever_is_in_office_and_whatever_happens_to_it()
-> TestResult {
    let up = Up::start("dispatch")?;
    let roles = "api,projector,reactor";
    let (a, b) = (
        Serve::beside(&up, "a", roles)?,
        Serve::beside(&up, "b", roles)?,
    );
    let c = Serve::beside(&up, "c", "api")?;
    let api = up.api("default", "member")?;
    let (api_a, api_b, api_c) = (api.at(&a.base), api.at(&b.base), api.at(&c.base));
    let is_over = Arc::new(AtomicBool::new(false));
    let client = tokio::spawn(enqueue(vec![api_c.clone()], Arc::clone(&is_over)));
    let workers = [&api_a, &api_b, &api_c].map(|api| Worker::at(api.clone()));
    for worker in &workers {
        worker.goes_on().await?;
    }
    // Its servers run on; it keeps its connections and its place, and says nothing.
    up.signal(Signal::STOP)?;
    until("another is in office", async || {
        Ok((is_in_office(&a)? || is_in_office(&b)?).then_some(()))
    })
    .await?;
    for worker in &workers {
        worker.goes_on().await?;
    }
    let (in_office, other, rest) = match is_in_office(&a)? {
        true => (a, b, &workers[1..]),
        false => (b, a, &workers[2..]),
    };
    let killed = Instant::now();
    in_office.signal(Signal::KILL)?;
    // Before, a worker goes on with what it has claimed already.
    until("the other is in office", async || {
        Ok(is_in_office(&other)?.then_some(()))
    })
    .await?;
    for worker in rest {
        worker.goes_on().await?;
    }
    let took = killed.elapsed();
    say(&format!(
        "claims went on `{}` ms after the kill",
        took.as_millis()
    ));
    assert!(took < GOES_ON_WITHIN, "{took:?}");
    // The one that was stopped wakes up, and believes to be in office until it looks.
    up.signal(Signal::CONT)?;
    for worker in rest {
        worker.goes_on().await?;
    }
    is_over.store(true, Ordering::SeqCst);
    let enqueued = client.await?;
    let mut completed = BTreeSet::new();
    nothing_is_left(&api_c).await?;
    let mut attempts = Vec::new();
    for worker in workers {
        let given = worker.end().await?;
        attempts.extend(given.attempts);
        completed.extend(given.completed);
    }
    let handed_out = attempts.len();
    attempts.sort_unstable();
    attempts.dedup();
    assert_eq!(
        attempts.len(),
        handed_out,
        "an attempt was handed out twice"
    );
    let journal = stored(&up).await?;
    assert_eq!(of_journal(&journal), []);
    assert_eq!(job_ends(&journal).values().sum::<usize>(), enqueued.len());
    assert!(completed.is_subset(&completions(&journal)?));
    Ok(())
}

/// Every job that was completed, with the attempt.
fn completions(journal: &[Message]) -> TestResult<BTreeSet<(String, u64)>> {
    let mut completions = BTreeSet::new();
    for message in journal {
        let commit = Commit::of(message)?;
        let is_completed = |event: &&Event| event.name == "completed";
        if let Some(event) = commit.events.iter().find(is_completed) {
            let attempt = event.data["attempt"].as_u64().unwrap_or_default();
            completions.insert((commit.id().to_owned(), attempt));
        }
    }
    Ok(completions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_not_lost_with_the_caller_of_a_forwarded_claim_or_with_its_process() -> TestResult
{
    let up = Up::start("gone")?;
    let serve = Serve::beside(&up, "gone", "api")?;
    let api = up.api("default", "member")?;
    let there = api.at(&serve.base);
    let job = json!({"queue": "mail", "kind": "send"});
    // No lease ends while the test runs: who gets a job again gets it because it was given back.
    let claim =
        |wait_ms| json!({"queues": ["mail"], "worker": "w", "lease_s": 3600, "wait_ms": wait_ms});
    let waits = || async {
        let (there, claim) = (there.clone(), claim(30_000));
        let waiting = tokio::spawn(async move { there.post("/v1/jobs/claim", &claim).await });
        until("the claim waits", async || {
            let metrics = api.at(&up.endpoints.http).get("/metrics").await?.text();
            let waiting = "ledgerline_dispatch_forwarded_claims 1";
            Ok(metrics.contains(waiting).then_some(()))
        })
        .await?;
        TestResult::Ok(waiting)
    };
    let waiting = waits().await?;
    waiting.abort();
    until("the claim was taken back", async || {
        let metrics = api.get("/metrics").await?.text();
        Ok(metrics
            .contains("ledgerline_dispatch_forwarded_claims 0")
            .then_some(()))
    })
    .await?;
    api.post("/v1/jobs", &job).await?.is(201);
    let claimed = api.claim(&claim(5_000)).await?;
    assert_eq!(claimed["jobs"][0]["attempt"], 1, "{claimed}");

    let _waiting = waits().await?;
    serve.signal(Signal::KILL)?;
    api.post("/v1/jobs", &job).await?.is(201);
    // Where the answer was under way when the process died, that is known when nobody acknowledges it.
    let claimed = api.claim(&claim(30_000)).await?;
    let attempt = claimed["jobs"][0]["attempt"].as_u64();
    assert!(attempt == Some(1) || attempt == Some(2), "{claimed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_answer_that_is_larger_than_a_message_comes_whole() -> TestResult {
    let up = Up::start("large")?;
    let serve = Serve::beside(&up, "large", "api")?;
    let api = up.api("default", "member")?;
    let payload = "x".repeat(200_000);
    for _ in 0..40 {
        let job = json!({"queue": "mail", "kind": "send", "payload": payload});
        api.post("/v1/jobs", &job).await?.is(201);
    }
    let claim = json!({"queues": ["mail"], "worker": "w", "jobs_max": 1000, "wait_ms": 5000});
    let there = api.at(&serve.base);
    let claimed = there.claim(&claim).await?;
    let jobs = claimed["jobs"].as_array().cloned().unwrap_or_default();
    assert_eq!(jobs.len(), 40);
    assert!(jobs.iter().all(|job| job["payload"] == payload.as_str()));
    Ok(())
}
