//! Fault 13: bodies at the limit, over it, and far over it.

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::process::peak_kib;
use crate::support::{TestResult, Up, within};

/// What one body may have.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How much the program's memory may grow by a hundred megabytes that it does not take: a few limits'
/// worth of buffers, and far from what was sent.
const GROWTH_KIB_MAX: u64 = 48 * 1024;

const HUGE_BYTES: usize = 100_000_000;
const CHUNK_BYTES: usize = 64 * 1024;

/// A body of exactly so many bytes: white space between the fields takes up the rest.
fn body_of(bytes: usize) -> String {
    let (head, tail) = (r#"{"title": "T", "kind": "k","#, r#""group": "g"}"#);
    let room = bytes - head.len() - tail.len();
    format!("{head}{}{tail}", " ".repeat(room))
}

/// Chunks of a hundred megabytes, and how many of them were taken.
fn huge(first: &'static [u8], with: u8) -> Body {
    let chunk = Bytes::from(vec![with; CHUNK_BYTES]);
    let chunks = (0..HUGE_BYTES / CHUNK_BYTES).map(move |_| chunk.clone());
    let chunks = std::iter::once(Bytes::from_static(first)).chain(chunks);
    Body::wrap_stream(stream::iter(chunks.map(Ok::<_, std::io::Error>)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_early_and_memory_stays_bounded() -> TestResult {
    let up = Up::start("limits")?;
    let api = up.api("default", "member")?;
    let post = async |body: Body| {
        let call = api.call(Method::POST, "/v1/assignments");
        let call = call.header("Content-Type", "application/json").body(body);
        within("an answer", call.send()).await
    };
    for (bytes, status) in [
        (BODY_BYTES_MAX - 1, 201),
        (BODY_BYTES_MAX, 201),
        (BODY_BYTES_MAX + 1, 413),
    ] {
        let answer = Answer::read(post(body_of(bytes).into()).await??).await?;
        assert_eq!(answer.status, status, "{bytes}: {}", answer.text());
    }
    let before = peak_kib(up.pid())?;
    // Announced, and not: by its length, and by reading no further than the limit.
    let announced = vec![b' '; HUGE_BYTES];
    for body in [Body::from(announced), huge(b"{", b' ')] {
        // The server closes before it has everything: the client sees the answer, or that, at once
        // or while it reads the answer.
        match post(body).await? {
            Ok(answer) => {
                if let Ok(answer) = Answer::read(answer).await {
                    answer.refused(413, "too-large");
                }
            }
            Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
        }
    }
    let call = api
        .call(Method::POST, "/v1/commands")
        .header("Content-Type", "application/x-ndjson");
    let call = call.body(huge(b"{\"command\": \"assignment.note\"}\n", b'x'));
    if let Ok(answer) = within("an answer", call.send()).await?
        && let Ok(answer) = Answer::read(answer).await
    {
        let text = answer.is(200).text();
        let last: Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
        assert_eq!(
            (&last["line"], &last["status"]),
            (&json!(2), &json!(413)),
            "{text}"
        );
    }
    let grown = peak_kib(up.pid())? - before;
    assert!(grown < GROWTH_KIB_MAX, "memory grew by {grown} KiB");
    // And it still works.
    api.any().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_texts_at_once_fit_into_one_commit() -> TestResult {
    let up = Up::start("longest")?;
    let api = up.api("default", "member")?;
    let long = |bytes: usize| "ü".repeat(bytes / 2);
    let labels: serde_json::Map<String, Value> = (0..50)
        .map(|n| (format!("{n:03}{}", long(196)), json!(long(500))))
        .collect();
    let body = json!({
        "title": long(500), "kind": long(200), "group": long(200), "requester": long(200),
        "assignee": long(200), "external_ref": long(200), "description": long(20_000),
        "labels": labels,
    });
    let receipt = api.request(&body).await?;
    let seen = api.assignment(&receipt.id, receipt.position).await?;
    assert_eq!(
        (&seen["description"], &seen["labels"]),
        (&body["description"], &body["labels"])
    );
    let note = json!({"text": long(20_000)});
    let noted = api.act(&receipt.id, "note", &note).await?;
    assert_eq!(noted.version, 3);
    let over = json!({"text": long(20_002)});
    let over = api
        .post(&format!("/v1/assignments/{}/note", receipt.id), &over)
        .await?;
    over.refused(422, "invalid");
    Ok(())
}
