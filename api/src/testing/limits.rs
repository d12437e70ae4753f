//! Limits: one less, exactly, one more, and far more than anybody should send.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures_util::stream;

use super::{FAN, Service};
use crate::Limits;

/// A body of exactly so many bytes, by white space.
fn padded(bytes: usize) -> String {
    let mut body = FAN.to_owned();
    body.extend(std::iter::repeat_n(' ', bytes - FAN.len()));
    body
}

#[tokio::test]
async fn a_body_at_the_limit_is_taken_and_one_byte_more_is_refused() {
    let limit = 1_000;
    let service = Service::with(Limits {
        body_bytes_max: limit,
        ..Limits::default()
    });
    for (bytes, taken) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
        let answer = service.post("/v1/assignments", &padded(bytes)).await;
        assert_eq!(
            answer.status == StatusCode::CREATED,
            taken,
            "{bytes}: {answer:?}"
        );
        if !taken {
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(answer.problem(), "too-large");
        }
    }
}

#[tokio::test]
async fn a_body_without_an_announced_length_is_read_no_further_than_the_limit() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 100 * 1024 * 1024 / CHUNK;
    let service = Service::new();
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let chunks = stream::iter((0..CHUNKS).map(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(&[b' '; CHUNK]))
    }));
    let request = service
        .posting("/v1/assignments", "")
        .map(|_| Body::from_stream(chunks));
    let answer = service.send(request).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.problem(), "too-large");
    assert!(
        read.load(Ordering::Relaxed) <= 18,
        "{read:?} chunks were read"
    );
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let service = Service::new();
    for kind in [
        "text/plain",
        "application/x-ndjson",
        "application/jsonx",
        "multipart/form-data",
    ] {
        let mut request = service.posting("/v1/assignments", FAN);
        request
            .headers_mut()
            .insert("content-type", kind.parse().expect("ASCII"));
        let answer = service.send(request).await;
        assert_eq!(answer.problem(), "unsupported-media-type", "{kind}");
    }
    let mut untyped = service.posting("/v1/assignments", FAN);
    untyped.headers_mut().remove("content-type");
    assert_eq!(
        service.send(untyped).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let mut with_charset = service.posting("/v1/assignments", FAN);
    let kind = "Application/JSON; charset=utf-8".parse().expect("ASCII");
    with_charset.headers_mut().insert("content-type", kind);
    assert_eq!(service.send(with_charset).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn more_requests_than_the_limit_are_turned_away_at_once() {
    let service = Service::with(Limits {
        requests_max: 0,
        ..Limits::default()
    });
    let answer = service.post("/v1/assignments", FAN).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (answer.problem().as_str(), answer.header("retry-after")),
        ("overloaded", "1")
    );
    assert_eq!(service.get("/health/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn more_event_clients_than_the_limit_are_turned_away() {
    let service = Service::with(Limits {
        event_clients_max: 0,
        ..Limits::default()
    });
    let answer = service.get("/v1/events").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.problem(), "too-many");
}
