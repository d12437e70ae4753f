//! The streams, as a plain client reads them: nothing here knows the program's own code.

use std::str::FromStr as _;

use anyhow::Context as _;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions, HeaderMap, HeaderName};
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
        self.headers
            .get(name)
            .map(|value| value.as_str())
            .unwrap_or_default()
    }

    /// An attribute of a CloudEvent in structured mode; empty where there is none.
    pub(crate) fn attribute(&self, name: &str) -> String {
        let event: Value = serde_json::from_slice(&self.payload).unwrap_or_default();
        event[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn json(&self) -> TestResult<Value> {
        Ok(serde_json::from_slice(&self.payload)?)
    }
}

/// A connection with the user and password of the address.
pub(crate) async fn connect(url: &str) -> TestResult<Client> {
    let (options, address) = options(url)?;
    options.connect(address).await.context("connect to nats")
}

/// The client does not take user and password out of an address by itself.
pub(crate) fn options(url: &str) -> TestResult<(ConnectOptions, String)> {
    let (user, address) = url
        .trim_start_matches("nats://")
        .split_once('@')
        .context("a user")?;
    let (user, password) = user.split_once(':').context("a password")?;
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    Ok((options, address.to_owned()))
}

/// Everything that stands in a stream now.
pub(crate) async fn read_all(url: &str, stream: &str) -> TestResult<Vec<Stored>> {
    let client = connect(url).await?;
    let stream = jetstream::new(client).get_stream(stream).await?;
    let all = read(&stream, OrderedConfig::default()).await?;
    // Nothing is ever deleted in the middle: whoever misses a message has not read everything.
    let gap = all
        .windows(2)
        .find(|pair| pair[0].sequence + 1 != pair[1].sequence);
    anyhow::ensure!(gap.is_none(), "the reader missed something: {gap:?}");
    Ok(all)
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
        let message = within("the next message", messages.next())
            .await?
            .context("it goes on")??;
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
    let answer = client
        .request(format!("$JS.API.STREAM.INFO.{stream}"), Bytes::new())
        .await?;
    Ok(serde_json::from_slice(&answer.payload)?)
}
