//! Schedules, from their creation to what the read side tells of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::{Api, TestResult, Up, fresh_tenant, until};

/// A schedule that is not due for long, with `more` as its further fields.
fn yearly(name: &str, more: &Value) -> Value {
    let mut body = json!({
        "name": name, "job": {"queue": "report", "kind": "sum", "payload": {"of": "year"}},
        "recurrence": {"type": "cron", "line": "0 7 1 1 *", "time_zone": "Europe/Berlin"},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    body
}

async fn create(api: &Api, body: &Value) -> TestResult<(String, u64)> {
    let receipt = api.post("/v1/schedules", body).await?.is(201).receipt()?;
    Ok((format!("/v1/schedules/{}", receipt.id), receipt.position))
}

#[tokio::test]
async fn a_schedule_is_seen_as_it_is_until_its_end() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "operator")?;
    let (path, position) = create(&api, &yearly("report", &json!({"overlap": "skip"}))).await?;
    let seen = api.get_at(&path, position).await?.is(200);
    let tag = seen.header("etag").unwrap_or_default().to_owned();
    let row = seen.json()?;
    assert_eq!((&row["status"], tag.as_str()), (&json!("active"), "\"1\""));
    assert_eq!(row["job"]["payload"], json!({"of": "year"}));
    assert!(
        row["next_at"]
            .as_str()
            .is_some_and(|at| at.ends_with("-01-01T06:00:00Z"))
    );
    let pause = api
        .post(&format!("{path}/pause"), &json!({"reason": "x"}))
        .await?;
    let position = pause.is(200).receipt()?.position;
    let row = api.get_at(&path, position).await?.is(200).json()?;
    assert_eq!(row["pause"], json!({"cause": "asked", "reason": "x"}));
    assert_eq!(row["next_at"], Value::Null);
    let next = api
        .get(&format!("{path}/next?count=2"))
        .await?
        .is(200)
        .json()?;
    assert_eq!(next["items"].as_array().map(Vec::len), Some(2));
    let delete = Answer::read(api.call(Method::DELETE, &path).send().await?).await?;
    let position = delete.is(200).receipt()?.position;
    let row = api.get_at(&path, position).await?.is(200).json()?;
    assert_eq!(row["status"], "deleted");
    let next = api.get(&format!("{path}/next")).await?.is(200).json()?;
    assert_eq!(next["items"], json!([]));
    let list = api
        .get("/v1/schedules?status=deleted&count=true&name=report")
        .await?;
    let list = list.is(200).json()?;
    assert_eq!(list["total"], 1);
    assert_eq!(list["items"][0]["job"].get("payload"), None);
    Ok(())
}

#[tokio::test]
async fn what_it_fires_is_enqueued_and_the_end_of_it_is_told() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "operator")?;
    let every = json!({"recurrence": {"type": "every", "interval_ms": 1_000}, "overlap": "skip",
        "compare_previous": true});
    let (path, _) = create(&api, &yearly("often", &every)).await?;
    let id = path.rsplit('/').next().unwrap_or_default().to_owned();
    let claim = json!({"queues": ["report"], "worker": "w1", "wait_ms": 60_000});
    let job = until("a job of the schedule is handed out", async || {
        let answer = api.post("/v1/jobs/claim", &claim).await?;
        let answer = if answer.status == 503 {
            json!({})
        } else {
            answer.is(200).json()?
        };
        Ok(answer["jobs"].get(0).cloned())
    })
    .await?;
    let done = json!({"attempt": 1, "result": {"rows": 6}});
    let job_path = format!("/v1/jobs/{}", job["id"].as_str().unwrap_or_default());
    let done = api
        .post(&format!("{job_path}/complete"), &done)
        .await?
        .is(200)
        .receipt()?;
    let row = api.get_at(&job_path, done.position).await?.is(200).json()?;
    assert_eq!(row["parent"], json!({"kind": "schedule", "id": id}));
    let row = until("the schedule knows of its end", async || {
        let row = api.get(&path).await?.is(200).json()?;
        Ok((row["succeeded"] == 1).then_some(row))
    })
    .await?;
    assert_eq!(row["last_run"]["outcome"], "succeeded");
    Answer::read(api.call(Method::DELETE, &path).send().await?)
        .await?
        .is(200);
    let history = api
        .get(&format!("{path}/history?limit=500"))
        .await?
        .is(200)
        .json()?;
    let events = history["items"].as_array().cloned().unwrap_or_default();
    let ended = events.iter().find(|event| event["type"] == "run_ended");
    let changes = ended.map(|event| &event["data"]["changes"]);
    let whole = json!([{"op": "replace", "path": "", "value": {"rows": 6}}]);
    assert_eq!(changes, Some(&whole));
    Ok(())
}
