//! The way over NATS: `worker.v1.…` as request and reply.

use async_nats::{Client, ConnectOptions, HeaderMap, Message, ServerAddr, StatusCode};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use percent_encoding::percent_decode_str;

use crate::Error;
use crate::transport::{ANSWER_MAX, Answer, Call, NoAnswer, Request, Transport, seconds};

pub(crate) struct Nats {
    client: Client,
    token: String,
}

impl Nats {
    pub(crate) async fn connect(url: &str, token: &str) -> Result<Self, Error> {
        let address: ServerAddr = url.parse().map_err(|_| Error::Address(url.to_owned()))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let options = match (address.username(), address.password()) {
            (Some(user), Some(password)) => {
                let user = decoded(user);
                // Where a user may listen to its own answers alone, this is the place.
                let inboxes = format!("_INBOX_{user}");
                ConnectOptions::with_user_and_password(user, decoded(password))
                    .custom_inbox_prefix(inboxes)
            }
            _ => ConnectOptions::new(),
        };
        let connected = options.name("ledgerline-worker").connect(address).await;
        Ok(Self {
            client: connected.map_err(|error| Error::Connect(error.into()))?,
            token: token.to_owned(),
        })
    }

    /// An inbox of its own for each request: when the request is dropped it is gone, and the server
    /// knows that nobody would hear the answer.
    async fn request(&self, request: Request<'_>) -> Result<Answer, NoAnswer> {
        let subject = match request.call {
            Call::Claim => "worker.v1.claim".to_owned(),
            Call::Report { id, verb } => format!("worker.v1.jobs.{id}.{verb}"),
        };
        let mut headers = HeaderMap::new();
        headers.insert("Authorization", format!("Bearer {}", self.token));
        if let Some(key) = request.key {
            headers.insert("Idempotency-Key", key);
        }
        let inbox = self.client.new_inbox();
        let mut answers = self
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(NoAnswer::because)?;
        self.client
            .publish_with_reply_and_headers(subject, inbox, headers, request.body)
            .await
            .map_err(NoAnswer::because)?;
        let answered = tokio::time::timeout(request.wait + ANSWER_MAX, answers.next()).await;
        let message = answered.map_err(NoAnswer::because)?;
        answer(message.ok_or_else(|| NoAnswer::because("connection is closed"))?)
    }
}

fn answer(message: Message) -> Result<Answer, NoAnswer> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(NoAnswer::because("nobody listens on `worker.v1.>`"));
    }
    let headers = message.headers.unwrap_or_default();
    let text = |name: &str| headers.get(name).map(|value| value.as_str());
    let status = text("Ledgerline-Status").and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| NoAnswer::because("answer has no status"))?,
        retry_after: text("Retry-After").and_then(seconds),
        body: message.payload,
    })
}

impl Transport for Nats {
    fn ask<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        self.request(request).boxed()
    }
}
