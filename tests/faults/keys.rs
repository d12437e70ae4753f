//! Fault 12 after a restart and after the log's own memory; and long histories after a restart.

use async_nats::HeaderMap;
use async_nats::jetstream;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::support::http::{Receipt, any_body};
use crate::support::{Api, TestResult, Up, nats, until};

async fn herd(api: &Api, path: &str, body: &Value) -> TestResult<Vec<Receipt>> {
    let headers = [("Idempotency-Key", "herd")];
    let tries = (0..20).map(|_| async { api.post_with(path, body, &headers).await?.receipt() });
    try_join_all(tries).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_gives_its_first_receipt_after_a_restart_and_after_the_log_has_forgotten_it()
-> TestResult {
    let up = Up::start("keys")?;
    let api = up.api("default", "member")?;
    let created = api.any().await?;
    let path = format!("/v1/assignments/{}/note", created.id);
    let note = json!({"text": "once"});
    let first = herd(&api, &path, &note).await?;
    assert!(
        first.iter().all(|receipt| *receipt == first[0]),
        "{first:?}"
    );
    // Enough others behind it that no cache of the last few commands still has it.
    for number in 0..100 {
        api.act(
            &created.id,
            "note",
            &json!({"text": format!("later {number}")}),
        )
        .await?;
    }
    let up = Up::on(up.kill()?)?;
    let api = up.api("default", "member")?;
    let after_restart = herd(&api, &path, &note).await?;
    assert!(
        after_restart.iter().all(|receipt| *receipt == first[0]),
        "{after_restart:?}"
    );
    forget_message_ids(&up.endpoints.nats).await?;
    let after_window = herd(&api, &path, &note).await?;
    assert!(
        after_window.iter().all(|receipt| *receipt == first[0]),
        "{after_window:?}"
    );
    let other = api
        .post_with(
            &path,
            &json!({"text": "other"}),
            &[("Idempotency-Key", "herd")],
        )
        .await?;
    other.refused(422, "key-reused");
    let commits = nats::read_all(&up.endpoints.nats, "JOURNAL").await?;
    let once = commits
        .iter()
        .filter(|commit| commit.header("Nats-Msg-Id") == first[0].command);
    assert_eq!(once.count(), 1);
    assert_eq!(commits.len(), 102);
    // The log need not remember what cannot come again.
    let remembered = commits
        .iter()
        .filter(|commit| !commit.header("Nats-Msg-Id").is_empty());
    assert_eq!(remembered.count(), 1);
    up.verify()
}

/// Makes JetStream's window for duplicates as short as it goes, and waits until it is over: until a
/// message id of a stream with the same window, sent later, is forgotten.
async fn forget_message_ids(url: &str) -> TestResult {
    let client = nats::connect(url).await?;
    let window = 100_000_000;
    let mut config = nats::info(&client, "JOURNAL").await?["config"].clone();
    config["duplicate_window"] = json!(window);
    let update = serde_json::to_vec(&config)?.into();
    let updated = client
        .request("$JS.API.STREAM.UPDATE.JOURNAL", update)
        .await?;
    let updated: Value = serde_json::from_slice(&updated.payload)?;
    assert_eq!(updated["config"]["duplicate_window"], window, "{updated}");
    let probe = json!({"name": "PROBE", "subjects": ["probe"], "duplicate_window": window});
    let probe = serde_json::to_vec(&probe)?.into();
    client.request("$JS.API.STREAM.CREATE.PROBE", probe).await?;
    let jetstream = jetstream::new(client);
    until("the window for duplicates is over", async || {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", "the same");
        let sent = jetstream
            .publish_with_headers("probe", headers, "".into())
            .await?;
        let ack = sent.await?;
        Ok((ack.sequence > 1 && !ack.duplicate).then_some(()))
    })
    .await?;
    jetstream.delete_stream("PROBE").await?;
    Ok(())
}

const NOTES: usize = 20_000;

/// What may be read of the journal to load an assignment with a snapshot: what is read before the
/// snapshot is looked for, and what may have come since the last one.
const READ_MAX: u64 = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assignment_of_twenty_thousand_notes_is_loaded_from_its_snapshot_after_a_restart()
-> TestResult {
    let up = Up::start("long")?;
    let api = up.api("default", "member")?;
    let created = api.request(&any_body()).await?;
    let note = json!({"command": "assignment.note", "id": created.id, "data": {"text": "n"}});
    let lines = vec![note.to_string(); NOTES / 2].join("\n");
    let mut last = Value::Null;
    for _ in 0..2 {
        let answers = api.batch(lines.clone()).await?;
        assert!(answers.iter().all(|answer| answer["status"] == 200));
        last = answers.last().cloned().unwrap_or_default();
    }
    assert_eq!(last["receipt"]["version"], NOTES + 1);
    let head = last["receipt"]["position"].as_u64().unwrap_or_default();
    let seen = api.assignment(&created.id, head).await?;
    assert_eq!(
        (&seen["notes"], &seen["version"]),
        (&json!(NOTES), &json!(NOTES + 1))
    );
    let up = Up::on(up.kill()?)?;
    let api = up.api("default", "member")?;
    api.get_at("/v1/assignments?limit=1", head).await?.is(200);
    let before = delivered(&up).await?;
    let again = api
        .act(&created.id, "note", &json!({"text": "after"}))
        .await?;
    let read = delivered(&up).await? - before;
    assert_eq!(again.version, NOTES as u64 + 2);
    assert!(
        read <= READ_MAX,
        "{read} messages came to the program for one command"
    );
    up.verify()
}

/// How many messages NATS has sent to the connections of the program.
async fn delivered(up: &Up) -> TestResult<u64> {
    let system = nats::connect(&up.endpoints.nats_system).await?;
    let answer = system
        .request("$SYS.REQ.SERVER.PING.CONNZ", "{}".into())
        .await?;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    let connections = answer["data"]["connections"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let ours = connections.iter().filter(|connection| {
        connection["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("ledgerline"))
    });
    let counts: Vec<u64> = ours
        .filter_map(|connection| connection["out_msgs"].as_u64())
        .collect();
    anyhow::ensure!(!counts.is_empty(), "the program is connected: {answer}");
    Ok(counts.iter().sum())
}
