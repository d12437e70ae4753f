//! Commands over HTTP: receipts, keys, versions, fields, ids.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::{FAN, Service};
use crate::auth::Role;

fn with(mut request: Request<Body>, headers: &[(&'static str, &str)]) -> Request<Body> {
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, value.parse().expect("a header value"));
    }
    request
}

#[tokio::test]
async fn a_request_is_answered_with_its_receipt() {
    let service = Service::new();
    let made = service.post("/v1/assignments", FAN).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let receipt = made.json();
    assert_eq!(receipt["events"], json!(["requested"]));
    assert_eq!(receipt["version"], 1);
    assert_eq!(receipt["unchanged"], false);
    let id = receipt["id"].as_str().expect("an id");
    assert_eq!(made.header("location"), format!("/v1/assignments/{id}"));
    assert_eq!(made.header("etag"), "\"1\"");
    assert_eq!(made.header("ledgerline-position"), "1");
    assert_eq!(made.header("cache-control"), "no-store");

    let path = format!("/v1/assignments/{id}");
    let started = service.post(&format!("{path}/start"), "").await;
    assert_eq!(started.status, StatusCode::OK, "{started:?}");
    assert_eq!(started.json()["events"], json!(["assigned", "started"]));

    let as_it_is = service.get(&format!("{path}?position=2")).await.json();
    assert_eq!(as_it_is["assignee"], "ada");
    assert_eq!(as_it_is["status"], "in_progress");
    let as_it_was = service.get(&format!("{path}?position=1")).await;
    assert_eq!(as_it_was.json()["status"], "queued");
    assert_eq!(as_it_was.header("etag"), "\"1\"");
}

#[tokio::test]
async fn a_receipt_is_the_write_sides_own() {
    use commands::Receipt;
    use domain::{CommandId, Position};
    let receipt = Receipt {
        id: "i".to_owned(),
        version: 3,
        position: Position(9),
        command: CommandId(uuid::Uuid::nil()),
        events: vec!["noted".to_owned()],
        unchanged: false,
    };
    let ours = crate::command::ReceiptBody::from(receipt.clone());
    let theirs = serde_json::to_value(&receipt).expect("plain");
    assert_eq!(serde_json::to_value(ours).expect("plain"), theirs);
}

#[tokio::test]
async fn a_retry_under_its_key_meets_the_first_try() {
    let service = Service::new();
    let key = [("idempotency-key", "k-1")];
    let first = service
        .send(with(service.posting("/v1/assignments", FAN), &key))
        .await;
    let again = service
        .send(with(service.posting("/v1/assignments", FAN), &key))
        .await;
    assert_eq!(first.json(), again.json());
    let spaced = r#"{ "kind":"incident", "group":"network", "title":"Fan", "labels":null }"#;
    let spaced = service
        .send(with(service.posting("/v1/assignments", spaced), &key))
        .await;
    assert_eq!(first.json(), spaced.json());
    let other = FAN.replace("Fan", "Door");
    let other = service
        .send(with(service.posting("/v1/assignments", &other), &key))
        .await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.problem(), "key-reused");
}

