//! What the bodies of jobs may be, field by field, and what a key does.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::mail;
use crate::testing::{Answer, Service};

const ID: &str = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10";

async fn keyed(service: &Service, key: &str, path: &str, body: &Value) -> Answer {
    let mut request = service.posting(path, &body.to_string());
    let key = key.parse().expect("ASCII");
    request.headers_mut().insert("idempotency-key", key);
    service.send(request).await
}

fn with(field: &str, value: Value) -> Value {
    let mut job = json!({"queue": "mail", "kind": "send"});
    job[field] = value;
    job
}

#[tokio::test]
async fn every_field_of_a_job_that_breaks_a_rule_is_named_at_once() {
    let service = Service::new();
    let body = json!({
        "id": "7", "queue": "a.b", "kind": " ", "priority": "urgent", "run_after": "soon",
        "payload": "x".repeat(256 * 1024), "deadline": "2026-01-01", "timeout_s": 604_801,
        "attempts_max": 0, "backoff": {"type": "linear", "delay_ms": -1, "delay_ms_max": 86_400_001},
        "fairness_key": "", "capabilities": ["gpu", "a\u{7}b"], "labels": {"a/b": ""},
        "parent": {"kind": "job", "id": "*"}, "occurred_at": "2026-01-01T00:00:00Z",
        "on_behalf_of": " ",
    });
    let answer = service.post("/v1/jobs", &body.to_string()).await;
    assert_eq!(answer.problem(), "invalid");
    let expected = [
        "/attempts_max",
        "/backoff/delay_ms",
        "/backoff/delay_ms_max",
        "/backoff/type",
        "/capabilities/1",
        "/deadline",
        "/fairness_key",
        "/id",
        "/kind",
        "/labels/a~1b",
        "/occurred_at",
        "/on_behalf_of",
        "/parent/id",
        "/parent/kind",
        "/payload",
        "/priority",
        "/queue",
        "/run_after",
        "/timeout_s",
    ];
    assert_eq!(
        answer.pointers(),
        (422, expected.map(str::to_owned).to_vec())
    );
    assert!(service.commits("default").await.is_empty());
}

#[tokio::test]
async fn a_rule_holds_for_each_field_alone() {
    let service = Service::new();
    let fixed = |field: &str, value: Value| {
        let mut backoff = json!({"type": "fixed", "delay_ms": 1});
        backoff[field] = value;
        backoff
    };
    let many: Vec<_> = (0..21).map(|n| n.to_string()).collect();
    let labels: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!("x"))).collect();
    let cases = [
        (with("timeout_s", json!(0)), 422, "/timeout_s"),
        (with("timeout_s", json!(-1)), 422, "/timeout_s"),
        (
            with("timeout_s", json!(4_294_967_297_i64)),
            422,
            "/timeout_s",
        ),
        (with("attempts_max", json!(101)), 422, "/attempts_max"),
        (with("attempts_max", json!(1.5)), 400, "/attempts_max"),
        (with("capabilities", json!(many)), 422, "/capabilities"),
        (with("capabilities", json!("gpu")), 400, "/capabilities"),
        (with("labels", Value::Object(labels)), 422, "/labels"),
        (
            with("backoff", fixed("delay_ms_max", json!(1))),
            422,
            "/backoff/delay_ms_max",
        ),
        (
            with("backoff", fixed("jitter", json!(false))),
            422,
            "/backoff/jitter",
        ),
        (
            with("backoff", fixed("type", json!("exponential"))),
            422,
            "/backoff/delay_ms_max",
        ),
        (
            with("backoff", fixed("delay_ms", json!(86_400_001))),
            422,
            "/backoff/delay_ms",
        ),
        (
            with("backoff", fixed("delay_ms", json!("1"))),
            400,
            "/backoff/delay_ms",
        ),
        (
            with("backoff", fixed("delay", json!(1))),
            400,
            "/backoff/delay",
        ),
        (with("backoff", json!({"type": "fixed"})), 400, "/backoff"),
        (with("parent", json!({"kind": "run"})), 400, "/parent"),
        (with("expected_version", json!(0)), 400, "/expected_version"),
        (with("priority", json!(1)), 400, "/priority"),
        (with("worker", json!("w1")), 400, "/worker"),
        (with("kind", json!("k".repeat(201))), 422, "/kind"),
    ];
    for (body, status, pointer) in cases {
        let answer = service.post("/v1/jobs", &body.to_string()).await;
        assert_eq!(
            answer.pointers(),
            (status, vec![pointer.to_owned()]),
            "{body}"
        );
    }
    assert!(service.commits("default").await.is_empty());
}

