//! Every route with every role, with none, and over the wall between tenants: from the table.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;

use super::{FAN, Service};
use crate::auth::Role;
use crate::routes::{Access, ROUTES, Route};

const ID: &str = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10";

fn request(route: &Route, token: Option<&str>) -> Request<Body> {
    let path = route.path.replace("{id}", ID).replace("{name}", "one");
    let mut request = Request::builder().method(route.method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let (kind, body) = match (route.method, route.path) {
        ("GET", _) => ("text/plain", ""),
        (_, "/v1/commands") => ("application/x-ndjson", ""),
        _ => ("application/json", "{}"),
    };
    request
        .header("content-type", kind)
        .body(Body::from(body))
        .expect("well formed")
}

async fn status(service: &Service, request: Request<Body>) -> StatusCode {
    let Ok(response) = service.router.clone().oneshot(request).await;
    response.status()
}

#[tokio::test]
async fn every_route_takes_the_roles_of_its_row_and_no_others() {
    let service = Service::new();
    for route in ROUTES {
        for role in Role::ALL {
            let token = service.token("default", &[role]);
            let status = status(&service, request(route, Some(&token))).await;
            let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
            let taken = match route.access {
                Access::Public => true,
                Access::Roles(roles) => roles.has(role),
            };
            assert_eq!(refused, !taken, "{route:?} as {role}: {status}");
        }
    }
}

#[tokio::test]
async fn a_route_that_is_not_public_is_closed_without_a_token_or_a_role() {
    let service = Service::new();
    let powerless = service.token("default", &[]);
    for route in ROUTES {
        let without = status(&service, request(route, None)).await;
        let with_none = status(&service, request(route, Some(&powerless))).await;
        match route.access {
            Access::Public => assert_ne!(without, StatusCode::UNAUTHORIZED, "{route:?}"),
            Access::Roles(_) => {
                assert_eq!(without, StatusCode::UNAUTHORIZED, "{route:?}");
                assert_eq!(with_none, StatusCode::FORBIDDEN, "{route:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_answered_like_what_does_not_exist() {
    let service = Service::new();
    let made = service
        .post(
            "/v1/assignments",
            &FAN.replace('{', &format!(r#"{{"id":"{ID}","#)),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let other = service.token("other", &Role::ALL);
    let paths = ["note", "close", "resume"].map(|verb| format!("/v1/assignments/{{}}/{verb}"));
    for path in paths {
        let mut answers = Vec::new();
        for id in [ID, "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e11"] {
            let body = if path.ends_with("note") {
                r#"{"text":"mine?"}"#
            } else {
                "{}"
            };
            let mut request = service.posting(&path.replace("{}", id), body);
            let bearer = format!("Bearer {other}").parse().expect("ASCII");
            request.headers_mut().insert("authorization", bearer);
            request
                .headers_mut()
                .insert("x-request-id", "same".parse().expect("ASCII"));
            let answer = service.send(request).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            answers.push(String::from_utf8_lossy(&answer.body).replace(id, "ID"));
        }
        assert_eq!(answers[0], answers[1]);
    }
    let travel = format!("/v1/assignments/{ID}?position=1");
    let request = Request::get(&travel).header("authorization", format!("Bearer {other}"));
    let answer = service
        .send(request.body(Body::empty()).expect("well formed"))
        .await;
    assert_eq!(answer.problem(), "not-found");
    assert_eq!(service.get(&travel).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_table_has_a_row_for_every_route_and_a_route_for_every_row() {
    let description: serde_json::Value =
        serde_json::from_str(&crate::openapi()).expect("a description in JSON");
    let paths = description["paths"].as_object().expect("paths");
    let described: usize = paths
        .values()
        .map(|item| item.as_object().map_or(0, |o| o.len()))
        .sum();
    assert_eq!(described, ROUTES.len());
    for route in ROUTES {
        let operation = &paths[route.path][route.method.to_lowercase()];
        let secured = operation.get("security").is_some();
        assert_eq!(secured, route.access != Access::Public, "{route:?}");
    }
}
