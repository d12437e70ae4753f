//! Batches of jobs, and a worker that works them off.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Api, TestResult, until};

/// How many jobs a worker claims at once.
const CLAIMED_MAX: usize = 200;

/// How long a claim waits for a job that is there.
const WAIT_MS: u64 = 5_000;

/// Opens a batch: its id, and the position of the last of its jobs.
pub(crate) async fn open(api: &Api, body: &Value) -> TestResult<(String, u64)> {
    let receipt = api.post("/v1/batches", body).await?.is(201).json()?;
    let jobs = body["jobs"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(receipt["jobs"] == jobs, "{receipt}");
    let id = receipt["id"].as_str().context("an id")?.to_owned();
    Ok((id, receipt["position"].as_u64().context("a position")?))
}

/// Claims `count` jobs of `queue` and reports on each: it fails for ever where its payload says so.
pub(crate) async fn work_off(api: &Api, queue: &str, count: usize) -> TestResult {
    let mut done = 0;
    while done < count {
        let claim = json!({
            "queues": [queue], "worker": "w1", "jobs_max": CLAIMED_MAX, "wait_ms": WAIT_MS,
        });
        // A dispatcher that is not in office yet answers 503.
        let claimed = until("the dispatcher answers", async || {
            let answer = api.post("/v1/jobs/claim", &claim).await?;
            Ok((answer.status != 503).then_some(answer))
        });
        let claimed = claimed.await?.is(200).json()?;
        let jobs = claimed["jobs"].as_array().context("a list of jobs")?;
        anyhow::ensure!(!jobs.is_empty(), "`{done}` of `{count}` jobs came");
        let reports: Vec<_> = jobs.iter().map(report).collect();
        for answer in api.batch(reports.join("\n")).await? {
            anyhow::ensure!(answer["status"] == 200, "{answer}");
        }
        done += jobs.len();
    }
    Ok(())
}

fn report(job: &Value) -> String {
    let (id, attempt) = (&job["id"], &job["attempt"]);
    let line = match job["payload"]["fails"] == true {
        true => json!({"command": "job.fail", "id": id, "data": {
            "attempt": attempt, "error": "told to", "retryable": false,
        }}),
        false => json!({"command": "job.complete", "id": id, "data": {"attempt": attempt}}),
    };
    line.to_string()
}

/// The batch, once it is completed.
pub(crate) async fn completed(api: &Api, id: &str) -> TestResult<Value> {
    until("the batch is completed", async || {
        let answer = api.get(&format!("/v1/batches/{id}")).await?;
        // While the server is on its way up.
        if answer.status != 200 {
            return Ok(None);
        }
        let batch = answer.json()?;
        Ok((batch["status"] == "completed").then_some(batch))
    })
    .await
}

/// The one job that followed the batch, once it is there.
pub(crate) async fn follow_up(api: &Api, id: &str) -> TestResult<Value> {
    let path = format!("/v1/jobs?label.batch={id}&count=true");
    let found = until("the job follows", async || {
        let answer = api.get(&path).await?;
        let jobs = answer.json()?;
        Ok((jobs["total"].as_u64() > Some(0)).then_some(jobs))
    })
    .await?;
    anyhow::ensure!(found["total"] == 1, "{found}");
    let job = found["items"][0]["id"].as_str().context("an id")?;
    api.get(&format!("/v1/jobs/{job}")).await?.is(200).json()
}

/// The types of a batch's events, first to last.
pub(crate) async fn events_of(api: &Api, id: &str) -> TestResult<Vec<String>> {
    let history = api.get(&format!("/v1/batches/{id}/history")).await?;
    let history = history.is(200).json()?;
    let events = history["items"].as_array().context("a list")?.iter();
    let names = events.map(|event| event["type"].as_str().unwrap_or_default().to_owned());
    Ok(names.collect())
}
