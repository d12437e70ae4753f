//! Tickets, and the pages that may open a stream. Without a read side no stream begins here: who is let
//! in meets 503.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{Answer, Service};
use crate::Limits;
use crate::auth::Role;

const MAIL: &str = "/v1/queues/mail/watch";

impl Service {
    async fn ticket(&self, body: &Value) -> String {
        let answer = self.post("/v1/tickets", &body.to_string()).await;
        assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
        answer.json()["ticket"]
            .as_str()
            .expect("a ticket")
            .to_owned()
    }

    /// Opens `path` with the headers, and without a token.
    async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = headers
            .iter()
            .fold(Request::get(path), |request, (name, value)| {
                request.header(*name, *value)
            });
        self.send(request.body(Body::empty()).expect("well formed"))
            .await
    }

    /// The status of what `ticket` opens at `path`.
    async fn redeem(&self, path: &str, ticket: &str) -> u16 {
        let answer = self.open(&format!("{path}?ticket={ticket}"), &[]).await;
        answer.status.as_u16()
    }
}

#[tokio::test]
async fn a_ticket_is_used_once() {
    let service = Service::new();
    for body in [json!({}), json!({"path": MAIL})] {
        let ticket = service.ticket(&body).await;
        assert_eq!(service.redeem(MAIL, &ticket).await, 503);
        let again = service.open(&format!("{MAIL}?ticket={ticket}"), &[]).await;
        assert_eq!(
            (again.status.as_u16(), &*again.problem()),
            (401, "unauthenticated")
        );
    }
    let (one, two) = (
        service.ticket(&json!({})).await,
        service.ticket(&json!({})).await,
    );
    assert!(one != two && one.len() == 64, "{one} {two}");
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_after_half_a_minute_or_after_its_token() {
    let service = Service::new();
    let (early, late) = (
        service.ticket(&json!({})).await,
        service.ticket(&json!({})).await,
    );
    service.clock.set("2026-11-21T12:00:29.999Z");
    assert_eq!(service.redeem(MAIL, &early).await, 503);
    service.clock.set("2026-11-21T12:00:30Z");
    assert_eq!(service.redeem(MAIL, &late).await, 401);
    service.clock.set("2026-11-21T12:59:59Z");
    let outlived = service.ticket(&json!({})).await;
    service.clock.set("2026-11-21T13:00:10Z");
    assert_eq!(service.redeem(MAIL, &outlived).await, 401);
}

#[tokio::test]
async fn a_ticket_opens_only_what_it_is_for() {
    let service = Service::new();
    let ticket = service.ticket(&json!({"path": MAIL})).await;
    assert_eq!(service.redeem("/v1/queues/post/watch", &ticket).await, 401);
    assert_eq!(
        service.redeem(MAIL, &ticket).await,
        401,
        "it is used by that"
    );
    let ticket = service.ticket(&json!({})).await;
    for path in ["/v1/events", "/v1/jobs", "/v1/queues"] {
        assert_eq!(service.redeem(path, &ticket).await, 401, "{path}");
    }
    assert_eq!(
        service.redeem(MAIL, &ticket).await,
        503,
        "no other route has taken it"
    );
    for path in [
        "/v1/events",
        "/v1/jobs/*/watch",
        "/v1/queues/watch",
        "/v1/queues/a/b/watch",
        "",
    ] {
        let body = json!({"path": path}).to_string();
        let answer = service.post("/v1/tickets", &body).await;
        assert_eq!(answer.pointers(), (422, vec!["/path".to_owned()]), "{path}");
    }
}

#[tokio::test]
async fn a_ticket_is_its_own_tenants_and_its_own_roles() {
    let service = Service::new();
    let made = json!({"queue": "mail", "kind": "send"}).to_string();
    let job = service
        .post("/v1/jobs", &made)
        .await
        .header("location")
        .to_owned();
    let mut foreign = service.posting("/v1/tickets", "{}");
    let token = format!("Bearer {}", service.token("other", &[Role::Viewer]));
    foreign
        .headers_mut()
        .insert("authorization", token.parse().expect("ASCII"));
    let foreign = service.send(foreign).await.json();
    let foreign = foreign["ticket"].as_str().expect("a ticket");
    let path = format!("{job}/watch");
    // Whatever token stands beside it.
    let token = format!("Bearer {}", service.token("default", &[Role::Admin]));
    let with = format!("{path}?ticket={foreign}");
    let answer = service.open(&with, &[("authorization", &token)]).await;
    assert_eq!(answer.problem(), "not-found");
    let own = service.ticket(&json!({})).await;
    assert_ne!(service.redeem(&path, &own).await, 404);
}

#[tokio::test]
async fn a_caller_has_no_more_unused_tickets_than_the_limit() {
    let service = Service::new();
    for _ in 0..100 {
        service.ticket(&json!({})).await;
    }
    let answer = service.post("/v1/tickets", "{}").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.problem()),
        (429, "too-many")
    );
    service.clock.set("2026-11-21T12:00:30Z");
    service.ticket(&json!({})).await;
}

#[tokio::test]
async fn a_page_is_let_in_by_its_origin_before_anything_else_is_looked_at() {
    let service = Service::new();
    let token = format!("Bearer {}", service.token("default", &[Role::Viewer]));
    for (origin, status) in [
        ("http://jobs.test", 503),
        ("https://board.test", 503),
        ("https://evil.test", 403),
        ("null", 403),
    ] {
        let headers = [
            ("host", "jobs.test"),
            ("origin", origin),
            ("authorization", &token),
        ];
        let answer = service.open(MAIL, &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{origin}");
        assert_eq!(answer.problem() == "forbidden", status == 403, "{origin}");
    }
    let ticket = service.ticket(&json!({})).await;
    let with = format!("{MAIL}?ticket={ticket}");
    let refused = service
        .open(&with, &[("origin", "https://evil.test")])
        .await;
    assert_eq!(refused.status.as_u16(), 403);
    assert_eq!(
        service.redeem(MAIL, &ticket).await,
        503,
        "it was not used by that"
    );
}

#[tokio::test]
async fn a_caller_has_no_more_streams_than_the_limit_and_takes_no_others_place() {
    let service = Service::with(Limits {
        event_clients_of_caller_max: 0,
        ..Limits::default()
    });
    for path in [MAIL, "/v1/batches/b/watch", "/v1/events"] {
        let answer = service.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.problem()),
            (429, "too-many")
        );
    }
    let service = Service::with(Limits {
        event_clients_max: 0,
        ..Limits::default()
    });
    assert_eq!(service.get(MAIL).await.problem(), "too-many");
    // A place is free again when nothing came of it.
    let service = Service::with(Limits {
        event_clients_of_caller_max: 1,
        ..Limits::default()
    });
    for _ in 0..2 {
        assert_eq!(service.get(MAIL).await.problem(), "unavailable");
    }
}

#[tokio::test]
async fn what_is_no_socket_and_no_position_is_refused() {
    let service = Service::new();
    for query in ["?after=x", "?after=1.2.3", "?from=start", "?token=x"] {
        let answer = service.get(&format!("{MAIL}{query}")).await;
        assert_eq!(answer.problem(), "malformed", "{query}");
    }
    let token = format!("Bearer {}", service.token("default", &[Role::Viewer]));
    let headers = [("authorization", &*token), ("upgrade", "websocket")];
    assert_eq!(service.open(MAIL, &headers).await.problem(), "malformed");
}