#[tokio::test]
async fn a_key_is_one_value_of_visible_ascii() {
    let service = Service::new();
    let longest = "k".repeat(200);
    let taken = with(
        service.posting("/v1/assignments", FAN),
        &[("idempotency-key", &longest)],
    );
    assert_eq!(service.send(taken).await.status, StatusCode::CREATED);
    for bad in ["", "a b", &"k".repeat(201), "ü"] {
        let request = with(
            service.posting("/v1/assignments", FAN),
            &[("idempotency-key", bad)],
        );
        let answer = service.send(request).await;
        assert_eq!(
            (answer.status, answer.problem()),
            (StatusCode::BAD_REQUEST, "malformed".into())
        );
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let twice = service
        .send(with(service.posting("/v1/assignments", FAN), &twice))
        .await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_key_of_one_principal_is_not_anothers() {
    let service = Service::new();
    let key = [("idempotency-key", "k")];
    let mine = service
        .send(with(service.posting("/v1/assignments", FAN), &key))
        .await;
    let mut request = with(service.posting("/v1/assignments", FAN), &key);
    let other = service.token("other", &[Role::Member]);
    request.headers_mut().insert(
        "authorization",
        format!("Bearer {other}").parse().expect("ASCII"),
    );
    let theirs = service.send(request).await;
    assert_eq!(theirs.status, StatusCode::CREATED);
    assert_ne!(mine.json()["command"], theirs.json()["command"]);
}

#[tokio::test]
async fn a_version_that_is_not_the_newest_is_refused() {
    let service = Service::new();
    let made = service.post("/v1/assignments", FAN).await;
    let note = format!("{}/note", made.header("location"));
    let old = with(
        service.posting(&note, r#"{"text":"x"}"#),
        &[("if-match", "\"7\"")],
    );
    let refused = service.send(old).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(refused.json()["version"], 1);
    let body = r#"{"text":"x","expected_version":1}"#;
    let differing = with(service.posting(&note, body), &[("if-match", "\"2\"")]);
    assert_eq!(service.send(differing).await.problem(), "malformed");
    let agreeing = with(service.posting(&note, body), &[("if-match", "\"1\"")]);
    assert_eq!(service.send(agreeing).await.status, StatusCode::OK);
    for bad in ["1", "\"x\"", "\"1", "W/\"1\"", "\"1\", \"2\""] {
        let request = with(
            service.posting(&note, r#"{"text":"x"}"#),
            &[("if-match", bad)],
        );
        assert_eq!(
            service.send(request).await.status,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn every_field_that_breaks_a_rule_is_named_at_once() {
    let service = Service::new();
    let body = json!({
        "title": " ", "kind": "a\u{7}b", "group": "x".repeat(201), "priority": 9,
        "labels": {"a/b": ""}, "effort_minutes": -1, "occurred_at": "yesterday",
        "window": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "id": "7",
    });
    let answer = service.post("/v1/assignments", &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.problem(), "invalid");
    let problem = answer.json();
    let errors = problem["errors"].as_array().expect("a list");
    let mut pointers: Vec<_> = errors
        .iter()
        .filter_map(|e| e["pointer"].as_str())
        .collect();
    pointers.sort_unstable();
    let expected = [
        "/effort_minutes",
        "/group",
        "/id",
        "/kind",
        "/labels/a~1b",
        "/occurred_at",
        "/priority",
        "/title",
        "/window",
    ];
    assert_eq!(pointers, expected);
}

#[tokio::test]
async fn what_is_malformed_is_named_by_its_place() {
    let service = Service::new();
    let place = async |body: &str| {
        let answer = service.post("/v1/assignments", body).await;
        assert_eq!(
            (answer.status, answer.problem()),
            (StatusCode::BAD_REQUEST, "malformed".into())
        );
        answer.json()["errors"][0]["pointer"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(place(r#"{"title":7}"#).await.as_deref(), Some("/title"));
    let window = r#"{"title":"a","kind":"b","group":"c","window":{"start":1}}"#;
    assert_eq!(place(window).await.as_deref(), Some("/window/start"));
    for bad in [
        "{",
        "[]",
        "null",
        "\"",
        "{}",
        "\u{0}",
        r#"{"title":"a","titel":"b"}"#,
    ] {
        place(bad).await;
    }
}

#[tokio::test]
async fn nobody_is_named_by_a_body_as_the_one_who_did_it() {
    let service = Service::new();
    for field in ["actor", "principal", "tenant", "sub", "roles"] {
        let body = FAN.replace('{', &format!(r#"{{"{field}":"eve","#));
        let answer = service.post("/v1/assignments", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}");
    }
    let body = FAN.replace('{', r#"{"on_behalf_of":"eve","#);
    let member = service.post("/v1/assignments", &body).await;
    assert_eq!(member.problem(), "forbidden");
    let mut request = service.posting("/v1/assignments", &body);
    let operator = format!("Bearer {}", service.token("default", &[Role::Operator]));
    request
        .headers_mut()
        .insert("authorization", operator.parse().expect("ASCII"));
    assert_eq!(service.send(request).await.status, StatusCode::CREATED);
    let commits = service.commits("default").await;
    let actor = &commits.last().expect("a commit").payload.actor;
    assert_eq!(actor.principal.as_str(), "ada");
    assert_eq!(
        actor.on_behalf_of.as_ref().map(domain::Name::as_str),
        Some("eve")
    );
}

#[tokio::test]
async fn an_id_with_a_meaning_elsewhere_is_refused() {
    let service = Service::new();
    let long = "x".repeat(10_000);
    let ids = [
        "*",
        "%3E",
        ".",
        "..",
        "a%20b",
        "a%0D%0Ab",
        "%00",
        "$JS",
        "%24JS.API.%3E",
        "%FF",
        "a%2Fb",
        "0190D5A61C5E7B3A9D542F6B8A1C7E10",
        "{0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10}",
        &long,
    ];
    for id in ids {
        for path in [
            format!("/v1/assignments/{id}/close"),
            format!("/v1/assignments/{id}"),
        ] {
            let answer = if path.ends_with("close") {
                service.post(&path, "{}").await
            } else {
                service.get(&format!("{path}?position=1")).await
            };
            let code = answer.problem();
            assert!(code == "malformed" || code == "not-found", "{id}: {code}");
        }
        let body = json!({"id": id, "title": "a", "kind": "b", "group": "c"});
        let answer = service.post("/v1/assignments", &body.to_string()).await;
        assert_eq!(answer.problem(), "invalid", "{id}");
    }
    assert!(service.commits("default").await.is_empty());
}

#[tokio::test]
async fn an_upper_case_id_is_the_same_assignment() {
    let service = Service::new();
    let body = FAN.replace('{', r#"{"id":"0190D5A6-1C5E-7B3A-9D54-2F6B8A1C7E10","#);
    let made = service.post("/v1/assignments", &body).await;
    assert_eq!(made.json()["id"], "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10");
}

#[tokio::test]
async fn what_has_not_happened_yet_is_refused() {
    let service = Service::new();
    let body = FAN.replace('{', r#"{"occurred_at":"2026-11-21T12:00:01Z","#);
    let answer = service.post("/v1/assignments", &body).await;
    assert_eq!(answer.problem(), "invalid");
    assert_eq!(answer.json()["errors"][0]["pointer"], "/occurred_at");
}

#[tokio::test]
async fn a_refusal_is_a_conflict_with_its_own_type() {
    let service = Service::new();
    let made = service.post("/v1/assignments", FAN).await;
    let answer = service
        .post(&format!("{}/resume", made.header("location")), "{}")
        .await;
    assert_eq!(
        (answer.status, answer.problem()),
        (StatusCode::CONFLICT, "not-on-hold".into())
    );
}

#[tokio::test]
async fn a_journal_that_is_away_is_a_reason_to_try_again() {
    let service = Service::new();
    service
        .journal
        .fail_next(commands::memory::Fault::Unavailable);
    let answer = service.post("/v1/assignments", FAN).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem(), "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}
