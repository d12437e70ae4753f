//! The server and the streams' settings, checked and mended at start.

use infra::nats::journal::Settings;
use infra::nats::server::{self, ServerError, SyncEvidence};
use infra::nats::settings::SettingsError;
use infra::nats::{JetStreamJournal, connect};
use serde_json::{Value, json};

use crate::server::Server;

async fn ask(client: &async_nats::Client, path: &str, body: Value) -> Value {
    let subject = format!("$JS.API.{path}");
    // Some requests are refused with any body, even `null`.
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = client.request(subject, body.into()).await;
    let answer = answer.expect("the server answers");
    serde_json::from_slice(&answer.payload).expect("the server answers in JSON")
}

async fn config(client: &async_nats::Client) -> Value {
    ask(client, "STREAM.INFO.JOURNAL", Value::Null).await["config"].take()
}

#[tokio::test]
async fn a_stream_that_was_altered_is_mended_at_start() {
    let server = Server::start().await;
    server.journal().await;
    let client = server.client().await;
    let wanted = config(&client).await;
    let mut altered = wanted.clone();
    altered["allow_direct"] = json!(false);
    altered["allow_atomic"] = json!(false);
    altered["discard"] = json!("old");
    altered["max_age"] = json!(3_600_000_000_000_u64);
    altered["max_msgs"] = json!(1_000_000);
    altered["duplicate_window"] = json!(1_000_000_000);
    altered["description"] = json!("the operator's own");
    let answer = ask(&client, "STREAM.UPDATE.JOURNAL", altered).await;
    assert_eq!(answer["error"], Value::Null);
    server.journal().await;
    let mut mended = config(&client).await;
    assert_eq!(mended["description"].take(), "the operator's own");
    mended
        .as_object_mut()
        .expect("it is one")
        .remove("description");
    assert_eq!(mended, wanted);
}

#[tokio::test]
async fn a_stream_that_cannot_be_mended_is_an_error_that_names_the_setting() {
    let server = Server::start().await;
    let client = server.client().await;
    let foreign = json!({"name": "JOURNAL", "subjects": ["journal.>"], "storage": "memory", "num_replicas": 1});
    let answer = ask(&client, "STREAM.CREATE.JOURNAL", foreign).await;
    assert_eq!(answer["error"], Value::Null);
    let opened = JetStreamJournal::open(client, Settings::default()).await;
    let error = opened.expect_err("memory is no place for a journal");
    assert!(matches!(error, SettingsError::Setting { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("`storage` = `\"memory\"`"), "{message}");
}

#[tokio::test]
async fn a_journal_cannot_be_deleted_from() {
    let server = Server::start().await;
    server.journal().await;
    let client = server.client().await;
    for (path, body) in [
        ("STREAM.PURGE.JOURNAL", Value::Null),
        ("STREAM.MSG.DELETE.JOURNAL", json!({"seq": 1})),
    ] {
        let answer = ask(&client, path, body).await;
        assert_ne!(answer["error"], Value::Null, "{path}");
    }
}

#[tokio::test]
async fn a_server_that_syncs_is_known_from_its_monitor_and_from_the_system_account() {
    let server = Server::start().await;
    let client = server.client().await;
    server::check(&client).expect("it is new enough");
    for evidence in [
        SyncEvidence::Monitor(format!("127.0.0.1:{}", server.monitor_port)),
        SyncEvidence::SystemAccount(server.system_client().await),
        SyncEvidence::Stated,
    ] {
        let checked = server::check_sync(&client, &evidence).await;
        checked.expect("it syncs before it acknowledges");
    }
}

#[tokio::test]
async fn a_server_that_does_not_sync_is_refused() {
    let server = Server::start_with("sync_interval: 2m").await;
    let client = server.client().await;
    for evidence in [
        SyncEvidence::Monitor(format!("127.0.0.1:{}", server.monitor_port)),
        SyncEvidence::SystemAccount(server.system_client().await),
    ] {
        let checked = server::check_sync(&client, &evidence).await;
        assert!(
            matches!(checked, Err(ServerError::SyncInterval { .. })),
            "{checked:?}"
        );
    }
}

#[tokio::test]
async fn another_servers_monitor_proves_nothing() {
    let (server, other) = (Server::start().await, Server::start().await);
    let client = server.client().await;
    let monitor = SyncEvidence::Monitor(format!("127.0.0.1:{}", other.monitor_port));
    let checked = server::check_sync(&client, &monitor).await;
    assert!(
        matches!(checked, Err(ServerError::OtherServer { .. })),
        "{checked:?}"
    );
    let plain_user = SyncEvidence::SystemAccount(server.client().await);
    let checked = server::check_sync(&client, &plain_user).await;
    assert!(
        matches!(checked, Err(ServerError::Report { .. })),
        "{checked:?}"
    );
}

#[tokio::test]
async fn an_address_with_a_password_is_not_told() {
    let error = connect("nats://user:secret@127.0.0.1:1", "test").await;
    let error = error.expect_err("nobody listens there").to_string();
    assert!(!error.contains("secret"), "{error}");
}