/// A route, a body, and the status and the place of what is wrong with it.
const WRONG: &str = r#"
claim {"queues":[],"worker":"w1"} 422 /queues
claim {"queues":["mail","a b"],"worker":"w1"} 422 /queues/1
claim {"queues":null,"worker":"w1"} 400 /queues
claim {"worker":"w1"} 400 -
claim {"queues":["mail"],"worker":" "} 422 /worker
claim {"queues":["mail"],"worker":"w1","jobs_max":0} 422 /jobs_max
claim {"queues":["mail"],"worker":"w1","jobs_max":1001} 422 /jobs_max
claim {"queues":["mail"],"worker":"w1","lease_s":0} 422 /lease_s
claim {"queues":["mail"],"worker":"w1","lease_s":3601} 422 /lease_s
claim {"queues":["mail"],"worker":"w1","wait_ms":-1} 422 /wait_ms
claim {"queues":["mail"],"worker":"w1","wait_ms":60001} 422 /wait_ms
claim {"queues":["mail"],"worker":"w1","wait_ms":"1"} 400 /wait_ms
claim {"queues":["mail"],"worker":"w1","capabilities":["\n"]} 422 /capabilities/0
claim {"queues":["mail"],"worker":"w1","tenant":"other"} 400 /tenant
heartbeat {} 400 -
heartbeat {"attempt":null} 400 /attempt
heartbeat {"attempt":0} 422 /attempt
heartbeat {"attempt":1,"lease_s":0} 422 /lease_s
heartbeat {"attempt":1,"percent":101} 422 /percent
heartbeat {"attempt":1,"percent":-1} 422 /percent
heartbeat {"attempt":1,"message":"a\nb"} 422 /message
heartbeat {"attempt":1,"worker":"w1"} 400 /worker
complete {} 400 -
complete {"attempt":4294967296} 422 /attempt
complete {"attempt":1,"results":1} 400 /results
fail {"attempt":1} 400 -
fail {"attempt":1,"error":""} 422 /error
fail {"attempt":1,"error":"x","retryable":1} 400 /retryable
release {"attempt":-1} 422 /attempt
cancel {"reason":""} 422 /reason
requeue {"attempt":1} 400 /attempt
"#;

#[tokio::test]
async fn what_workers_send_is_checked_field_by_field() {
    let service = Service::new();
    let long = "x".repeat(256 * 1024);
    let long = format!("complete {{\"attempt\":1,\"result\":\"{long}\"}} 422 /result");
    let error = "x".repeat(8_001);
    let error = format!("fail {{\"attempt\":1,\"error\":\"{error}\"}} 422 /error");
    let queues = json!((0..51).map(|n| n.to_string()).collect::<Vec<_>>());
    let queues = format!("claim {{\"queues\":{queues},\"worker\":\"w1\"}} 422 /queues");
    let more = [&*long, &*error, &*queues];
    for case in WRONG.trim().lines().chain(more) {
        let (verb, rest) = case.split_once(' ').expect("a verb");
        let (body, outcome) = rest.rsplit_once("} ").expect("a body");
        let (status, place) = outcome.split_once(' ').expect("a status");
        let path = match verb {
            "claim" => "/v1/jobs/claim".to_owned(),
            _ => format!("/v1/jobs/{ID}/{verb}"),
        };
        let answer = service.post(&path, &format!("{body}}}")).await;
        let place = if place == "-" { "" } else { place };
        let expected = (status.parse().expect("a number"), vec![place.to_owned()]);
        assert_eq!(answer.pointers(), expected, "{verb} {body:.100}");
    }
}

