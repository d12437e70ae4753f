//! An endless, ordered read of a stream that gets over everything: a lost connection, a server that
//! was restarted, a consumer that was deleted or has silently stopped, a message that was dropped.
//!
//! Each time it begins again with a new consumer behind the last message it met. It knows that it has
//! to by the server's heartbeats, by the consumer's own numbering, and by looking where the stream
//! ends when nothing has come for a while.

use std::time::Duration;

use async_nats::{Client, HeaderName, Message, Subscriber};
use futures_util::StreamExt;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{api, direct};

/// How often an idle consumer says that it lives.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Silence after which the consumer counts as lost: three heartbeats and some.
const SILENCE_MAX: Duration = Duration::from_millis(1_700);

/// How often an idle reader looks whether the stream really ends where it stands.
const STALL_CHECK: Duration = Duration::from_secs(3);

/// How long the server keeps a consumer whose reader has gone.
const INACTIVE: Duration = Duration::from_secs(30);

/// The first and the longest wait before a consumer is made again; it doubles in between.
const RETRY_MS: (u64, u64) = (50, 2_000);

/// How many times longer than the wait behind it a try may take: the first 1 second, and with each failure
/// twice as long, up to JetStream's own limit. A server that has died may be given the consumer while it is not
/// known to be away, and then nobody answers; with another name the consumer may be given to another one.
const TRY_FOR_RETRIES: u32 = 20;

const LAST_CONSUMER: HeaderName = HeaderName::from_static("Nats-Last-Consumer");
const STALLED: HeaderName = HeaderName::from_static("Nats-Consumer-Stalled");

/// A read of one stream, or of some of its subjects.
#[derive(Debug)]
pub(super) struct Ordered {
    client: Client,
    stream: String,
    filter: Option<String>,
    /// The last message that was met, by its place in the stream.
    seen: u64,
    consumer: Option<Consumer>,
    retry_ms: u64,
    stall: Stall,
}

/// A message, and its place in the stream.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) sequence: u64,
    /// How many messages its consumer has behind it, as far as that consumer's server knows.
    pub(super) pending: u64,
    pub(super) message: Message,
}

/// What the server says of a message that it delivers.
struct Numbers {
    /// Its place in the stream.
    sequence: u64,
    /// Its number among what its consumer delivered.
    number: u64,
    pending: u64,
}

#[derive(Debug)]
struct Consumer {
    client: Client,
    stream: String,
    name: String,
    messages: Subscriber,
    /// How many messages it has delivered.
    delivered: u64,
}

/// What an idle reader knows of the stream's end.
#[derive(Debug)]
struct Stall {
    checked: Instant,
    /// Where the stream ended at the last check, if that was behind what was met.
    missing: Option<u64>,
}

impl Ordered {
    pub(super) fn new(client: Client, stream: String, filter: Option<String>, after: u64) -> Self {
        Self {
            client,
            stream,
            filter,
            seen: after,
            consumer: None,
            retry_ms: RETRY_MS.0,
            stall: Stall {
                checked: Instant::now(),
                missing: None,
            },
        }
    }

    /// The next message; waits as long as it takes.
    pub(super) async fn next(&mut self) -> Delivered {
        loop {
            let Some(consumer) = &mut self.consumer else {
                self.begin().await;
                continue;
            };
            let message = tokio::time::timeout(SILENCE_MAX, consumer.messages.next()).await;
            match message {
                Ok(Some(message)) if message.status.is_some() => self.hear(message).await,
                Ok(Some(message)) => match numbers(&message) {
                    Some(numbers) if numbers.number == consumer.delivered + 1 => {
                        consumer.delivered = numbers.number;
                        self.seen = numbers.sequence;
                        return Delivered {
                            sequence: numbers.sequence,
                            pending: numbers.pending,
                            message,
                        };
                    }
                    Some(_) | None => self.begin_again("a message was lost on the way").await,
                },
                Ok(None) => self.begin_again("the subscription has ended").await,
                Err(_) => self.begin_again("its consumer is silent").await,
            }
        }
    }

    /// Goes back to behind `seen`, with a new consumer.
    pub(super) async fn rewind(&mut self, seen: u64) {
        self.seen = seen;
        self.begin_again("a message is missing").await;
    }

