//! Batches of jobs, from their opening to what follows their end.

use std::fs;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::batches::{completed, events_of, follow_up, open, work_off};
use crate::support::program::text;
use crate::support::{Api, TestResult, Up, fresh_id, fresh_tenant};

const JOBS: usize = 1_000;

/// So many jobs of `queue`, every tenth of which fails.
fn batch(queue: &str, jobs: usize) -> Value {
    let jobs: Vec<_> = (0..jobs)
        .map(|number| json!({"payload": {"fails": number % 10 == 0}}))
        .collect();
    json!({"defaults": {"queue": queue, "kind": "send"}, "jobs": jobs})
}

async fn tell(api: &Api, id: &str, verb: &str, body: &Value) -> TestResult<Value> {
    let path = format!("/v1/batches/{id}/{verb}");
    api.post(&path, body).await?.is(200).json()
}

#[tokio::test]
async fn a_batch_of_a_thousand_completes_once_with_its_counts_and_its_follow_up() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let mut body = batch("mail", JOBS);
    body["name"] = json!("invoices of May");
    body["labels"] = json!({"month": "may"});
    body["on_complete"] = json!({"queue": "reports", "kind": "summary", "priority": "high"});
    let (id, position) = open(&api, &body).await?;
    let path = format!("/v1/batches/{id}");
    let before = api.get_at(&path, position).await?.is(200);
    assert_eq!(before.header("etag"), Some("\"1\""));
    let before = before.json()?;
    assert_eq!(before["status"], "closed");
    assert_eq!(
        (
            &before["progress"]["waiting"],
            &before["progress"]["percent"]
        ),
        (&json!(JOBS), &json!(0))
    );

    work_off(&api, "mail", JOBS).await?;
    let batch = completed(&api, &id).await?;
    let counts = json!({"succeeded": 900, "dead": 100, "cancelled": 0});
    assert_eq!(batch["completed"], counts);
    assert_eq!(batch["progress"]["percent"], 100);
    let job = follow_up(&api, &id).await?;
    assert_eq!(
        job["payload"],
        json!({"batch": id, "succeeded": 900, "dead": 100, "cancelled": 0})
    );
    assert_eq!(
        (&job["queue"], &job["priority"], &job["parent"]),
        (&json!("reports"), &json!("high"), &Value::Null)
    );
    assert_eq!(job["principal"], "reactor");
    assert_eq!(events_of(&api, &id).await?, ["opened", "completed"]);

    let listed = "/v1/batches?status=completed&label.month=may&name=invoices%20of%20May&count=true";
    let listed = api.get(listed).await?.is(200).json()?;
    assert_eq!(
        (&listed["total"], &listed["items"][0]["id"]),
        (&json!(1), &json!(id))
    );

    // The dead ones try again, and what is said of the batch stays.
    let told = tell(&api, &id, "retry", &json!({})).await?;
    assert_eq!(
        told,
        json!({"matched": 100, "changed": 100, "unchanged": 0})
    );
    let told = tell(&api, &id, "cancel", &json!({"reason": "enough"})).await?;
    assert_eq!(
        told,
        json!({"matched": 100, "changed": 100, "unchanged": 0})
    );
    let position = api.get("/v1/positions").await?.json()?["journal"].as_u64();
    let batch = api.get_at(&path, position.context("a position")?).await?;
    let batch = batch.is(200).json()?;
    assert_eq!(batch["progress"]["cancelled"], 100);
    assert_eq!(batch["completed"], counts);
    assert_eq!(events_of(&api, &id).await?, ["opened", "completed"]);
    Ok(())
}

#[tokio::test]
async fn a_batch_whose_jobs_come_later_completes_when_it_is_closed_and_they_have_ended()
-> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let (id, _) = open(&api, &json!({})).await?;
    let job = json!({"queue": "late", "kind": "send", "parent": {"kind": "batch", "id": id}});
    let lines: Vec<_> = (0..3)
        .map(|_| json!({"command": "job.enqueue", "data": job}).to_string())
        .collect();
    for answer in api.batch(lines.join("\n")).await? {
        assert_eq!(answer["status"], 201);
    }
    tell(&api, &id, "close", &json!({"jobs": 4})).await?;
    work_off(&api, "late", 3).await?;
    api.post("/v1/jobs", &job).await?.is(201);
    work_off(&api, "late", 1).await?;
    let batch = completed(&api, &id).await?;
    assert_eq!(batch["completed"]["succeeded"], 4);

    let (empty, _) = open(&api, &json!({"jobs": []})).await?;
    completed(&api, &empty).await?;
    let (cancelled, _) = open(&api, &batch_of_two()).await?;
    tell(&api, &cancelled, "cancel", &json!({})).await?;
    let batch = completed(&api, &cancelled).await?;
    assert_eq!(batch["completed"]["cancelled"], 2);
    Ok(())
}

fn batch_of_two() -> Value {
    batch("never", 2)
}

#[tokio::test]
async fn a_batch_of_another_tenant_is_none() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let (id, _) = open(&api, &batch("mail", 1)).await?;
    let other = Up::shared().api(&fresh_tenant(), "admin")?;
    let path = format!("/v1/batches/{id}");
    other.get(&path).await?.refused(404, "not-found");
    for verb in ["cancel", "retry"] {
        let told = other.post(&format!("{path}/{verb}"), &json!({})).await?;
        told.refused(404, "not-found");
    }
    let unknown = format!("/v1/batches/{}/cancel", fresh_id());
    api.post(&unknown, &json!({}))
        .await?
        .refused(404, "not-found");
    Ok(())
}

#[tokio::test]
async fn the_command_line_submits_watches_and_cancels_batches() -> TestResult {
    let up = Up::shared();
    let file = up.folder().path().join("jobs.ndjson");
    let jobs: Vec<_> = (0..25)
        .map(|number| json!({"payload": {"number": number}}).to_string())
        .collect();
    fs::write(&file, jobs.join("\n"))?;
    let file = file.to_str().context("a path in UTF-8")?;
    let submit = |more: &[&str]| {
        let mut line = vec!["batch", "submit", file, "--kind", "send", "-o", "json"];
        line.extend(more);
        up.run(&line)
    };
    let submitted = submit(&["--queue", "cli-batch", "--name", "by hand"])?;
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let submitted: Value = serde_json::from_slice(&submitted.stdout)?;
    assert_eq!(submitted["jobs"], 25);
    let id = submitted["id"].as_str().context("an id")?;

    // The admin's token is of tenant `default`.
    let api = up.api("default", "member")?;
    work_off(&api, "cli-batch", 25).await?;
    let watched = up.run(&["batch", "watch", id])?;
    let said = text(&watched.stdout);
    assert!(
        said.trim().ends_with("succeeded 25  dead 0  cancelled 0"),
        "{said}"
    );
    let shown = text(&up.run(&["batch", "show", id])?.stdout);
    assert!(shown.contains("by hand"), "{shown}");

    // Lines without a queue are refused, and the batch goes on under its key.
    let refused = submit(&["--key", "try"])?;
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    let mended = submit(&["--key", "try", "--queue", "cli-mended"])?;
    assert!(mended.status.success(), "{}", text(&mended.stderr));
    let mended: Value = serde_json::from_slice(&mended.stdout)?;
    let id = mended["id"].as_str().context("an id")?;
    let cancelled = up.run(&["batch", "cancel", id, "--reason", "enough", "-o", "json"])?;
    let cancelled: Value = serde_json::from_slice(&cancelled.stdout)?;
    assert_eq!(cancelled["changed"], 25);
    completed(&api, id).await?;
    Ok(())
}
