//! Snapshots on JetStream: the last message of `snapshot.<tenant>.<category>.<id>`.

use std::time::Duration;

use async_nats::{Client, HeaderMap, HeaderName, Request};
use commands::journal::BoxError;
use commands::{Snapshot, Snapshots};
use domain::{Chain, Position, StreamId};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::json;

use super::api::{self, ApiError};
use super::settings::{SettingsError, Stream};
use super::{direct, subjects};

/// How long the server may take to keep a snapshot; without one, only time is lost.
const SAVE_TIMEOUT: Duration = Duration::from_secs(5);

const STATE_VERSION: HeaderName = HeaderName::from_static("Ledgerline-State-Version");
const POSITION: HeaderName = HeaderName::from_static("Ledgerline-Position");
const VERSION: HeaderName = HeaderName::from_static("Ledgerline-Version");
const CHAIN: HeaderName = HeaderName::from_static("Ledgerline-Chain");

const STREAM: &str = "SNAPSHOTS";
const PREFIX: &str = "snapshot";

/// The stream of snapshots.
#[derive(Debug, Clone)]
pub struct JetStreamSnapshots {
    client: Client,
}

#[derive(Debug, thiserror::Error)]
#[error("snapshot has no readable header `{0}`")]
struct InvalidHeader(&'static str);

impl JetStreamSnapshots {
    /// Creates or mends the stream `SNAPSHOTS`.
    ///
    /// # Errors
    /// When the stream cannot be made what it must be.
    pub async fn open(client: Client, replicas: Option<usize>) -> Result<Self, SettingsError> {
        wanted(replicas).ensure(&client).await?;
        Ok(Self { client })
    }

    async fn load_last(&self, stream: &StreamId) -> Result<Option<Snapshot>, BoxError> {
        let subject = subjects::of_stream(PREFIX, stream);
        let Some(stored) = direct::last(&self.client, STREAM, &subject).await? else {
            return Ok(None);
        };
        let headers = stored.message.headers.unwrap_or_default();
        Ok(Some(Snapshot {
            stream: stream.clone(),
            state_version: parse(&headers, STATE_VERSION, "Ledgerline-State-Version")?,
            position: Position(parse(&headers, POSITION, "Ledgerline-Position")?),
            version: parse(&headers, VERSION, "Ledgerline-Version")?,
            chain: parse::<Chain>(&headers, CHAIN, "Ledgerline-Chain")?,
            state: stored.message.payload,
        }))
    }

    async fn save_last(&self, snapshot: Snapshot) -> Result<(), BoxError> {
        let mut headers = HeaderMap::new();
        headers.insert(STATE_VERSION, snapshot.state_version.to_string());
        headers.insert(POSITION, snapshot.position.to_string());
        headers.insert(VERSION, snapshot.version.to_string());
        headers.insert(CHAIN, snapshot.chain.to_string());
        let subject = subjects::of_stream(PREFIX, &snapshot.stream);
        let request = Request::new()
            .headers(headers)
            .payload(snapshot.state)
            .timeout(Some(SAVE_TIMEOUT));
        let answer = self.client.send_request(subject.clone(), request).await?;
        match api::stored(&answer.payload)? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(ApiError::Refused {
                subject,
                code: refusal.code,
                description: refusal.description,
            }
            .into()),
        }
    }
}

pub(super) fn wanted(replicas: Option<usize>) -> Stream {
    let own =
        json!({"max_msgs_per_subject": 1, "discard": "old", "duplicate_window": 1_000_000_000_u64});
    // A snapshot that is lost costs time only, so nothing waits for the disk.
    Stream::new(STREAM, PREFIX, replicas, own).wish(json!({"persist_mode": "async"}))
}

impl Snapshots for JetStreamSnapshots {
    fn load<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, BoxError>> {
        self.load_last(stream).boxed()
    }

    fn save(&self, snapshot: Snapshot) -> BoxFuture<'_, Result<(), BoxError>> {
        self.save_last(snapshot).boxed()
    }
}

fn parse<T: std::str::FromStr>(
    headers: &HeaderMap,
    name: HeaderName,
    text: &'static str,
) -> Result<T, InvalidHeader> {
    let value = headers
        .get(name)
        .and_then(|value| value.as_str().parse().ok());
    value.ok_or(InvalidHeader(text))
}
