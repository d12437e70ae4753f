//! Filling an empty journal with what a backup has, each commit at its own position.

use std::time::Duration;

use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::{Client, HeaderMap, Subscriber};
use commands::journal::BoxError;
use commands::seal::RawCommit;
use futures_util::StreamExt as _;

use super::api::{self, ApiError, STREAM_NOT_FOUND};
use super::journal::Settings;
use super::journal::message::{CHAIN, TRACE};

/// How long JetStream may take to acknowledge one message.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages under way at once: enough to hide the way to the server.
const IN_FLIGHT_MAX: usize = 1_000;

/// Whether nothing was ever written to the streams with these names, there or not.
///
/// # Errors
/// When JetStream does not answer.
pub async fn are_empty(client: &Client, streams: &[&str]) -> Result<bool, ApiError> {
    for stream in streams {
        match api::state(client, stream).await {
            Ok(state) if state.last_seq == 0 => {}
            Ok(_) => return Ok(false),
            Err(error) if error.is(STREAM_NOT_FOUND) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes `commits` to the journal that `settings` names, from its first position on.
///
/// # Errors
/// When one cannot be had, or is not taken at its own position.
pub async fn refill(
    client: &Client,
    settings: &Settings,
    commits: impl Iterator<Item = Result<RawCommit, BoxError>>,
) -> Result<(), BoxError> {
    let inbox = client.new_inbox();
    let mut acks = client.subscribe(inbox.clone()).await?;
    let (mut sent, mut acknowledged) = (0, 0);
    for commit in commits {
        let commit = commit?;
        if sent - acknowledged >= IN_FLIGHT_MAX {
            acknowledged += 1;
            acknowledge(&mut acks, acknowledged as u64).await?;
        }
        let subject = format!("{}.{}", settings.prefix, commit.stream);
        let headers = headers(&commit);
        let reply = inbox.clone();
        let sending =
            client.publish_with_reply_and_headers(subject, reply, headers, commit.payload);
        sending.await?;
        sent += 1;
    }
    while acknowledged < sent {
        acknowledged += 1;
        acknowledge(&mut acks, acknowledged as u64).await?;
    }
    Ok(())
}

/// Acknowledgements come in the order of the messages, and where one is refused so is every later one.
async fn acknowledge(acks: &mut Subscriber, position: u64) -> Result<(), BoxError> {
    let ack = tokio::time::timeout(ACK_TIMEOUT, acks.next()).await;
    let ack = ack.ok().flatten().filter(|ack| ack.status.is_none());
    let ack = ack.ok_or_else(|| format!("position `{position}` was not acknowledged"))?;
    match api::stored(&ack.payload)? {
        Ok(ack) if ack.seq == position && !ack.duplicate => Ok(()),
        Ok(ack) => Err(format!("position `{position}` was taken at `{}`", ack.seq).into()),
        Err(refusal) => {
            let (code, text) = (refusal.code, refusal.description);
            Err(format!("position `{position}` was refused: {text} (code `{code}`)").into())
        }
    }
}

fn headers(commit: &RawCommit) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        NATS_EXPECTED_LAST_SEQUENCE,
        (commit.position.0 - 1).to_string(),
    );
    for (name, value) in [
        (NATS_MESSAGE_ID, &commit.command),
        (CHAIN, &commit.chain),
        (TRACE, &commit.trace),
    ] {
        if !value.is_empty() {
            headers.insert(name, value.as_str());
        }
    }
    headers
}
