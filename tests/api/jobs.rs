//! Jobs and queues, from enqueueing to what the read side tells of them.

use serde_json::{Value, json};

use crate::support::{Api, TestResult, Up, fresh_tenant, until};

/// How long a claim waits for a job that is there.
const WAIT_MS: u64 = 60_000;

pub(crate) async fn enqueue(api: &Api, job: &Value) -> TestResult<String> {
    Ok(api.post("/v1/jobs", job).await?.is(201).receipt()?.id)
}

/// A worker asks again as long as the dispatcher has not come into office, as it does at the start.
pub(crate) async fn claim_one(api: &Api, queue: &str) -> TestResult<Value> {
    let claim = json!({"queues": [queue], "worker": "w1", "wait_ms": WAIT_MS});
    let claimed = until("the dispatcher answers", async || {
        let answer = api.post("/v1/jobs/claim", &claim).await?;
        Ok((answer.status != 503).then_some(answer))
    });
    let claimed = claimed.await?.is(200).json()?;
    assert_eq!(claimed["jobs"].as_array().map(Vec::len), Some(1));
    Ok(claimed["jobs"][0].clone())
}

/// Carries out a verb on a job, and says where its commit stands.
pub(crate) async fn act(api: &Api, id: &str, verb: &str, body: &Value) -> TestResult<u64> {
    let answer = api.post(&format!("/v1/jobs/{id}/{verb}"), body).await?;
    Ok(answer.is(200).receipt()?.position)
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item["id"].as_str()).collect()
}

#[tokio::test]
async fn a_job_is_seen_as_it_is_from_its_queue_to_its_end() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let body = json!({
        "queue": "mail", "kind": "send", "priority": "high", "payload": {"to": "ann"},
        "labels": {"site": "north"}, "parent": {"kind": "batch", "id": "b1"}, "attempts_max": 1,
    });
    let id = enqueue(&api, &body).await?;
    let job = claim_one(&api, "mail").await?;
    assert_eq!(
        (job["id"].as_str(), &job["payload"]),
        (Some(&*id), &body["payload"])
    );
    let beat = json!({"attempt": 1, "percent": 40, "message": "half"});
    let path = format!("/v1/jobs/{id}");
    let beat = api.post(&format!("{path}/heartbeat"), &beat).await?.is(200);
    assert!(beat.json()?["lease_until"].is_string());

    let position = job["position"].as_u64().unwrap_or_default();
    let running = api.get_at(&path, position + 1).await?.is(200).json()?;
    assert_eq!(
        (&running["status"], &running["worker"]),
        (&json!("running"), &json!("w1"))
    );
    assert_eq!(
        (&running["percent"], &running["payload"]),
        (&json!(40), &body["payload"])
    );
    let workers = api.get("/v1/workers").await?.is(200).json()?;
    assert_eq!(
        (
            &workers["workers"][0]["name"],
            &workers["workers"][0]["running"]
        ),
        (&json!("w1"), &json!(1))
    );

    let failed = json!({"attempt": 1, "error": "no such mailbox"});
    let position = act(&api, &id, "fail", &failed).await?;
    let query = "/v1/jobs?status=dead&priority=high&label.site=north&parent=batch:b1&count=true";
    let dead = api.get_at(query, position).await?.is(200).json()?;
    assert_eq!((ids(&dead), &dead["total"]), (vec![&*id], &json!(1)));
    let item = &dead["items"][0];
    assert_eq!(
        (&item["error"], &item["death"]),
        (&json!("no such mailbox"), &json!("attempts_used_up"))
    );
    assert!(item.get("payload").is_none(), "a list is without payloads");

    act(&api, &id, "requeue", &json!({})).await?;
    claim_one(&api, "mail").await?;
    let done = json!({"attempt": 2, "result": {"ok": true}});
    let position = act(&api, &id, "complete", &done).await?;
    let whole = api.get_at(&path, position).await?.is(200);
    assert_eq!(whole.header("etag"), Some("\"8\""));
    let whole = whole.json()?;
    assert_eq!(
        (&whole["status"], &whole["result"]),
        (&json!("completed"), &done["result"])
    );
    let history = api.get(&format!("{path}/history")).await?.is(200).json()?;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(8));
    Ok(())
}

