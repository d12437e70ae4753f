//! A journal that somebody has put in the place of the true one: on a server of its own, as a stream
//! without the settings that forbid it.

use async_nats::{Client, HeaderMap};
use commands::seal::verify::{Difference, Report, Verifier};
use commands::seal::{RawCommit, RawJournal as _, Seal, Seals as _};
use domain::Position;
use futures_util::TryStreamExt as _;
use infra::nats::{JetStreamRawJournal, JetStreamSeals, journal};
use serde_json::{Value, json};

use super::{Copy, SEALED};
use crate::server::Server;

pub(super) async fn every_case_is_found(copy: &Copy) {
    let server = Server::start_with("sync_interval: 2m").await;
    let client = server.client().await;
    let seals = JetStreamSeals::open(client.clone(), None)
        .await
        .expect("a new stream");
    for seal in &copy.seals {
        seals.append(seal.clone()).await.expect("in order");
    }

    write(&client, &copy.commits).await;
    assert_eq!(verified(&client, copy, &[]).await.differing, 0);

    // What the server itself deletes leaves a hole, in the middle and at the end.
    for position in [125, copy.commits.len() as u64] {
        ask(
            &client,
            "STREAM.MSG.DELETE.JOURNAL",
            json!({"seq": position}),
        )
        .await;
    }
    let report = verified(&client, copy, &[]).await;
    let hole = |position| {
        (
            Some(Position(position)),
            Difference::Missing {
                last: Position(position),
            },
        )
    };
    assert!(places(&report).contains(&hole(125)), "{report:?}");
    assert!(
        places(&report).contains(&hole(copy.commits.len() as u64)),
        "{report:?}"
    );

    let mut edited = copy.commits.clone();
    edited[99].payload = [&edited[99].payload[..], b" "].concat().into();
    write(&client, &edited).await;
    let report = verified(&client, copy, &[]).await;
    assert_eq!(places(&report), [(Some(Position(100)), Difference::Chain)]);

    let mut shorter = copy.commits.clone();
    shorter.remove(149);
    write(&client, &shorter).await;
    let report = verified(&client, copy, &[]).await;
    assert_eq!(report.findings[0].position, Some(Position(150)));

    write(&client, &copy.commits[..200]).await;
    let report = verified(&client, copy, &[]).await;
    let last = Position(SEALED as u64);
    assert_eq!(
        places(&report),
        [(Some(Position(201)), Difference::Truncated { last })]
    );

    write(&client, &[]).await;
    let report = verified(&client, copy, &[]).await;
    assert_eq!(
        places(&report),
        [(Some(Position(1)), Difference::Truncated { last })]
    );

    // Behind the last seal, only a seal that is kept elsewhere tells.
    write(&client, &copy.commits[..SEALED + 3]).await;
    assert_eq!(verified(&client, copy, &[]).await.differing, 0);
    let report = verified(&client, copy, &copy.outside).await;
    assert_eq!(
        places(&report).last().and_then(|place| place.0),
        Some(Position(SEALED as u64 + 4))
    );
}

fn places(report: &Report) -> Vec<(Option<Position>, Difference)> {
    let findings = report.findings.iter();
    findings
        .map(|finding| (finding.position, finding.difference.clone()))
        .collect()
}

async fn verified(client: &Client, copy: &Copy, outside: &[Seal]) -> Report {
    let raw = JetStreamRawJournal::new(client.clone(), journal::Settings::default());
    let mut evidence = copy.evidence(outside);
    let seals = JetStreamSeals::of(client.clone());
    evidence.seals = seals
        .read(0)
        .try_collect()
        .await
        .expect("they are readable");
    let head = raw.raw_head().await.expect("it answers");
    let mut verifier = Verifier::new(evidence);
    let mut commits = raw.read_raw(Position::START, head);
    while let Some(commit) = commits.try_next().await.expect("it is readable") {
        verifier.take(&commit);
    }
    verifier.finish(head)
}

/// A stream with these messages in the place of the one that was there.
async fn write(client: &Client, commits: &[RawCommit]) {
    ask(client, "STREAM.DELETE.JOURNAL", Value::Null).await;
    let stream = json!({"name": "JOURNAL", "subjects": ["journal.>"], "storage": "file"});
    let made = ask(client, "STREAM.CREATE.JOURNAL", stream).await;
    assert_eq!(made["error"], Value::Null);
    for commit in commits {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", commit.command.as_str());
        headers.insert("Ledgerline-Chain", commit.chain.as_str());
        headers.insert("Ledgerline-Trace", commit.trace.as_str());
        let subject = format!("journal.{}", commit.stream);
        let sent = client.request_with_headers(subject, headers, commit.payload.clone());
        let ack: Value =
            serde_json::from_slice(&sent.await.expect("an answer").payload).expect("JSON");
        assert_eq!(ack["error"], Value::Null);
    }
}

async fn ask(client: &Client, path: &str, body: Value) -> Value {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = client.request(format!("$JS.API.{path}"), body.into()).await;
    serde_json::from_slice(&answer.expect("the server answers").payload)
        .expect("it answers in JSON")
}
