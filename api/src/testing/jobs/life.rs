//! The life of a job, as its workers and its owners see it.

use serde_json::{Value, json};

use super::mail;
use crate::auth::Role;
use crate::testing::Service;

const UNKNOWN: &str = "/v1/jobs/0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e11";

#[tokio::test]
async fn a_job_goes_from_its_queue_through_a_worker_to_its_end() {
    let service = Service::new();
    let body = r#"{"queue":"mail","kind":"send","priority":"high","payload":{ "to" : "ann", "n":1e2 },
        "timeout_s":60,"fairness_key":"ann","labels":{"site":"north"},
        "parent":{"kind":"batch","id":"b1"},"deadline":"2026-11-22T12:00:00Z"}"#;
    let made = service.post("/v1/jobs", body).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    assert_eq!(made.json()["events"], json!(["enqueued"]));
    let path = made.header("location").to_owned();

    let job = service.claim_one().await;
    assert_eq!(
        path,
        format!("/v1/jobs/{}", job["id"].as_str().expect("an id"))
    );
    let expected = json!({
        "id": job["id"], "attempt": 1, "queue": "mail", "kind": "send", "priority": "high",
        "payload": {"to": "ann", "n": 1e2}, "labels": {"site": "north"}, "fairness_key": "ann",
        "parent": {"kind": "batch", "id": "b1"}, "deadline": "2026-11-22T12:00:00Z",
        "timeout_s": 60, "lease_until": "2026-11-21T12:00:30Z", "position": 2,
    });
    assert_eq!(job, expected);

    let beat = json!({"attempt": 1, "percent": 40, "message": "page 4 of 10", "lease_s": 90});
    let beat = service.tell(&path, "heartbeat", &beat).await;
    assert_eq!(beat.json(), json!({"lease_until": "2026-11-21T12:01:30Z"}));
    let done = json!({"attempt": 1, "result": [null, "sent"]});
    let done = service.tell(&path, "complete", &done).await;
    assert_eq!(done.status.as_u16(), 200, "{done:?}");
    assert_eq!(done.json()["events"], json!(["completed"]));
    assert_eq!(done.header("etag"), "\"4\"");

    let history = service.get(&format!("{path}/history")).await;
    assert_eq!(history.header("ledgerline-position"), "4");
    let text = String::from_utf8(history.body.to_vec()).expect("UTF-8");
    assert!(
        text.contains(r#""payload":{ "to" : "ann", "n":1e2 }"#),
        "{text}"
    );
    let history = history.json();
    let second = &history["items"][1];
    assert_eq!(second["type"], "started");
    assert_eq!(second["data"], json!({"attempt": 1, "worker": "w1"}));
    assert_eq!(
        (&second["principal"], &second["version"]),
        (&json!("ada"), &json!(2))
    );
    let events = ["enqueued", "started", "progressed", "completed"];
    assert_eq!(service.events_of(&path).await, events);
}