#[tokio::test]
async fn nothing_of_a_job_happened_earlier_than_it_is_recorded() {
    let service = Service::new();
    let bodies = [
        ("complete", json!({"attempt": 1})),
        ("fail", json!({"attempt": 1, "error": "no"})),
        ("release", json!({"attempt": 1})),
        ("cancel", json!({})),
        ("requeue", json!({})),
    ];
    for (verb, mut body) in bodies {
        body["occurred_at"] = json!("2026-11-21T11:00:00Z");
        let answer = service.tell(&format!("/v1/jobs/{ID}"), verb, &body).await;
        assert_eq!(
            answer.pointers(),
            (422, vec!["/occurred_at".to_owned()]),
            "{verb}"
        );
    }
    let document: Value = serde_json::from_str(&crate::openapi()).expect("JSON");
    let schemas = &document["components"]["schemas"];
    assert!(schemas["NoteBody"]["properties"]["occurred_at"].is_object());
    for body in ["EnqueueJob", "CompleteJob", "PauseQueue"] {
        let properties = schemas[body]["properties"].as_object().expect("properties");
        assert!(properties.contains_key("on_behalf_of"), "{body}");
        assert!(!properties.contains_key("occurred_at"), "{body}");
    }
}

#[tokio::test]
async fn a_payload_is_any_json_up_to_its_limit() {
    let service = Service::new();
    let longest = format!("\"{}\"", "x".repeat(256 * 1024 - 2));
    let deep = "[".repeat(100) + &"]".repeat(100);
    for payload in [
        "true",
        "0",
        "-1.0e-3",
        "\"\"",
        "[]",
        "{\"a\":{}}",
        &deep,
        &longest,
    ] {
        let body = format!(r#"{{"queue":"mail","kind":"send","payload":{payload}}}"#);
        let answer = service.post("/v1/jobs", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let job = service.claim(1, super::WAIT_MS).await;
        let sent: Value = serde_json::from_str(payload).expect("JSON");
        assert_eq!(job[0]["payload"], sent);
    }
    let abyss = "[".repeat(100_000) + &"]".repeat(100_000);
    let abyss = format!(r#"{{"queue":"mail","kind":"send","payload":{abyss}}}"#);
    let refused = service.post("/v1/jobs", &abyss).await;
    assert_eq!(refused.pointers(), (422, vec!["/payload".to_owned()]));
    let none = r#"{"queue":"mail","kind":"send","payload":null}"#;
    assert_eq!(
        service.post("/v1/jobs", none).await.status,
        StatusCode::CREATED
    );
    assert_eq!(service.claim_one().await["payload"], Value::Null);
    for broken in ["{", "[1,]", "nul", "\"\u{1}\""] {
        let body = format!(r#"{{"queue":"mail","kind":"send","payload":{broken}}}"#);
        assert_eq!(
            service.post("/v1/jobs", &body).await.problem(),
            "malformed",
            "{broken}"
        );
    }
}

#[tokio::test]
async fn a_retry_under_its_key_meets_the_first_job() {
    let service = Service::new();
    let first = keyed(&service, "k", "/v1/jobs", &mail(3)).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let again = keyed(&service, "k", "/v1/jobs", &mail(3)).await;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::CREATED, first.json())
    );
    let other = keyed(&service, "k", "/v1/jobs", &mail(4)).await;
    assert_eq!(other.problem(), "key-reused");
    assert_eq!(service.commits("default").await.len(), 1);

    let path = first.header("location").to_owned();
    service.claim_one().await;
    let done = json!({"attempt": 1, "result": {"n": 1}});
    let complete = format!("{path}/complete");
    let completed = keyed(&service, "done", &complete, &done).await;
    let retried = keyed(&service, "done", &complete, &done).await;
    assert_eq!(
        (retried.status, retried.json()),
        (StatusCode::OK, completed.json())
    );
    let unkeyed = service.tell(&path, "complete", &done).await;
    assert_eq!(unkeyed.problem(), "ended");
}

#[tokio::test]
async fn a_second_enqueue_of_a_unique_key_is_answered_by_the_first_job() {
    let service = Service::new();
    let unique = |key: &str| with("unique", json!({"key": key, "window_s": 86_400})).to_string();
    let first = service.post("/v1/jobs", &unique("invoice-7")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let second = service.post("/v1/jobs", &unique("invoice-7")).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(second.json()["id"], first.json()["id"]);
    assert_eq!(second.json()["unchanged"], true);
    let other = service.post("/v1/jobs", &unique("invoice-8")).await;
    assert_ne!(other.json()["id"], first.json()["id"]);
    let mut both = with("unique", json!({"key": "k"}));
    both["id"] = json!(ID);
    let both = service.post("/v1/jobs", &both.to_string()).await;
    assert_eq!(both.pointers(), (422, vec!["/id".to_owned()]));
    let broken = with("unique", json!({"key": " ", "window_s": 0})).to_string();
    let broken = service.post("/v1/jobs", &broken).await;
    let pointers = ["/unique/key", "/unique/window_s"].map(str::to_owned);
    assert_eq!(broken.pointers(), (422, pointers.into()));
}

#[tokio::test]
async fn an_id_that_is_taken_is_a_conflict() {
    let service = Service::new();
    let body = with("id", json!(ID.to_uppercase()));
    let made = service.post("/v1/jobs", &body.to_string()).await;
    assert_eq!(made.json()["id"], ID);
    let taken = service.post("/v1/jobs", &body.to_string()).await;
    assert_eq!(
        (taken.status, taken.problem()),
        (StatusCode::CONFLICT, "already-enqueued".into())
    );
}

#[tokio::test]
async fn a_version_that_is_not_the_newest_is_refused() {
    let service = Service::new();
    let path = service.enqueue(&mail(3)).await;
    let refused = service
        .tell(&path, "cancel", &json!({"expected_version": 7}))
        .await;
    assert_eq!(refused.problem(), "version-mismatch");
    assert_eq!(refused.json()["version"], 1);
    let taken = service
        .tell(&path, "cancel", &json!({"expected_version": 1}))
        .await;
    assert_eq!(taken.status, StatusCode::OK);
}

#[tokio::test]
async fn a_list_takes_its_own_parameters_only() {
    let service = Service::new();
    for query in [
        "status=ready",
        "priority=1",
        "parent=run",
        "enqueued_from=now",
        "ended_to=x",
        "id=7",
        "sort=kind",
        "limit=0",
        "count=1",
        "title=x",
        "label=x",
    ] {
        let answer = service.get(&format!("/v1/jobs?{query}")).await;
        let name = query.split('=').next().unwrap_or_default().to_owned();
        assert_eq!(answer.pointers(), (400, vec![name]), "{query}");
    }
    let query = "status=dead,running&priority=high,low&parent=batch:b1&label.site=north&queue=mail\
        &enqueued_from=2026-11-21T11:00:00Z&sort=-ended_at&limit=500&count=true&worker=w1&kind=a\
        &fairness_key=x&ended_from=2026-11-21T11:00:00Z";
    // There is no read side behind this service, so whatever is well formed gets as far as that.
    for path in ["/v1/jobs?", "/v1/workers", "/v1/queues"] {
        let query = if path.ends_with('?') { query } else { "" };
        let answer = service.get(&format!("{path}{query}")).await;
        assert_eq!(answer.problem(), "unavailable", "{path}");
        assert_eq!(answer.json()["detail"], "read side is not available");
    }
    for path in [
        "/v1/workers?name=w1",
        "/v1/queues?name=mail",
        "/v1/jobs/x",
        "/v1/jobs/x/history",
    ] {
        assert_eq!(service.get(path).await.problem(), "malformed", "{path}");
    }
}
