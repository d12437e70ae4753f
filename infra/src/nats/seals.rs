//! Seals on JetStream: one message a seal, as JSON, where the sequence is the seal's number.
//!
//! Each is written as the one behind the last, so two sealers make no seal twice. Like the journal,
//! the stream forbids to delete and to purge.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::{Client, HeaderMap, Request};
use commands::ReadError;
use commands::journal::BoxError;
use commands::seal::{AppendSealError, Seal, Seals};
use domain::Position;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde_json::json;

use super::api::{self, ApiError, STREAM_NOT_FOUND};
use super::settings::{SettingsError, Stream};
use super::{direct, raw};

const STREAM: &str = "SEALS";
const PREFIX: &str = "seal";
/// What is sealed.
const SUBJECT: &str = "seal.journal";

/// How long JetStream may take to acknowledge.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The stream does not end where the seal expects it to.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];

/// The stream of seals.
#[derive(Debug, Clone)]
pub struct JetStreamSeals {
    client: Client,
}

impl JetStreamSeals {
    /// Creates or mends the stream `SEALS`.
    ///
    /// # Errors
    /// When the stream cannot be made what it must be.
    pub async fn open(client: Client, replicas: Option<usize>) -> Result<Self, SettingsError> {
        wanted(replicas).ensure(&client).await?;
        Ok(Self::of(client))
    }

    /// The stream as it is, for one who only reads.
    #[must_use]
    pub fn of(client: Client) -> Self {
        Self { client }
    }

    async fn append_next(&self, seal: Seal) -> Result<(), AppendSealError> {
        let unavailable = |error: BoxError| AppendSealError::Unavailable(error);
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, (seal.number - 1).to_string());
        let payload = serde_json::to_vec(&seal).map_err(|error| unavailable(error.into()))?;
        let request = Request::new()
            .headers(headers)
            .payload(payload.into())
            .timeout(Some(ACK_TIMEOUT));
        let answer = self.client.send_request(SUBJECT, request).await;
        let answer = answer.map_err(|error| unavailable(error.into()))?;
        match api::stored(&answer.payload).map_err(|error| unavailable(error.into()))? {
            Ok(_) => Ok(()),
            Err(refusal) if WRONG_LAST_SEQUENCE.contains(&refusal.code) => {
                Err(AppendSealError::Overtaken)
            }
            Err(refusal) => {
                let refused = ApiError::Refused {
                    subject: SUBJECT.to_owned(),
                    code: refusal.code,
                    description: refusal.description,
                };
                Err(unavailable(refused.into()))
            }
        }
    }

    async fn load_last(&self) -> Result<Option<Seal>, ReadError> {
        let last = direct::last(&self.client, STREAM, SUBJECT).await;
        let last = last.map_err(|error| ReadError::Unavailable(error.into()))?;
        last.map(|stored| decode(stored.sequence, &stored.message.payload))
            .transpose()
    }

    /// How many seals there are; none where there is no stream of them.
    async fn count(&self) -> Result<u64, ApiError> {
        match api::state(&self.client, STREAM).await {
            Ok(state) => Ok(state.last_seq),
            Err(error) if error.is(STREAM_NOT_FOUND) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn wanted(replicas: Option<usize>) -> Stream {
    let own = json!({"deny_delete": true, "deny_purge": true});
    Stream::new(STREAM, PREFIX, replicas, own)
}

impl Seals for JetStreamSeals {
    fn append(&self, seal: Seal) -> BoxFuture<'_, Result<(), AppendSealError>> {
        self.append_next(seal).boxed()
    }

    fn last(&self) -> BoxFuture<'_, Result<Option<Seal>, ReadError>> {
        self.load_last().boxed()
    }

    fn read(&self, after: u64) -> BoxStream<'_, Result<Seal, ReadError>> {
        let read = async move {
            let count = self.count().await?;
            Ok::<_, ApiError>(raw::up_to(
                self.client.clone(),
                STREAM.to_owned(),
                after,
                count,
            ))
        };
        let seals = stream::once(read).try_flatten().map(|delivered| {
            let delivered = delivered?;
            decode(delivered.sequence, &delivered.message.payload)
        });
        seals.boxed()
    }
}

fn decode(number: u64, payload: &[u8]) -> Result<Seal, ReadError> {
    serde_json::from_slice(payload).map_err(|error| ReadError::Unreadable {
        position: Position(number),
        reason: format!("it is no seal: {error}"),
    })
}
