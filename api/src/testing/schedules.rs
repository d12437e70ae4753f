//! Schedules over HTTP: what operators say of them, field by field, and what comes of it.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Service};
use crate::auth::Role;

/// A schedule at every full hour, of which nothing else is said.
pub(super) fn hourly() -> Value {
    json!({
        "name": "nightly", "job": {"queue": "report", "kind": "sum"},
        "recurrence": {"type": "cron", "line": "0 * * * *", "time_zone": "Europe/Berlin"},
    })
}

/// [`hourly`] with `value` at the JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = hourly();
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).expect("a parent")[field] = value;
    body
}

impl Service {
    async fn operate(&self, method: &str, path: &str, key: &str, body: &Value) -> Answer {
        let token = self.token("default", &[Role::Operator]);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        let request = request.body(Body::from(body.to_string()));
        self.send(request.expect("a well formed request")).await
    }

    /// Creates it and gives its path.
    async fn schedule(&self, body: &Value) -> String {
        let answer = self.operate("POST", "/v1/schedules", "create", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.header("location").to_owned()
    }
}

#[tokio::test]
async fn a_schedule_lives_by_its_commands() {
    let service = Service::new();
    let path = service.schedule(&hourly()).await;
    let again = service.schedule(&hourly()).await;
    assert_eq!(again, path, "a retry meets it");
    let tell = async |method: &str, path: &str, body: Value| {
        let answer = service.operate(method, path, path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["events"].clone()
    };
    let changed = with("/overlap", json!("skip"));
    assert_eq!(tell("PUT", &path, changed).await, json!(["changed"]));
    let (pause, resume) = (format!("{path}/pause"), format!("{path}/resume"));
    let reason = json!({"reason": "no paper"});
    assert_eq!(tell("POST", &pause, reason).await, json!(["paused"]));
    assert_eq!(tell("POST", &resume, json!({})).await, json!(["resumed"]));
    let delete = service.operate("DELETE", &path, "delete", &json!({})).await;
    assert_eq!(delete.json()["events"], json!(["deleted"]), "{delete:?}");
    let names = ["created", "changed", "paused", "resumed", "deleted"];
    assert_eq!(service.events_of(&path).await, names);
    let late = service.operate("PUT", &path, "late", &hourly()).await;
    assert_eq!(
        (late.status, late.problem()),
        (StatusCode::CONFLICT, "deleted".into())
    );
}

#[tokio::test]
async fn whoever_changes_what_others_changed_meanwhile_is_told() {
    let service = Service::new();
    let path = service.schedule(&hourly()).await;
    let changed = with("/overlap", json!("skip"));
    let mut body = changed.clone();
    body["expected_version"] = json!(1);
    let first = service.operate("PUT", &path, "first", &body).await;
    assert_eq!(
        (first.status, first.header("etag")),
        (StatusCode::OK, "\"2\"")
    );
    body["overlap"] = json!("queue");
    let second = service.operate("PUT", &path, "second", &body).await;
    assert_eq!(second.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_trigger_and_its_retry_are_answered_with_one_job() {
    let service = Service::new();
    let path = format!("{}/trigger", service.schedule(&hourly()).await);
    let trigger = async |key: &str| service.operate("POST", &path, key, &json!({})).await.json();
    let (first, retry, other) = (trigger("a").await, trigger("a").await, trigger("b").await);
    assert_eq!(first, retry);
    let jobs = first["jobs"].as_array().expect("a list");
    assert_eq!((jobs.len(), &first["events"]), (1, &json!(["fired"])));
    assert_ne!(first["jobs"], other["jobs"]);
    let member = service.post(&path, "{}").await;
    assert_eq!(member.status, StatusCode::OK, "{member:?}");
}

#[tokio::test]
async fn a_backfill_is_answered_with_its_jobs_and_refused_where_there_are_none() {
    let service = Service::new();
    let path = format!("{}/backfill", service.schedule(&hourly()).await);
    let range = |from: &str, to: &str| json!({"from": from, "to": to});
    let three = range("2026-11-01T00:00:00Z", "2026-11-01T03:00:00Z");
    let answer = service.operate("POST", &path, "three", &three).await;
    assert_eq!(answer.json()["jobs"].as_array().map(Vec::len), Some(3));
    let retry = service.operate("POST", &path, "three", &three).await;
    assert_eq!(retry.json(), answer.json());
    let none = range("2026-11-01T00:10:00Z", "2026-11-01T00:20:00Z");
    let refused = service.operate("POST", &path, "none", &none).await;
    assert_eq!(
        (refused.status, refused.problem()),
        (StatusCode::CONFLICT, "backfill-range".into())
    );
}

impl Service {
    /// Refuses each body at the pointer beside it, and records nothing.
    async fn refuses(&self, cases: &[(Value, &str)]) {
        for (body, pointer) in cases {
            let answer = self.operate("POST", "/v1/schedules", "k", body).await;
            let wrong = (422, vec![(*pointer).to_owned()]);
            assert_eq!(answer.pointers(), wrong, "{body}");
        }
        assert!(self.commits("default").await.is_empty());
    }
}

#[tokio::test]
async fn when_it_is_due_is_checked_field_by_field() {
    let every = |ms: i64| json!({"type": "every", "interval_ms": ms});
    let cases = [
        (with("/recurrence/type", json!("never")), "/recurrence/type"),
        (
            with("/recurrence/line", json!("61 * * * *")),
            "/recurrence/line",
        ),
        (
            with("/recurrence/line", json!("0 0 30 2 *")),
            "/recurrence/line",
        ),
        (
            with("/recurrence/time_zone", json!("Europe/Nowhere")),
            "/recurrence/time_zone",
        ),
        (
            with("/recurrence/at", json!("2026-12-01T00:00:00Z")),
            "/recurrence/at",
        ),
        (
            with("/recurrence", json!({"type": "cron"})),
            "/recurrence/line",
        ),
        (with("/recurrence", every(999)), "/recurrence/interval_ms"),
        (
            with("/recurrence", json!({"type": "once"})),
            "/recurrence/at",
        ),
        (
            with("/business_days", json!({"otherwise": "later"})),
            "/business_days/otherwise",
        ),
        (
            with("/business_days", json!({"weekend": ["sunday", "someday"]})),
            "/business_days/weekend/1",
        ),
        (
            with("/business_days", json!({"holidays": ["2026-02-30"]})),
            "/business_days/holidays/0",
        ),
        (
            with("/business_days", json!({"holidays": ["2026-12-25T00:00"]})),
            "/business_days/holidays/0",
        ),
    ];
    Service::new().refuses(&cases).await;
}

#[tokio::test]
async fn what_else_it_is_is_checked_field_by_field() {
    let service = Service::new();
    let mut backwards = with("/starts_at", json!("2026-12-01T00:00:00Z"));
    backwards["ends_at"] = json!("2026-12-01T00:00:00Z");
    let path = "/v1/schedules/next";
    let preview = service.operate("POST", path, "k", &backwards).await;
    assert_eq!(preview.pointers(), (422, vec!["/ends_at".to_owned()]));
    let cases = [
        (backwards, "/ends_at"),
        (with("/name", json!(" ")), "/name"),
        (with("/job/queue", json!("a.b")), "/job/queue"),
        (with("/job/attempts_max", json!(0)), "/job/attempts_max"),
        (with("/job/labels", json!({"a": " "})), "/job/labels/a"),
        (with("/jitter_ms", json!(3_600_001)), "/jitter_ms"),
        (with("/overlap", json!("both")), "/overlap"),
        (
            with("/catch_up", json!({"type": "all"})),
            "/catch_up/at_most",
        ),
        (
            with("/catch_up", json!({"type": "last", "at_most": 1})),
            "/catch_up/at_most",
        ),
        (with("/failures_max", json!(0)), "/failures_max"),
        (with("/starts_at", json!("soon")), "/starts_at"),
        (
            with("/occurred_at", json!("2026-11-21T11:00:00Z")),
            "/occurred_at",
        ),
    ];
    service.refuses(&cases).await;
}

#[tokio::test]
async fn a_preview_tells_the_next_times_in_both_zones() {
    let service = Service::new();
    let body = with("/recurrence/line", json!("30 2 * * *"));
    let path = "/v1/schedules/next?count=3&after=2026-03-27T12:00:00Z";
    let answer = service.post_as(Role::Viewer, path, &body.to_string()).await;
    let times = answer.json();
    assert_eq!(times["time_zone"], "Europe/Berlin", "{answer:?}");
    let item = |at: &str, local: &str| json!({"at": at, "local": local});
    assert_eq!(
        times["items"],
        json!([
            item("2026-03-28T01:30:00Z", "2026-03-28T02:30:00+01:00"),
            item("2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"),
            item("2026-03-30T00:30:00Z", "2026-03-30T02:30:00+02:00"),
        ])
    );
    for bad in ["count=0", "count=1001", "count=x", "after=soon", "limit=1"] {
        let path = format!("/v1/schedules/next?{bad}");
        let answer = service
            .post_as(Role::Viewer, &path, &body.to_string())
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}