    /// Heartbeats, and the questions of flow control.
    async fn hear(&mut self, message: Message) {
        let header = |name| {
            message
                .headers
                .as_ref()
                .and_then(|headers| headers.get(name))
        };
        let stalled = header(STALLED).map(|subject| subject.as_str().to_owned());
        let answer = message.reply.as_ref().map(ToString::to_string).or(stalled);
        if let Some(subject) = answer {
            if self.client.publish(subject, "".into()).await.is_err() {
                self.begin_again("the connection has ended").await;
            }
            return;
        }
        let told = header(LAST_CONSUMER).and_then(|number| number.as_str().parse::<u64>().ok());
        let delivered = self.consumer.as_ref().map(|consumer| consumer.delivered);
        if told.is_some() && told != delivered {
            self.begin_again("a message was lost on the way").await;
        } else if self.stall.checked.elapsed() >= STALL_CHECK {
            self.check_for_stall().await;
        }
    }

    /// A consumer that lives and delivers nothing is found out by where the stream ends: what was
    /// missing at one check must have come by the next.
    async fn check_for_stall(&mut self) {
        let end = match &self.filter {
            None => {
                let state = api::state(&self.client, &self.stream).await;
                state.ok().map(|state| state.last_seq)
            }
            Some(filter) => {
                let last = direct::last(&self.client, &self.stream, filter).await;
                last.ok().flatten().map(|last| last.sequence)
            }
        };
        self.stall.checked = Instant::now();
        let was_missing = self.stall.missing.take();
        if was_missing.is_some_and(|missing| missing > self.seen) {
            self.begin_again("its consumer has stopped").await;
        } else {
            self.stall.missing = end.filter(|end| *end > self.seen);
        }
    }

    async fn begin_again(&mut self, reason: &str) {
        tracing::info!(
            stream = self.stream,
            seen = self.seen,
            reason,
            "a reader begins again behind the last message it met"
        );
        metrics::counter!("ledgerline_reader_restarts_total", "stream" => self.stream.clone())
            .increment(1);
        self.consumer = None;
    }

    /// Makes a consumer; on failure waits a little.
    async fn begin(&mut self) {
        let limit = Duration::from_millis(self.retry_ms) * TRY_FOR_RETRIES;
        let made = tokio::time::timeout(limit, self.consumer()).await;
        match made.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(consumer) => {
                self.consumer = Some(consumer);
                self.retry_ms = RETRY_MS.0;
                self.stall.checked = Instant::now();
                self.stall.missing = None;
            }
            Err(error) => {
                tracing::warn!(
                    stream = self.stream,
                    error = error.as_ref(),
                    "make a consumer"
                );
                tokio::time::sleep(Duration::from_millis(self.retry_ms)).await;
                self.retry_ms = (self.retry_ms * 2).min(RETRY_MS.1);
            }
        }
    }

    async fn consumer(&self) -> Result<Consumer, Box<dyn std::error::Error + Send + Sync>> {
        let inbox = self.client.new_inbox();
        let name = format!("reader-{}", inbox.rsplit('.').next().unwrap_or_default());
        let messages = self.client.subscribe(inbox.clone()).await?;
        let mut config = json!({
            "name": name,
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.seen + 1,
            "ack_policy": "none",
            "max_deliver": 1,
            "replay_policy": "instant",
            "flow_control": true,
            "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
            "inactive_threshold": INACTIVE.as_nanos() as u64,
            "mem_storage": true,
            "num_replicas": 1,
        });
        if let Some(filter) = &self.filter {
            config["filter_subject"] = json!(filter);
        }
        let path = format!("CONSUMER.CREATE.{}.{name}", self.stream);
        let request = json!({"stream_name": self.stream, "config": config});
        let _created: IgnoredAny = api::ask(&self.client, &path, Some(&request)).await?;
        Ok(Consumer {
            client: self.client.clone(),
            stream: self.stream.clone(),
            name,
            messages,
            delivered: 0,
        })
    }
}

/// Nobody reads on from it, and until it is deleted the server looks at it with every message.
impl Drop for Consumer {
    fn drop(&mut self) {
        let client = self.client.clone();
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.stream, self.name);
        // Where that fails, or no runtime is left, it goes by itself when it has been inactive.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = client.publish(subject, "".into()).await {
                    tracing::debug!(%error, "a consumer is left to go by itself");
                }
            });
        }
    }
}

/// Read from the reply subject
/// `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>`, or the longer form that
/// has domain and account in front (NATS ADR-15).
fn numbers(message: &Message) -> Option<Numbers> {
    let reply = message.reply.as_ref()?.as_str();
    let tokens_max = reply.bytes().filter(|byte| *byte == b'.').count() + 1;
    let in_front = if tokens_max >= 11 { 7 } else { 5 };
    let mut tokens = reply.split('.').skip(in_front);
    let sequence = tokens.next()?.parse().ok()?;
    let number = tokens.next()?.parse().ok()?;
    let pending = tokens.nth(1)?.parse().ok()?;
    Some(Numbers {
        sequence,
        number,
        pending,
    })
}
