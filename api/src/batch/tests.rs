//! Batches over HTTP.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use crate::Limits;
use crate::testing::Service;

const ID: &str = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10";

fn request(service: &Service, body: Body) -> Request<Body> {
    let mut request = service.posting("/v1/commands", "").map(|_| body);
    let kind = "application/x-ndjson".parse().expect("ASCII");
    request.headers_mut().insert("content-type", kind);
    request
}

fn asked(id: &str) -> String {
    format!(
        r#"{{"command":"assignment.request","id":"{id}","data":{{"title":"a","kind":"b","group":"c"}}}}"#
    )
}

fn noted(id: &str, text: usize) -> String {
    format!(r#"{{"command":"assignment.note","id":"{id}","data":{{"text":"{text}"}}}}"#)
}

async fn answers(service: &Service, lines: &[String]) -> Vec<Value> {
    let answer = service
        .send(request(service, Body::from(lines.join("\n"))))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn every_line_is_answered_in_its_place_whatever_becomes_of_it() {
    let service = Service::new();
    let unknown = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e11";
    let lines = [
        asked(ID),
        "no JSON".to_owned(),
        noted(unknown, 1),
        noted(ID, 2),
        r#"{"command":"assignment.explode","id":"x"}"#.to_owned(),
        r#"{"command":"assignment.note","data":{"text":"x"}}"#.to_owned(),
        format!(r#"{{"command":"assignment.note","id":"{ID}","data":{{"text":" "}}}}"#),
        format!(r#"{{"command":"assignment.resume","id":"{ID}"}}"#),
        format!(r#"{{"command":"assignment.close","id":"{ID}","actor":"eve"}}"#),
        format!(r#"{{"command":"assignment.close","id":"{ID}","on_behalf_of":"eve"}}"#),
        format!(r#"{{"command":"assignment.close","id":"{ID}","data":{{"expected_version":1}}}}"#),
    ];
    let answers = answers(&service, &lines).await;
    let statuses: Vec<_> = answers
        .iter()
        .map(|a| a["status"].as_u64().expect("a status"))
        .collect();
    assert_eq!(
        statuses,
        [201, 400, 404, 200, 400, 400, 422, 409, 400, 403, 400]
    );
    let numbers: Vec<_> = answers
        .iter()
        .map(|a| a["line"].as_u64().expect("a line"))
        .collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
    assert_eq!(answers[6]["problem"]["errors"][0]["pointer"], "/data/text");
    assert_eq!(answers[3]["receipt"]["version"], 2);
}

#[tokio::test]
async fn commands_on_one_aggregate_are_carried_out_in_the_order_of_their_lines() {
    let service = Service::new();
    let mut lines = vec![asked(ID)];
    lines.extend((1..200).map(|number| noted(ID, number)));
    let answers = answers(&service, &lines).await;
    for (version, answer) in (1..).zip(&answers) {
        assert_eq!(answer["receipt"]["version"], version, "{answer}");
    }
    let texts = service
        .commits("default")
        .await
        .into_iter()
        .skip(1)
        .map(|commit| {
            let data: Value =
                serde_json::from_str(commit.payload.events[0].data().get()).expect("JSON");
            data["text"].as_str().map(str::to_owned)
        });
    assert!(
        texts
            .zip(1..200)
            .all(|(text, number)| text == Some(number.to_string()))
    );
}

#[tokio::test]
async fn a_batch_sent_again_under_its_keys_adds_nothing() {
    let service = Service::new();
    let line = |key: usize| {
        format!(
            r#"{{"command":"assignment.request","key":"{key}","data":{{"title":"a","kind":"b","group":"c"}}}}"#
        )
    };
    let lines: Vec<_> = (0..300).map(line).collect();
    let first = answers(&service, &lines).await;
    let again = answers(&service, &lines).await;
    assert_eq!(first, again);
    assert_eq!(service.commits("default").await.len(), 300);
}

#[tokio::test]
async fn the_first_line_beyond_the_limit_ends_the_batch() {
    let service = Service::with(Limits {
        batch_lines_max: 2,
        ..Limits::default()
    });
    let lines: Vec<_> = (0..5).map(|_| "{}".to_owned()).collect();
    let answers = answers(&service, &lines).await;
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer["status"].clone())
        .collect();
    assert_eq!(statuses, [400, 400, 413]);
}

#[tokio::test]
async fn a_line_beyond_the_limit_ends_the_batch() {
    let service = Service::with(Limits {
        body_bytes_max: 200,
        ..Limits::default()
    });
    let answers = answers(&service, &[asked(ID), "x".repeat(201), asked(ID)]).await;
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer["status"].clone())
        .collect();
    assert_eq!(statuses, [201, 413]);
}

#[tokio::test]
async fn a_line_is_answered_before_the_next_is_sent() {
    let service = Service::new();
    let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
    let lines = stream::unfold(receiver, async |mut receiver| {
        receiver
            .recv()
            .await
            .map(|bytes| (Ok::<_, Infallible>(bytes), receiver))
    });
    let request = request(&service, Body::from_stream(lines));
    let Ok(response) = service.router.clone().oneshot(request).await;
    let mut answered = response.into_body().into_data_stream();
    for number in 1..=3 {
        let line = if number == 1 {
            asked(ID)
        } else {
            noted(ID, number)
        };
        sender
            .send(Bytes::from(line + "\n"))
            .expect("the batch reads");
        let answer = answered
            .next()
            .await
            .expect("an answer")
            .expect("in memory");
        let answer: Value = serde_json::from_slice(&answer).expect("one line");
        assert_eq!(answer["line"], number);
    }
    drop(sender);
    assert!(answered.next().await.is_none());
}

#[tokio::test]
async fn a_batch_of_another_type_is_refused_and_so_is_one_too_many() {
    let service = Service::new();
    let json = service.post("/v1/commands", "{}").await;
    assert_eq!(json.problem(), "unsupported-media-type");
    let full = Service::with(Limits {
        batches_max: 0,
        ..Limits::default()
    });
    let answer = full.send(request(&full, Body::empty())).await;
    assert_eq!(answer.problem(), "too-many");
}
