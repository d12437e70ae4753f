//! Queues over HTTP: what operators say of them, and what comes of it.

use ::commands::dispatch::{Depth, Dispatch as _};
use axum::http::StatusCode;
use domain::Tenant;
use serde_json::{Value, json};

use super::jobs::mail;
use super::{Answer, Service};
use crate::auth::Role;

impl Service {
    async fn say(&self, verb: &str, body: &Value) -> Answer {
        let path = format!("/v1/queues/mail/{verb}");
        self.post_as(Role::Operator, &path, &body.to_string()).await
    }

    /// Waits until the dispatcher sees the queue `mail` so.
    async fn until(&self, is_so: impl Fn(&Depth) -> bool) {
        let tenant = Tenant::new("default").expect("a tenant");
        loop {
            let depths = self.dispatcher.depths(&tenant).await.expect("in office");
            if depths
                .iter()
                .any(|(name, depth)| name.as_str() == "mail" && is_so(depth))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_paused_queue_hands_out_nothing_until_it_is_resumed() {
    let service = Service::new();
    let paused = service
        .say("pause", &json!({"reason": "the printer burns"}))
        .await;
    assert_eq!(paused.status, StatusCode::OK, "{paused:?}");
    let receipt = paused.json();
    assert_eq!(
        (&receipt["id"], &receipt["events"]),
        (&json!("mail"), &json!(["paused"]))
    );
    assert!(paused.headers.get("location").is_none());
    service.enqueue(&mail(3)).await;
    service
        .until(|depth| depth.is_paused && depth.ready == 1)
        .await;
    assert_eq!(service.claim(1, 0).await, Vec::<Value>::new());
    let again = service.say("pause", &json!({})).await;
    assert_eq!(again.json()["unchanged"], true);
    let resume = async { service.say("resume", &json!({})).await };
    let (_, resumed) = tokio::join!(service.claim_one(), resume);
    assert_eq!(resumed.json()["events"], json!(["resumed"]));
}

#[tokio::test]
async fn no_more_jobs_run_than_the_limit() {
    let service = Service::new();
    let limits = json!({"running_max": 2});
    let configured = service.say("configure", &limits).await;
    assert_eq!(configured.json()["events"], json!(["configured"]));
    for _ in 0..3 {
        service.enqueue(&mail(3)).await;
    }
    service.until(|depth| depth.ready == 3).await;
    let running = service.claim(3, super::jobs::WAIT_MS).await;
    assert_eq!(running.len(), 2);
    assert_eq!(service.claim(3, 0).await, Vec::<Value>::new());
    let path = format!("/v1/jobs/{}", running[0]["id"].as_str().expect("an id"));
    service
        .tell(&path, "complete", &json!({"attempt": 1}))
        .await;
    service.claim_one().await;
}

#[tokio::test]
async fn what_operators_send_is_checked_field_by_field() {
    let service = Service::new();
    let cases = [
        ("configure", json!({"running_max": 0}), 422, "/running_max"),
        (
            "configure",
            json!({"running_max": 1_000_001}),
            422,
            "/running_max",
        ),
        (
            "configure",
            json!({"running_per_key_max": -1}),
            422,
            "/running_per_key_max",
        ),
        (
            "configure",
            json!({"rate": {"jobs": 0, "period_ms": 1}}),
            422,
            "/rate/jobs",
        ),
        (
            "configure",
            json!({"rate": {"jobs": 1, "period_ms": 0}}),
            422,
            "/rate/period_ms",
        ),
        ("configure", json!({"rate": {"jobs": 1}}), 400, "/rate"),
        (
            "configure",
            json!({"rate": {"jobs": 1, "per_s": 1}}),
            400,
            "/rate/per_s",
        ),
        ("configure", json!({"running": 1}), 400, "/running"),
        (
            "configure",
            json!({"occurred_at": "2026-11-21T11:00:00Z"}),
            422,
            "/occurred_at",
        ),
        ("pause", json!({"reason": " "}), 422, "/reason"),
        ("pause", json!({"occurred_at": "x"}), 422, "/occurred_at"),
        ("resume", json!({"reason": "x"}), 400, "/reason"),
        ("resume", json!({"occurred_at": "x"}), 422, "/occurred_at"),
    ];
    for (verb, body, status, pointer) in cases {
        let answer = service.say(verb, &body).await;
        assert_eq!(
            answer.pointers(),
            (status, vec![pointer.to_owned()]),
            "{verb} {body}"
        );
    }
    let long = "x".repeat(65);
    for name in ["*", "a.b", "a%20b", "%3E", &long] {
        let path = format!("/v1/queues/{name}/pause");
        let answer = service.post_as(Role::Operator, &path, "{}").await;
        assert_eq!(answer.pointers(), (400, vec!["name".to_owned()]), "{name}");
    }
    assert!(service.commits("default").await.is_empty());
}
