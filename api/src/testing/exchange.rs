//! What every request and every answer gets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

use super::{FAN, Service};
use crate::Limits;

#[tokio::test]
async fn a_path_that_is_none_of_ours_and_a_method_that_is_not_taken_are_problems() {
    let service = Service::new();
    let nowhere = service.get("/v1/nothing").await;
    assert_eq!(
        (nowhere.status, nowhere.problem()),
        (StatusCode::NOT_FOUND, "not-found".into())
    );
    assert_eq!(nowhere.json()["instance"], "/v1/nothing");
    for method in [
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::TRACE,
        Method::OPTIONS,
    ] {
        let request = Request::builder().method(method).uri("/v1/assignments");
        let answer = service
            .send(request.body(Body::empty()).expect("well formed"))
            .await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.problem(), "method-not-allowed");
        assert!(
            answer.header("allow").contains("POST"),
            "{:?}",
            answer.headers
        );
    }
}

#[tokio::test]
async fn a_request_keeps_the_ids_that_it_came_with() {
    let service = Service::new();
    let mut request = service.posting("/v1/assignments", FAN);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let sent = [
        ("x-request-id", "r-1"),
        ("x-correlation-id", "errand 7"),
        ("traceparent", trace),
    ];
    for (name, value) in sent {
        request
            .headers_mut()
            .insert(name, value.parse().expect("ASCII"));
    }
    let answer = service.send(request).await;
    assert_eq!(answer.header("x-request-id"), "r-1");
    let commits = service.commits("default").await;
    let commit = commits.last().expect("one commit");
    assert_eq!(
        commit
            .payload
            .correlation
            .as_ref()
            .map(domain::Name::as_str),
        Some("errand 7")
    );
    let trace = commit.trace.as_deref().expect("a trace");
    assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(!trace.contains("00f067aa0ba902b7"));
}

#[tokio::test]
async fn a_request_without_ids_gets_them_and_a_wrong_one_is_replaced() {
    let service = Service::new();
    service.post("/v1/assignments", FAN).await;
    let commits = service.commits("default").await;
    assert!(commits[0].payload.correlation.is_some());
    assert!(commits[0].trace.is_some());
    let long = "x".repeat(129);
    for bad in [long.as_str(), "a b", ""] {
        let mut request = service.posting("/v1/assignments", FAN);
        request
            .headers_mut()
            .insert("x-request-id", bad.parse().expect("ASCII"));
        let id = service
            .send(request)
            .await
            .header("x-request-id")
            .to_owned();
        assert!(id != bad && !id.is_empty());
    }
    let mut request = service.posting("/v1/assignments", FAN);
    request
        .headers_mut()
        .insert("x-correlation-id", " ".repeat(3).parse().expect("ASCII"));
    assert_eq!(service.send(request).await.problem(), "malformed");
}

#[tokio::test]
async fn health_tells_what_is_wrong_and_live_does_not_ask() {
    let service = Service::new();
    let health = service.get("/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.json()["checks"][0]["detail"], "it is away");
    assert_eq!(
        service.get("/health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(service.get("/health/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_misspelt_parameter_is_refused() {
    let service = Service::new();
    let answer = service.get("/v1/assignments?stauts=queued").await;
    assert_eq!(
        (answer.status, answer.problem()),
        (StatusCode::BAD_REQUEST, "malformed".into())
    );
    assert_eq!(answer.json()["errors"][0]["parameter"], "stauts");
    let cursor = service.get("/v1/assignments?cursor=made-up").await;
    assert_eq!(cursor.problem(), "invalid");
}

#[tokio::test]
async fn the_documentation_needs_no_network() {
    let service = Service::new();
    let page = service.get("/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let elsewhere = ["src=\"http", "href=\"http", "src=\"//", "href=\"//"];
    assert!(
        elsewhere.iter().all(|address| !html.contains(address)),
        "{html}"
    );
    assert_eq!(
        service.get("/docs/swagger-ui-bundle.js").await.status,
        StatusCode::OK
    );
    let document = service.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(
        document.json()["openapi"].as_str().map(|v| &v[..3]),
        Some("3.1")
    );
}

#[tokio::test]
async fn a_handler_that_panics_is_a_problem_that_tells_nothing_of_it() {
    let service = Service::new();
    service.panics.store(true, Ordering::Relaxed);
    let answer = service.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.problem(), "internal");
    assert!(!String::from_utf8_lossy(&answer.body).contains("told to"));
    service.panics.store(false, Ordering::Relaxed);
    assert_eq!(service.get("/metrics").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_read_side_that_is_behind_says_how_far_it_is() {
    let limits = Limits {
        read_wait_max: Duration::from_millis(1),
        ..Limits::default()
    };
    let service = Service::with(limits);
    let answer = service.get("/v1/workload?min_position=5").await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.problem(), "read-side-behind");
    assert_eq!(answer.json()["position"], 0);
    assert_eq!(
        service.get("/v1/workload?min_position=x").await.problem(),
        "malformed"
    );
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_all_the_same() {
    let limits = Limits {
        read_wait_max: Duration::from_secs(3_600),
        request_timeout: Duration::from_millis(1),
        ..Limits::default()
    };
    let service = Service::with(limits);
    let answer = service.get("/v1/workload?min_position=5").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (answer.problem().as_str(), answer.header("retry-after")),
        ("timed-out", "1")
    );
}

#[test]
fn every_reference_in_the_description_leads_somewhere() {
    fn references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(object) => {
                if let Some(reference) = object.get("$ref").and_then(|r| r.as_str()) {
                    found.push(reference.to_owned());
                }
                object.values().for_each(|value| references(value, found));
            }
            serde_json::Value::Array(list) => list.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let description: serde_json::Value =
        serde_json::from_str(&crate::openapi()).expect("a description in JSON");
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(description.pointer(pointer).is_some(), "{reference}");
    }
}
