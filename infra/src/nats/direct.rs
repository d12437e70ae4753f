//! Direct get: messages of a stream by sequence or subject, without a consumer (NATS ADR-31).

use std::time::Duration;

use async_nats::{Client, HeaderName, Message, Request, StatusCode};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// How long a server may take between two messages of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages of one batch: a stream's tail is seldom longer, and a longer one is asked for in parts.
const BATCH_MESSAGES_MAX: u32 = 256;

/// Bytes of one batch, so that a stream of the largest commits does not fill the memory.
const BATCH_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// Batches that are read at once by this process. Each is up to 256 messages that the server pushes
/// as fast as it can: a herd of cold aggregates read all at once would be cut off as a slow client.
const BATCHES_MAX: usize = 64;

static BATCHES: Semaphore = Semaphore::const_new(BATCHES_MAX);

const MESSAGE_NOT_FOUND: u16 = 404;
const END_OF_BATCH: u16 = 204;

const SEQUENCE: HeaderName = HeaderName::from_static("Nats-Sequence");
const SUBJECT: HeaderName = HeaderName::from_static("Nats-Subject");
const PENDING: HeaderName = HeaderName::from_static("Nats-Num-Pending");

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("direct get: no answer")]
    Unanswered(#[source] async_nats::RequestError),
    #[error("direct get: subscribe")]
    Subscribe(#[source] async_nats::SubscribeError),
    #[error("direct get: publish")]
    Publish(#[source] async_nats::PublishError),
    #[error("direct get: answer did not come to an end")]
    Incomplete,
    #[error("direct get: no connection")]
    Disconnected,
    #[error("direct get: server answered `{status}`: {description}")]
    Refused {
        status: StatusCode,
        description: String,
    },
    #[error("direct get: message without `{0}`")]
    Header(&'static str),
}

/// A message as it is stored.
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) subject: String,
    pub(super) message: Message,
}

/// Some messages of a subject, and whether there are more behind them.
pub(super) struct Batch {
    pub(super) messages: Vec<Stored>,
    pub(super) is_last: bool,
}

/// The last message on a subject, which may have wildcards.
pub(super) async fn last(
    client: &Client,
    stream: &str,
    subject: &str,
) -> Result<Option<Stored>, Error> {
    one(client, stream, &json!({"last_by_subj": subject})).await
}

/// The first message at `sequence` or behind it.
pub(super) async fn first_from(
    client: &Client,
    stream: &str,
    sequence: u64,
    subject: &str,
) -> Result<Option<Stored>, Error> {
    let body = json!({"seq": sequence, "next_by_subj": subject});
    one(client, stream, &body).await
}

async fn one(client: &Client, stream: &str, body: &Value) -> Result<Option<Stored>, Error> {
    let request = Request::new()
        .payload(body.to_string().into())
        .timeout(Some(ANSWER_TIMEOUT));
    let answer = client
        .send_request(format!("$JS.API.DIRECT.GET.{stream}"), request)
        .await;
    let answer = answer.map_err(Error::Unanswered)?;
    match answer.status {
        None => Stored::new(answer).map(Some),
        Some(status) if status.as_u16() == MESSAGE_NOT_FOUND => Ok(None),
        Some(status) => Err(refused(status, answer)),
    }
}

/// Messages on `subject` behind `after`: one question, and as many answers as there are messages.
pub(super) async fn batch(
    client: &Client,
    stream: &str,
    after: u64,
    subject: &str,
) -> Result<Batch, Error> {
    let _turn = BATCHES
        .acquire()
        .await
        .expect("the semaphore is never closed");
    // A question that waits for the connection would be asked after its asker has given up.
    if client.connection_state() != async_nats::connection::State::Connected {
        return Err(Error::Disconnected);
    }
    let inbox = client.new_inbox();
    let mut answers = client
        .subscribe(inbox.clone())
        .await
        .map_err(Error::Subscribe)?;
    let body = json!({
        "seq": after + 1,
        "next_by_subj": subject,
        "batch": BATCH_MESSAGES_MAX,
        "max_bytes": BATCH_BYTES_MAX,
    });
    let question = format!("$JS.API.DIRECT.GET.{stream}");
    let asked = client.publish_with_reply(question, inbox, body.to_string().into());
    asked.await.map_err(Error::Publish)?;
    let mut messages = Vec::new();
    loop {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, answers.next()).await;
        let Ok(Some(answer)) = answer else {
            return Err(Error::Incomplete);
        };
        let Some(status) = answer.status else {
            messages.push(Stored::new(answer)?);
            continue;
        };
        let is_last = match status.as_u16() {
            MESSAGE_NOT_FOUND => true,
            END_OF_BATCH => number(&answer, &PENDING) == Some(0),
            _ => return Err(refused(status, answer)),
        };
        return Ok(Batch { messages, is_last });
    }
}

fn refused(status: StatusCode, answer: Message) -> Error {
    Error::Refused {
        status,
        description: answer.description.unwrap_or_default(),
    }
}

fn number(message: &Message, name: &HeaderName) -> Option<u64> {
    let value = message.headers.as_ref()?.get(name.clone())?;
    value.as_str().parse().ok()
}

impl Stored {
    fn new(message: Message) -> Result<Self, Error> {
        let sequence = number(&message, &SEQUENCE).ok_or(Error::Header("Nats-Sequence"))?;
        let headers = message.headers.as_ref();
        let subject = headers.and_then(|headers| headers.get(SUBJECT));
        let subject = subject.ok_or(Error::Header("Nats-Subject"))?;
        Ok(Self {
            sequence,
            subject: subject.as_str().to_owned(),
            message,
        })
    }
}
