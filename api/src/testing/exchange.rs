//! What every request and every answer gets.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

use super::{FAN, Service};

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