#[tokio::test]
async fn a_queue_tells_what_it_has_and_what_was_said_of_it() -> TestResult {
    let tenant = fresh_tenant();
    let api = Up::shared().api(&tenant, "operator")?;
    let later = json!({"queue": "mail", "kind": "send", "run_after": "2099-01-01T00:00:00Z"});
    enqueue(&api, &later).await?;
    let soon = json!({"queue": "mail", "kind": "send"});
    enqueue(&api, &soon).await?;
    enqueue(&api, &soon).await?;
    let job = claim_one(&api, "mail").await?;
    let id = job["id"].as_str().unwrap_or_default();
    act(&api, id, "complete", &json!({"attempt": 1})).await?;
    let limits = json!({"running_max": 5, "rate": {"jobs": 10, "period_ms": 1000}});
    api.post("/v1/queues/mail/configure", &limits)
        .await?
        .is(200);
    let paused = json!({"reason": "the printer burns"});
    let paused = api.post("/v1/queues/mail/pause", &paused).await?.is(200);
    let position = paused.receipt()?.position;
    let queues = api.get_at("/v1/queues", position).await?.is(200).json()?;
    let queue = &queues["queues"][0];
    let expected = json!({
        "name": "mail", "ready": 1, "delayed": 1, "running": 0, "paused": true,
        "reason": "the printer burns", "limits": limits, "completed": 1, "dead": 0, "cancelled": 0,
        "oldest_waiting_at": queue["oldest_waiting_at"], "wait_ms": queue["wait_ms"],
        "run_ms": queue["run_ms"],
        "last_minute": {"enqueued": 3, "completed": 1, "failed": 0},
    });
    assert_eq!(queue, &expected);
    assert!(queue["oldest_waiting_at"].is_string() && queue["run_ms"]["p99"].is_u64());
    let claim = json!({"queues": ["mail"], "worker": "w1"});
    let claimed = api.post("/v1/jobs/claim", &claim).await?.is(200).json()?;
    assert_eq!(claimed["jobs"], json!([]));
    let other = Up::shared().api(&fresh_tenant(), "viewer")?;
    for (path, list) in [
        ("/v1/queues", "queues"),
        ("/v1/workers", "workers"),
        ("/v1/jobs", "items"),
    ] {
        let theirs = other.get_at(path, position).await?.is(200).json()?;
        assert_eq!(theirs[list], json!([]), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_of_jobs_comes_page_by_page_in_the_order_asked_for() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let mut enqueued = Vec::new();
    for priority in ["low", "critical", "normal", "high", "normal"] {
        let job = json!({"queue": "mail", "kind": "send", "priority": priority});
        enqueued.push(enqueue(&api, &job).await?);
    }
    let last = act(&api, &enqueued[0], "cancel", &json!({})).await?;
    api.get_at("/v1/jobs", last).await?.is(200);
    let by_time = api.all("/v1/jobs?sort=enqueued_at&limit=2").await?;
    let ids = |items: &[Value]| -> Vec<String> {
        let ids = items.iter().filter_map(|item| item["id"].as_str());
        ids.map(str::to_owned).collect()
    };
    assert_eq!(ids(&by_time), enqueued);
    let by_priority = api
        .all("/v1/jobs?sort=priority&status=waiting&limit=1")
        .await?;
    let priorities: Vec<_> = by_priority.iter().map(|item| &item["priority"]).collect();
    assert_eq!(priorities, ["critical", "high", "normal", "normal"]);
    let newest_first = api.all("/v1/jobs?limit=3").await?;
    let reversed: Vec<_> = enqueued.iter().rev().cloned().collect();
    assert_eq!(ids(&newest_first), reversed);
    let foreign = by_time[0]["id"].as_str().unwrap_or_default();
    let other = Up::shared().api(&fresh_tenant(), "admin")?;
    other
        .get_at(&format!("/v1/jobs/{foreign}"), last)
        .await?
        .refused(404, "not-found");
    Ok(())
}

#[tokio::test]
async fn every_job_that_fits_a_filter_is_told_the_same_after_a_look() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let mut last = 0;
    for number in 0..600 {
        let queue = if number % 2 == 0 { "mail" } else { "post" };
        let body = json!({"queue": queue, "kind": "send", "attempts_max": 1});
        last = api
            .post("/v1/jobs", &body)
            .await?
            .is(201)
            .receipt()?
            .position;
    }
    let dead = claim_one(&api, "post").await?;
    let dead = dead["id"].as_str().unwrap_or_default().to_owned();
    last = last.max(
        act(
            &api,
            &dead,
            "fail",
            &json!({"attempt": 1, "error": "no paper"}),
        )
        .await?,
    );
    let bulk = async |filter: &str, body: Value| -> TestResult<Value> {
        let path = format!("/v1/jobs/bulk?min_position={last}&{filter}");
        api.post(&path, &body).await?.is(200).json()
    };
    let told = |matched: u64, changed: u64| json!({"matched": matched, "changed": changed, "unchanged": 0});
    let look = json!({"command": "cancel", "dry_run": true});
    assert_eq!(bulk("queue=mail&status=waiting", look).await?, told(300, 0));
    let deed = json!({"command": "cancel", "reason": "not wanted"});
    assert_eq!(
        bulk("queue=mail&status=waiting", deed).await?,
        told(300, 300)
    );
    let again = json!({"command": "requeue"});
    assert_eq!(bulk("status=dead", again).await?, told(1, 1));
    let history = api
        .get(&format!("/v1/jobs/{dead}/history"))
        .await?
        .is(200)
        .json()?;
    assert_eq!(history["items"][4]["type"], "requeued");
    let cancel = json!({"command": "cancel"});
    for (path, status) in [("", 422), ("?queue=mail&colour=red", 400)] {
        let path = format!("/v1/jobs/bulk{path}");
        assert_eq!(api.post(&path, &cancel).await?.status, status, "{path}");
    }
    for body in [
        json!({"command": "explode"}),
        json!({"command": "requeue", "reason": "why"}),
    ] {
        let answer = api.post("/v1/jobs/bulk?queue=mail", &body).await?;
        assert_eq!(answer.status, 422, "{body}");
    }
    Ok(())
}