#[tokio::test]
async fn the_answer_with_a_payload_has_it_as_it_was_written() {
    let service = Service::new();
    let written = r#"{ "b":1.50, "a":"\u00fc", "b":2 }"#;
    let body = format!(r#"{{"queue":"mail","kind":"send","payload":{written}}}"#);
    service.post("/v1/jobs", &body).await;
    let claim = r#"{"queues":["mail"],"worker":"w1","wait_ms":60000}"#;
    let claimed = service.post("/v1/jobs/claim", claim).await;
    assert_eq!(claimed.header("ledgerline-position"), "2");
    let text = String::from_utf8(claimed.body.to_vec()).expect("UTF-8");
    assert!(text.contains(&format!(r#""payload":{written}"#)), "{text}");
}

#[tokio::test]
async fn a_failed_job_is_handed_out_again_and_its_late_worker_is_told_which_attempt_runs() {
    let service = Service::new();
    let path = service.enqueue(&mail(3)).await;
    service.claim_one().await;
    let failed = json!({"attempt": 1, "error": "no such mailbox"});
    let failed = service.tell(&path, "fail", &failed).await;
    assert_eq!(failed.json()["events"], json!(["failed", "retried"]));
    assert_eq!(service.claim_one().await["attempt"], 2);
    let late = [
        ("complete", json!({"attempt": 1, "result": 1})),
        ("fail", json!({"attempt": 1, "error": "again"})),
        ("release", json!({"attempt": 1})),
        ("heartbeat", json!({"attempt": 1})),
        ("heartbeat", json!({"attempt": 1, "percent": 50})),
    ];
    for (verb, body) in late {
        let refused = service.tell(&path, verb, &body).await;
        assert_eq!(refused.status.as_u16(), 409, "{verb}");
        assert_eq!(refused.problem(), "stale-attempt", "{verb}");
        let detail = "attempt `1` does not run, `2` does";
        assert_eq!(refused.json()["detail"], detail, "{verb}");
    }
    let done = service
        .tell(&path, "complete", &json!({"attempt": 2}))
        .await;
    assert_eq!(done.status.as_u16(), 200);
}

#[tokio::test]
async fn a_job_that_is_given_back_is_handed_out_again_and_has_not_failed() {
    let service = Service::new();
    let path = service.enqueue(&mail(1)).await;
    service.claim_one().await;
    let released = service.tell(&path, "release", &json!({"attempt": 1})).await;
    assert_eq!(released.json()["events"], json!(["released"]));
    let idle = service
        .tell(&path, "heartbeat", &json!({"attempt": 1}))
        .await;
    assert_eq!(idle.problem(), "not-running");
    assert_eq!(service.claim_one().await["attempt"], 2);
}

#[tokio::test]
async fn a_job_that_was_cancelled_while_it_ran_cannot_be_completed() {
    let service = Service::new();
    let path = service.enqueue(&mail(3)).await;
    service.claim_one().await;
    let cancelled = service
        .tell(&path, "cancel", &json!({"reason": "a mistake"}))
        .await;
    assert_eq!(cancelled.json()["events"], json!(["cancelled"]));
    for (verb, body) in [
        ("complete", json!({"attempt": 1})),
        ("heartbeat", json!({"attempt": 1})),
        ("heartbeat", json!({"attempt": 1, "message": "still here"})),
    ] {
        let refused = service.tell(&path, verb, &body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.problem()),
            (409, "ended".into())
        );
    }
    let again = service.post(&format!("{path}/cancel"), "").await;
    assert_eq!(again.json()["unchanged"], true);
}

#[tokio::test]
async fn a_dead_job_is_put_back_and_no_other_is() {
    let service = Service::new();
    let path = service.enqueue(&mail(1)).await;
    let waiting = service.tell(&path, "requeue", &json!({})).await;
    assert_eq!(
        (waiting.status.as_u16(), waiting.problem()),
        (409, "not-dead".into())
    );
    service.claim_one().await;
    let failed = json!({"attempt": 1, "error": "no", "retryable": true});
    let failed = service.tell(&path, "fail", &failed).await;
    assert_eq!(failed.json()["events"], json!(["failed", "dead_lettered"]));
    let put_back = service.tell(&path, "requeue", &json!({})).await;
    assert_eq!(put_back.json()["events"], json!(["requeued"]));
    assert_eq!(service.claim_one().await["attempt"], 2);
    let hopeless = json!({"attempt": 2, "error": "no", "retryable": false});
    let hopeless = service.tell(&path, "fail", &hopeless).await;
    assert_eq!(
        hopeless.json()["events"],
        json!(["failed", "dead_lettered"])
    );
    let history = service.get(&format!("{path}/history")).await.json();
    let requeued = history["items"].as_array().expect("a list").iter();
    let requeued = requeued.filter(|event| event["type"] == "requeued");
    assert!(requeued.map(|event| &event["data"]).all(Value::is_null));
}

#[tokio::test]
async fn a_worker_that_is_not_heard_of_loses_its_job() {
    let service = Service::new();
    let path = service.enqueue(&mail(3)).await;
    service.claim_one().await;
    service.clock.set("2026-11-21T12:00:31Z");
    assert_eq!(service.claim_one().await["attempt"], 2);
    let late = service
        .tell(&path, "complete", &json!({"attempt": 1}))
        .await;
    assert_eq!(late.problem(), "stale-attempt");
    let events = ["enqueued", "started", "timed_out", "retried", "started"];
    assert_eq!(service.events_of(&path).await, events);
}

#[tokio::test]
async fn a_job_for_later_is_handed_out_when_its_time_has_come() {
    let service = Service::new();
    let mut job = mail(3);
    job["run_after"] = json!("2026-11-21T12:10:00Z");
    service.enqueue(&job).await;
    assert_eq!(service.claim(1, 0).await, Vec::<Value>::new());
    service.clock.set("2026-11-21T12:10:00Z");
    service.claim_one().await;
}

#[tokio::test]
async fn a_job_that_nobody_enqueued_is_not_found_by_any_route() {
    let service = Service::new();
    let path = service.enqueue(&mail(3)).await;
    service.claim_one().await;
    let attempt = json!({"attempt": 1});
    let progress = json!({"attempt": 1, "percent": 1});
    let failed = json!({"attempt": 1, "error": "no"});
    let bodies = [
        ("complete", &attempt),
        ("fail", &failed),
        ("release", &attempt),
        ("cancel", &json!({})),
        ("requeue", &json!({})),
        ("heartbeat", &attempt),
        ("heartbeat", &progress),
    ];
    for (verb, body) in bodies {
        let answer = service.tell(UNKNOWN, verb, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem()),
            (404, "not-found".into()),
            "{verb}"
        );
        let mut foreign = service.posting(&format!("{path}/{verb}"), &body.to_string());
        let token = format!("Bearer {}", service.token("other", &Role::ALL));
        let headers = foreign.headers_mut();
        headers.insert("authorization", token.parse().expect("ASCII"));
        assert_eq!(service.send(foreign).await.problem(), "not-found", "{verb}");
    }
    let history = service.get(&format!("{UNKNOWN}/history")).await;
    assert_eq!(history.problem(), "not-found");
    assert_eq!(service.commits("default").await.len(), 2);
    assert!(service.commits("other").await.is_empty());
}

#[tokio::test]
async fn a_history_comes_page_by_page() {
    let service = Service::new();
    let path = service.enqueue(&mail(2)).await;
    service.claim_one().await;
    service
        .tell(&path, "fail", &json!({"attempt": 1, "error": "no"}))
        .await;
    service.claim_one().await;
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = service
            .get(&format!("{path}/history?limit=3{cursor}"))
            .await
            .json();
        let events = page["items"].as_array().expect("a list").iter();
        pages.push(
            events
                .map(|event| event["version"].as_u64())
                .collect::<Vec<_>>(),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(
        pages,
        [vec![Some(1), Some(2), Some(3)], vec![Some(4), Some(5)]]
    );
    for (query, status) in [
        ("cursor=x", 422),
        ("cursor=1.0", 422),
        ("limit=0", 400),
        ("limit=501", 400),
        ("after=1", 400),
    ] {
        let answer = service.get(&format!("{path}/history?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
    }
}
