//! Workers from outside, over both ways to the server: the crate `ledgerline-worker` at work, and what
//! the worker protocol over NATS says to whoever speaks it by hand.

#[path = "../support/mod.rs"]
mod support;

mod messages;
mod stop;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ledgerline_worker::{Failure, Job, Worker};
use serde_json::{Value, json};
use support::{Api, TestResult, Up, fresh_tenant, until};
use tokio::sync::oneshot;

/// The two ways to a server.
fn ways(up: &Up) -> [String; 2] {
    [up.endpoints.http.clone(), up.endpoints.nats_worker.clone()]
}

/// A worker of the queue `mail` that runs until the sender is used or dropped.
async fn worker(up: &Up, way: &str, tenant: &str) -> TestResult<Worker> {
    let token = up.token("rusty", tenant, "member")?;
    let worker = Worker::connect(way, &token).await?;
    Ok(worker.queue("mail").name("rusty"))
}

fn run(worker: Worker) -> (oneshot::Sender<()>, tokio::task::JoinHandle<TestResult>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let ended = tokio::spawn(async { Ok(worker.run_until(stopped).await?) });
    (stop, ended)
}

async fn enqueue(api: &Api, kind: &str, more: &Value) -> TestResult<String> {
    let mut job = json!({
        "queue": "mail", "kind": kind, "backoff": {"type": "fixed", "delay_ms": 0}, "attempts_max": 3,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        job[name] = value.clone();
    }
    Ok(api.post("/v1/jobs", &job).await?.is(201).receipt()?.id)
}

/// The job, once it is in `status`.
async fn job_in(api: &Api, id: &str, status: &str) -> TestResult<Value> {
    until(&format!("job is `{status}`"), async || {
        let job = api.get(&format!("/v1/jobs/{id}")).await?;
        let job = job.json()?;
        Ok((job["status"] == status).then_some(job))
    })
    .await
}

async fn greet(job: Job) -> Result<Value, Failure> {
    let to = job.payload["to"].as_str();
    let to = to.ok_or(Failure::give_up("payload has no `to`"))?;
    Ok(json!({"greeting": format!("Hello, {to}!")}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_does_jobs_and_says_what_came_of_them() -> TestResult {
    let up = Up::shared();
    for way in ways(up) {
        let tenant = fresh_tenant();
        let api = up.api(&tenant, "member")?;
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let worker = worker(up, &way, &tenant).await?;
        let (stop, ended) = run(worker.handle("greet", greet).handle("flaky", move |_job| {
            let counted = Arc::clone(&counted);
            async move {
                match counted.fetch_add(1, Ordering::SeqCst) {
                    0 => Err(Failure::retry("not yet")),
                    _ => Ok(()),
                }
            }
        }));
        let done = enqueue(&api, "greet", &json!({"payload": {"to": "ann"}})).await?;
        let hopeless = enqueue(&api, "greet", &json!({})).await?;
        let flaky = enqueue(&api, "flaky", &json!({})).await?;
        let unknown = enqueue(&api, "unknown", &json!({"attempts_max": 1})).await?;
        let done = job_in(&api, &done, "completed").await?;
        assert_eq!(done["result"]["greeting"], "Hello, ann!", "{way}");
        let hopeless = job_in(&api, &hopeless, "dead").await?;
        assert_eq!(hopeless["death"], "not_retryable", "{way}");
        assert_eq!(hopeless["error"], "payload has no `to`", "{way}");
        assert_eq!(
            job_in(&api, &flaky, "completed").await?["attempt"],
            2,
            "{way}"
        );
        assert_eq!(job_in(&api, &unknown, "dead").await?["attempt"], 1, "{way}");
        drop(stop);
        ended.await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_is_longer_than_its_lease_is_kept_and_tells_how_far_it_is() -> TestResult {
    let up = Up::shared();
    for way in ways(up) {
        let tenant = fresh_tenant();
        let api = up.api(&tenant, "member")?;
        let go_on = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&go_on);
        let worker = worker(up, &way, &tenant)
            .await?
            .lease(Duration::from_secs(1));
        let (_stop, _ended) = run(worker.handle("long", move |job: Job| {
            let told = Arc::clone(&told);
            async move {
                job.progress(40, "half way");
                told.notified().await;
                Ok(())
            }
        }));
        let id = enqueue(&api, "long", &json!({})).await?;
        let path = format!("/v1/jobs/{id}");
        let begun = job_in(&api, &id, "running").await?["started_at"].clone();
        until("progress was told", async || {
            Ok((api.get(&path).await?.json()?["percent"] == 40).then_some(()))
        })
        .await?;
        let begun: domain::Timestamp = begun.as_str().unwrap_or_default().parse()?;
        until("two leases are over", async || {
            let since = support::now().duration_since(begun);
            Ok((since.as_secs() > 2).then_some(()))
        })
        .await?;
        go_on.notify_one();
        assert_eq!(job_in(&api, &id, "completed").await?["attempt"], 1, "{way}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_dropped_when_its_job_is_cancelled() -> TestResult {
    let up = Up::shared();
    for way in ways(up) {
        let tenant = fresh_tenant();
        let api = up.api(&tenant, "member")?;
        let (alive, dropped) = (Arc::new(()), Duration::from_secs(1));
        let held = Arc::clone(&alive);
        let worker = worker(up, &way, &tenant).await?.lease(dropped);
        let (_stop, _ended) = run(worker.handle("endless", move |_job| {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(())
            }
        }));
        let id = enqueue(&api, "endless", &json!({})).await?;
        job_in(&api, &id, "running").await?;
        until("the work has begun", async || {
            Ok((Arc::strong_count(&alive) == 3).then_some(()))
        })
        .await?;
        api.post(&format!("/v1/jobs/{id}/cancel"), &json!({}))
            .await?
            .is(200);
        until("the work is dropped", async || {
            Ok((Arc::strong_count(&alive) == 2).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_a_valid_token_ends_and_says_why() -> TestResult {
    let up = Up::shared();
    for way in ways(up) {
        let worker = Worker::connect(&way, "no token").await?.queue("mail");
        let ended = worker.run_until(std::future::pending()).await;
        let error = ended.expect_err("it may not claim").to_string();
        assert!(error.contains("`401`"), "{way}: {error}");
    }
    Ok(())
}
