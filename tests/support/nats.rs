//! The streams, as a plain client reads them: nothing here knows the program's own code.

use std::str::FromStr as _;

use anyhow::Context as _;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, HeaderName};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::{TestResult, within};

/// One message of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Stored {
    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let name = HeaderName::from_str(name).expect("tests name plain headers");
        self.headers.get(name).map(|value| value.as_str()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> TestResult<Value> {
        Ok(serde_json::from_slice(&self.payload)?)
    }
}

/// A connection with the user and password of the address.
pub(crate) async fn connect(url: &str) -> TestResult<Client> {
    async_nats::connect(url).await.context("connect to nats")
}

/// Everything that stands in a stream now.
pub(crate) async fn read_all(url: &str, stream: &str) -> TestResult<Vec<Stored>> {
    let client = connect(url).await?;
    let stream = jetstream::new(client).get_stream(stream).await?;
    read(&stream, OrderedConfig::default()).await
}

/// What a reader of a stream is given until nothing more waits for it.
pub(crate) async fn read(
    stream: &stream::Stream,
    config: OrderedConfig,
) -> TestResult<Vec<Stored>> {
    let mut consumer = stream.create_consumer(config).await?;
    let waiting = consumer.info().await?.num_pending;
    if waiting == 0 {
        return Ok(Vec::new());
    }
    let mut messages = consumer.messages().await?;
    let mut read = Vec::new();
    loop {
        let message = within("the next message", messages.next()).await?.context("it goes on")??;
        let info = message.info().map_err(|error| anyhow::anyhow!("{error}"))?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        let message = message.message;
        read.push(Stored {
            sequence,
            subject: message.subject.to_string(),
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
        });
        if pending == 0 {
            return Ok(read);
        }
    }
}

/// The settings and the state of a stream, as the server tells them.
pub(crate) async fn info(client: &Client, stream: &str) -> TestResult<Value> {
    let answer = client.request(format!("$JS.API.STREAM.INFO.{stream}"), Bytes::new()).await?;
    Ok(serde_json::from_slice(&answer.payload)?)
}
