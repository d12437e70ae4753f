//! Requests from other accounts' users, answered by whatever this is given: the way of the worker
//! protocol (`worker.v1.>`) into the program.
//!
//! Processes that listen share the requests (a queue group). What is asked and what is answered are no
//! matter of this module: it carries bytes and headers.
//!
//! Invariants:
//! - It answers into inboxes (`_INBOX…`) only. The program may do more in this account than whoever
//!   asks: an answer to any subject that they name would be theirs to send as the program.
//! - An answer that must arrive and has no listener any more is told to whoever made it. What remains:
//!   a client that is still connected and has stopped waiting is not found out.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Processes that share the requests.
const QUEUE_GROUP: &str = "ledgerline";

/// What the subjects of answers begin with.
const INBOX: &str = "_INBOX";

/// How long to look whether somebody listens for an answer that must arrive. The server says at once
/// that nobody does; it says nothing where somebody does.
const UNHEARD_WITHIN: Duration = Duration::from_secs(2);

/// A request as it came.
#[derive(Debug)]
pub struct Asked {
    /// Where it was sent.
    pub subject: String,
    /// Its headers, of each the first value.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

/// What is answered.
#[derive(Debug)]
pub struct Told {
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
    /// Whether it has to be known when nobody hears it.
    pub must_arrive: bool,
}

/// Whatever answers.
pub trait Answering: Send + Sync + 'static {
    /// Answers one request.
    fn answer<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Told>;

    /// Nobody heard an answer that must arrive.
    fn unheard<'a>(&'a self, asked: &'a Asked, told: &'a Told) -> BoxFuture<'a, ()>;
}

/// Answers what is sent to `subjects` until `stop`; then nothing new, and what was begun is ended.
///
/// # Errors
/// When the connection is closed for good.
pub async fn serve(
    client: Client,
    subjects: &str,
    answering: Arc<dyn Answering>,
    stop: CancellationToken,
) -> Result<(), async_nats::SubscribeError> {
    let subscribed = client.queue_subscribe(subjects.to_owned(), QUEUE_GROUP.to_owned());
    let mut messages = subscribed.await?;
    let tasks = TaskTracker::new();
    while let Some(Some(message)) = stop.run_until_cancelled(messages.next()).await {
        let reply = message.reply.clone();
        match reply.filter(|reply| reply.starts_with(INBOX)) {
            Some(reply) => {
                let (client, answering) = (client.clone(), Arc::clone(&answering));
                tasks.spawn(async move { answer(&client, &*answering, message, reply).await });
            }
            None => tracing::debug!(subject = %message.subject, "request without an inbox"),
        }
    }
    drop(messages);
    tasks.close();
    tasks.wait().await;
    if let Err(error) = client.flush().await {
        tracing::debug!(%error, "last answers not flushed");
    }
    Ok(())
}

async fn answer(client: &Client, answering: &dyn Answering, message: Message, reply: Subject) {
    let asked = Asked {
        subject: message.subject.to_string(),
        headers: headers_of(message.headers.unwrap_or_default()),
        body: message.payload,
    };
    let told = answering.answer(&asked).await;
    let mut headers = HeaderMap::new();
    for (name, value) in &told.headers {
        headers.insert(*name, value.as_str());
    }
    let body = told.body.clone();
    if !told.must_arrive {
        let sent = client.publish_with_headers(reply, headers, body).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "answer not sent");
        }
        return;
    }
    let request = Request::new()
        .headers(headers)
        .payload(body)
        .timeout(Some(UNHEARD_WITHIN));
    match client.send_request(reply, request).await {
        Ok(_acknowledged) => {}
        // Somebody has it, and says nothing.
        Err(error) if error.kind() == RequestErrorKind::TimedOut => {}
        Err(error) => {
            tracing::debug!(%error, "answer not heard");
            answering.unheard(&asked, &told).await;
        }
    }
}

fn headers_of(headers: HeaderMap) -> Vec<(String, String)> {
    let all = headers.iter().filter_map(|(name, values)| {
        let value = values.first()?.as_str().to_owned();
        Some((name.to_string(), value))
    });
    all.collect()
}
