//! Server-sent events over HTTP.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use commands::FeedEvent;
use commands::feed::Feed as _;
use futures_util::StreamExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::Limits;
use crate::auth::Role;
use crate::testing::{FAN, Service};

/// The events of an answer, one at a time.
struct Events {
    body: BodyDataStream,
    text: String,
}

async fn follow(service: &Service, query: &str, last: Option<&str>) -> Events {
    let token = service.token("default", &[Role::Viewer]);
    let mut request = Request::get(format!("/v1/events{query}"))
        .header("authorization", format!("Bearer {token}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let request = request.body(Body::empty()).expect("well formed");
    let Ok(response) = service.router.clone().oneshot(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Events {
        body: response.into_body().into_data_stream(),
        text: String::new(),
    }
}

impl Events {
    /// The fields of the next event, past what is no event; nothing at the end.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(id), Some(kind), Some(data)) =
                    (field("id: "), field("event: "), field("data: "))
                {
                    let data = serde_json::from_str(data).expect("JSON");
                    return Some((id.to_owned(), kind.to_owned(), data));
                }
            }
            let bytes = self.body.next().await?.expect("in memory");
            self.text
                .push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }
}

/// Puts everything in the journal into the feed, as the pump does.
async fn publish(service: &Service) {
    let last = service.feed.last().await.expect("in memory");
    let behind = last.map_or(0, |event| event.position.0);
    for commit in service.commits("default").await {
        if commit.position.0 > behind {
            let events = FeedEvent::of_commit(&commit).expect("names of ours");
            service
                .feed
                .publish(events)
                .await
                .expect("the only publisher");
        }
    }
}

#[tokio::test]
async fn a_client_meets_every_event_once_and_goes_on_where_it_was() {
    let service = Service::new();
    let made = service.post("/v1/assignments", FAN).await;
    let path = made.header("location").to_owned();
    service.post(&format!("{path}/start"), "").await;
    publish(&service).await;

    let mut all = follow(&service, "?from=start", None).await;
    let (id, kind, data) = all.next().await.expect("the first");
    assert_eq!(
        (id.as_str(), kind.as_str()),
        ("1.0", "ledgerline.assignment.requested.v1")
    );
    assert_eq!(data["specversion"], "1.0");
    assert_eq!(data["id"], "1.0");
    assert_eq!(data["type"], kind);
    assert_eq!(data["subject"], path.rsplit('/').next().expect("an id"));
    assert_eq!(data["data"]["title"], "Fan");
    assert_eq!(data["principal"], "ada");
    assert_eq!(all.next().await.expect("the second").0, "2.0");

    let mut rest = follow(&service, "", Some("2.0")).await;
    assert_eq!(rest.next().await.expect("the third").0, "2.1");
    service
        .post(&format!("{path}/note"), r#"{"text":"x"}"#)
        .await;
    publish(&service).await;
    assert_eq!(rest.next().await.expect("a new one").0, "3.0");

    let mut behind = follow(&service, "?after=2", None).await;
    assert_eq!(behind.next().await.expect("behind the commit").0, "3.0");
    let mut noted = follow(
        &service,
        "?from=start&category=assignment&event=noted",
        None,
    )
    .await;
    assert_eq!(noted.next().await.expect("the only note").0, "3.0");
}

#[tokio::test]
async fn a_client_that_begins_now_meets_nothing_older() {
    let service = Service::new();
    service.post("/v1/assignments", FAN).await;
    let mut now = follow(&service, "", None).await;
    service.post("/v1/assignments", FAN).await;
    publish(&service).await;
    assert_eq!(now.next().await.expect("the second").0, "2.0");
}

#[tokio::test]
async fn nobody_meets_the_events_of_another_tenant() {
    let service = Service::new();
    let mut request = service.posting("/v1/assignments", FAN);
    let other = format!("Bearer {}", service.token("other", &[Role::Member]));
    request
        .headers_mut()
        .insert("authorization", other.parse().expect("ASCII"));
    service.send(request).await;
    for commit in service.commits("other").await {
        service.feed.last().await.expect("in memory");
        let events = FeedEvent::of_commit(&commit).expect("names of ours");
        service
            .feed
            .publish(events)
            .await
            .expect("the only publisher");
    }
    service.post("/v1/assignments", FAN).await;
    publish(&service).await;
    let mut mine = follow(&service, "?from=start", None).await;
    assert_eq!(mine.next().await.expect("mine").0, "2.0");
}

#[tokio::test]
async fn an_answer_ends_with_the_server() {
    let service = Service::new();
    let mut events = follow(&service, "", None).await;
    service.shutdown.cancel();
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn an_answer_ends_with_its_token() {
    let limits = Limits {
        event_keep_alive: Duration::from_millis(1),
        ..Limits::default()
    };
    let service = Service::with(limits);
    let mut events = follow(&service, "", None).await;
    service.clock.set("2026-11-21T14:00:00Z");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_makes_room() {
    let limits = Limits {
        event_stall_max: Duration::from_millis(1),
        event_clients_max: 1,
        ..Limits::default()
    };
    let service = Service::with(limits);
    let path = service
        .post("/v1/assignments", FAN)
        .await
        .header("location")
        .to_owned();
    let id = path.rsplit('/').next().expect("an id");
    let note = format!(
        r#"{{"command":"assignment.note","id":"{id}","data":{{"text":"x"}}}}{}"#,
        '\n'
    );
    let notes = note.repeat(super::subscription::QUEUE_EVENTS + 10);
    let mut batch = service.posting("/v1/commands", &notes);
    let ndjson = "application/x-ndjson".parse().expect("ASCII");
    batch.headers_mut().insert("content-type", ndjson);
    assert_eq!(service.send(batch).await.status, StatusCode::OK);
    publish(&service).await;
    let mut silent = follow(&service, "?from=start", None).await;
    // There is room for one only: the next is let in once the silent one was dropped.
    loop {
        let token = service.token("default", &[Role::Viewer]);
        let request = Request::get("/v1/events").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("well formed");
        let Ok(response) = service.router.clone().oneshot(request).await;
        match response.status() {
            StatusCode::OK => break,
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
        }
        tokio::task::yield_now().await;
    }
    let mut met = 0;
    while silent.next().await.is_some() {
        met += 1;
    }
    assert!(met <= super::subscription::QUEUE_EVENTS, "{met}");
}

#[tokio::test]
async fn a_beginning_that_is_none_is_refused() {
    let service = Service::new();
    for query in [
        "?after=x",
        "?after=1.",
        "?from=then",
        "?event=*",
        "?id=%3E",
        "?tenant=other",
    ] {
        let answer = service.get(&format!("/v1/events{query}")).await;
        assert_eq!(answer.problem(), "malformed", "{query}");
    }
}
