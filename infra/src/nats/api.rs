//! Requests to JetStream's own interface: JSON in, JSON or an error out.

use std::time::Duration;

use async_nats::{Client, Message, Request, RequestError, RequestErrorKind};
use bytes::Bytes;
use commands::ReadError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

/// How long JetStream may take to answer. Longer than a leader's election on a busy cluster.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// After how long without an answer the same is asked again. While a leader is elected nobody answers, and
/// the one that is elected then knows nothing of what was asked before: whoever only waited would wait for
/// seconds that it has no more need of.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The code for a stream that does not exist.
pub(super) const STREAM_NOT_FOUND: u64 = 10_059;

/// The code for a message that does not exist.
const MESSAGE_NOT_FOUND: u64 = 10_037;

/// Why JetStream did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It did not answer.
    #[error("ask JetStream `{subject}`")]
    Unanswered {
        /// What was asked.
        subject: String,
        /// Why.
        #[source]
        source: async_nats::RequestError,
    },
    /// There is no JetStream for this user.
    #[error("ask JetStream `{subject}`: nobody listens: JetStream is off, or not for this user")]
    Nobody {
        /// What was asked.
        subject: String,
    },
    /// It answered something that this program does not understand.
    #[error("understand JetStream's answer to `{subject}`")]
    Answer {
        /// What was asked.
        subject: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
    /// It refused.
    #[error("JetStream refused `{subject}`: {description} (code `{code}`)")]
    Refused {
        /// What was asked.
        subject: String,
        /// JetStream's own number for the reason.
        code: u64,
        /// JetStream's words for it.
        description: String,
    },
}

/// The error in an answer of JetStream.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "err_code", default)]
    pub(super) code: u64,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<Refusal>,
}

/// Asks `$JS.API.<path>`, more than once where no answer comes: it must not matter when it is done twice.
pub(super) async fn ask<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    body: Option<&Value>,
) -> Result<T, ApiError> {
    let subject = format!("$JS.API.{path}");
    let body = body.map(Value::to_string).unwrap_or_default();
    let answer = match answered(client, &subject, body.into()).await {
        Ok(answer) => answer.payload,
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            return Err(ApiError::Nobody { subject });
        }
        Err(source) => return Err(ApiError::Unanswered { subject, source }),
    };
    let parsed = serde_json::from_slice::<Answer>(&answer).and_then(|head| match head.error {
        Some(refusal) => Ok(Err(refusal)),
        None => serde_json::from_slice(&answer).map(Ok),
    });
    match parsed {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Refusal { code, description })) => Err(ApiError::Refused {
            subject,
            code,
            description,
        }),
        Err(source) => Err(ApiError::Answer { subject, source }),
    }
}

/// The first answer to `body`, which is asked again and again. An answer to what was asked before counts as
/// well: a server that is slow is not asked in vain.
async fn answered(client: &Client, subject: &str, body: Bytes) -> Result<Message, RequestError> {
    let until = Instant::now() + ANSWER_TIMEOUT;
    let mut asked = FuturesUnordered::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let request = Request::new().payload(body.clone()).timeout(Some(left));
        asked.push(client.send_request(subject.to_owned(), request));
        // All of them end at the same moment, and this with them.
        if let Ok(Some(answer)) = timeout(ASKED_AGAIN_AFTER, asked.next()).await {
            return answer;
        }
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct State {
    pub(super) messages: u64,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

/// Asks the stream's leader where it stands.
pub(super) async fn state(client: &Client, stream: &str) -> Result<State, ApiError> {
    #[derive(Deserialize)]
    struct Info {
        state: State,
    }
    let info: Info = ask(client, &format!("STREAM.INFO.{stream}"), None).await?;
    Ok(info.state)
}

/// Where the stream's leader has the last message on `subject`; 0 where it has none.
pub(super) async fn last_on(client: &Client, stream: &str, subject: &str) -> Result<u64, ApiError> {
    #[derive(Deserialize)]
    struct Got {
        message: Last,
    }
    #[derive(Deserialize)]
    struct Last {
        seq: u64,
    }
    let body = json!({"last_by_subj": subject});
    match ask::<Got>(client, &format!("STREAM.MSG.GET.{stream}"), Some(&body)).await {
        Ok(got) => Ok(got.message.seq),
        Err(error) if error.is(MESSAGE_NOT_FOUND) => Ok(0),
        Err(error) => Err(error),
    }
}

impl From<ApiError> for ReadError {
    fn from(error: ApiError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl ApiError {
    /// Whether what was asked about does not exist.
    pub(super) fn is(&self, wanted: u64) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == wanted)
    }
}

/// What JetStream answers to a message that it stored.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct PubAck {
    pub(super) seq: u64,
    #[serde(default)]
    pub(super) duplicate: bool,
    /// For an atomic batch: how many messages it had.
    #[serde(default)]
    pub(super) count: u64,
}

/// Reads the answer to a message that was published.
pub(super) fn stored(answer: &[u8]) -> Result<Result<PubAck, Refusal>, serde_json::Error> {
    match serde_json::from_slice::<Answer>(answer)?.error {
        Some(refusal) => Ok(Err(refusal)),
        None => serde_json::from_slice(answer).map(Ok),
    }
}
