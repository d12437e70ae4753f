//! The raw log: single durable appends with the same headers that the journal's appends have, and
//! the ordered read of a stream.

use std::time::{Duration, Instant};

use async_nats::header::{
    NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    NATS_MESSAGE_ID,
};
use async_nats::jetstream::consumer::{DeliverPolicy, push};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{HeaderMap, Request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::Error;

/// The stream that the raw appends go to.
pub const STREAM: &str = "BENCH_RAW";

/// Its subjects are `bench.raw.<id>`: one for each aggregate, as in the journal.
const SUBJECT_PREFIX: &str = "bench.raw.";

/// As long as the journal's, for the server keeps every id of the window in memory.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// How long the server may be silent in a read before the read counts as broken off.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A connection to the account of the journal.
#[derive(Debug, Clone)]
pub struct RawLog {
    context: Context,
}

/// One append, as the journal would make it.
#[derive(Debug, Clone)]
pub struct RawAppend {
    /// The last token of the subject.
    pub id: String,
    /// The sequence of the subject's last message; 0 where there is none.
    pub expected: u64,
    /// By which duplicates are known, where the command can come again.
    pub message_id: Option<String>,
    /// The message.
    pub payload: Bytes,
    /// Headers that the server does not look at.
    pub headers: Vec<(&'static str, String)>,
}

/// The answer to an append.
#[derive(Debug, Deserialize)]
struct Stored {
    error: Option<serde_json::Value>,
}

/// How long it took to read a stream.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// How many messages there were.
    pub messages: u64,
    /// From the request to the last one.
    pub elapsed: Duration,
}

fn failed<E>(doing: &'static str) -> impl FnOnce(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| Error::Log {
        doing,
        source: Box::new(source),
    }
}

impl RawLog {
    /// Connects to `url`, which holds user and password.
    ///
    /// # Errors
    /// When nobody answers there, or the user is not taken.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let client = crate::nats::connect(url, "ledgerline-bench").await;
        let client = client.map_err(failed("connect"))?;
        Ok(Self {
            context: jetstream::new(client),
        })
    }

    /// The version of the server, as it says itself.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.context.client().server_info().version
    }

    /// Makes the stream, empty, with the settings of the journal.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn make(&self) -> Result<(), Error> {
        self.remove().await?;
        let config = Config {
            name: STREAM.to_owned(),
            subjects: vec![format!("{SUBJECT_PREFIX}>")],
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            duplicate_window: DUPLICATE_WINDOW,
            allow_direct: true,
            allow_atomic_publish: true,
            ..Config::default()
        };
        let made = self.context.create_stream(config).await;
        made.map(drop).map_err(failed("create the stream"))
    }

    /// Removes the stream, if there is one.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn remove(&self) -> Result<(), Error> {
        if self.context.get_stream(STREAM).await.is_ok() {
            let removed = self.context.delete_stream(STREAM).await;
            removed.map_err(failed("delete the stream"))?;
        }
        Ok(())
    }

    /// One append; its sequence, once it is on the disk.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn append(&self, append: RawAppend) -> Result<u64, Error> {
        let subject = format!("{SUBJECT_PREFIX}{}", append.id);
        let mut message = PublishMessage::build()
            .payload(append.payload)
            .expected_last_subject_sequence(append.expected);
        if let Some(id) = append.message_id {
            message = message.message_id(id);
        }
        for (name, value) in append.headers {
            message = message.header(name, value);
        }
        let sent = self.context.send_publish(subject, message).await;
        let acknowledged = sent.map_err(failed("append"))?.await;
        Ok(acknowledged.map_err(failed("append"))?.sequence)
    }

    /// Appends on as many subjects as one atomic batch; done once they are on the disk.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn append_group(&self, group: Vec<RawAppend>) -> Result<(), Error> {
        let client = self.context.client();
        let inbox = client.new_inbox();
        let batch = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let last = group.len();
        for (number, append) in (1..).zip(group) {
            let mut headers = HeaderMap::new();
            if let Some(id) = append.message_id {
                headers.insert(NATS_MESSAGE_ID, id);
            }
            let expected = append.expected.to_string();
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected);
            headers.insert(NATS_BATCH_ID, batch.as_str());
            headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
            for (name, value) in append.headers {
                headers.insert(name, value);
            }
            let subject = format!("{SUBJECT_PREFIX}{}", append.id);
            if number < last {
                let sent = client.publish_with_headers(subject, headers, append.payload);
                sent.await.map_err(failed("append a group"))?;
                continue;
            }
            headers.insert(NATS_BATCH_COMMIT, "1");
            let request = Request::new().headers(headers).payload(append.payload);
            let answer = client.send_request(subject, request).await;
            let answer = answer.map_err(failed("append a group"))?;
            let stored: Stored =
                serde_json::from_slice(&answer.payload).map_err(failed("append a group"))?;
            if let Some(error) = stored.error {
                let refused = std::io::Error::other(error.to_string());
                return Err(failed("append a group")(refused));
            }
        }
        Ok(())
    }

    /// Reads `stream` from its first message to its present last one, and looks at nothing.
    ///
    /// # Errors
    /// When the server does not answer, or falls silent on the way.
    pub async fn read(&self, stream: &str) -> Result<Read, Error> {
        let started = Instant::now();
        let handle = self.context.get_stream(stream).await;
        let handle = handle.map_err(failed("find the stream"))?;
        let last = handle.cached_info().state.last_sequence;
        let config = push::OrderedConfig {
            deliver_subject: self.context.client().new_inbox(),
            deliver_policy: DeliverPolicy::All,
            ..push::OrderedConfig::default()
        };
        let consumer = handle.create_consumer(config).await;
        let consumer = consumer.map_err(failed("create a consumer"))?;
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(failed("read"))?;
        let mut count = 0;
        while count < last {
            let next = tokio::time::timeout(SILENCE_MAX, messages.next()).await;
            let Ok(Some(message)) = next else {
                let stream = stream.to_owned();
                return Err(Error::Ended {
                    stream,
                    messages: count,
                });
            };
            message.map_err(failed("read"))?;
            // The journal has no gaps: nothing in it can be deleted.
            count += 1;
        }
        Ok(Read {
            messages: count,
            elapsed: started.elapsed(),
        })
    }
}
