//! The journal as it is stored, and nothing else: it makes no stream, mends no setting and decodes no
//! commit, so that it can also look at what is broken.

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{Client, HeaderName, Message};
use commands::ReadError;
use commands::seal::{RawCommit, RawJournal};
use domain::Position;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::de::IgnoredAny;
use serde_json::json;

use super::api::{self, ApiError};
use super::journal::Settings;
use super::journal::message::{self, CHAIN};
use super::ordered::{Delivered, Ordered};

/// The code for "no message there".
const NO_MESSAGE: u64 = 10_037;

/// A reader of the journal's stream.
#[derive(Debug, Clone)]
pub struct JetStreamRawJournal {
    client: Client,
    settings: Settings,
}

/// A read that comes to an end.
struct Bounded {
    client: Client,
    stream: String,
    ordered: Ordered,
    after: u64,
    to: u64,
    /// Whether something is known to stand behind `after`.
    goes_on: bool,
}

impl JetStreamRawJournal {
    /// A reader of the stream that `settings` names.
    #[must_use]
    pub fn new(client: Client, settings: Settings) -> Self {
        Self { client, settings }
    }
}

impl RawJournal for JetStreamRawJournal {
    fn read_raw(
        &self,
        after: Position,
        to: Position,
    ) -> BoxStream<'static, Result<RawCommit, ReadError>> {
        let prefix = self.settings.prefix.clone();
        let read = up_to(
            self.client.clone(),
            self.settings.stream.clone(),
            after.0,
            to.0,
        );
        read.map(move |delivered| Ok(raw(&prefix, &delivered?)))
            .boxed()
    }

    fn raw_head(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        async {
            let state = api::state(&self.client, &self.settings.stream).await?;
            Ok(Position(state.last_seq))
        }
        .boxed()
    }
}

/// Everything that stands in `stream` behind `after` up to `to`. What is missing at the end is known
/// from the stream's leader; a reader that only waited for it would wait for ever.
pub(super) fn up_to(
    client: Client,
    stream: String,
    after: u64,
    to: u64,
) -> BoxStream<'static, Result<Delivered, ApiError>> {
    let bounded = Bounded {
        ordered: Ordered::new(client.clone(), stream.clone(), None, after),
        client,
        stream,
        after,
        to,
        goes_on: false,
    };
    stream::try_unfold(bounded, async |mut bounded| {
        let next = bounded.next().await?;
        Ok(next.map(|delivered| (delivered, bounded)))
    })
    .boxed()
}

impl Bounded {
    async fn next(&mut self) -> Result<Option<Delivered>, ApiError> {
        if self.after >= self.to {
            return Ok(None);
        }
        if !self.goes_on && !self.has_more().await? {
            return Ok(None);
        }
        let delivered = self.ordered.next().await;
        self.goes_on = delivered.pending > 0;
        self.after = delivered.sequence;
        Ok((delivered.sequence <= self.to).then_some(delivered))
    }

    /// Whether anything stands behind what was read, as the stream's leader has it.
    async fn has_more(&self) -> Result<bool, ApiError> {
        let path = format!("STREAM.MSG.GET.{}", self.stream);
        let asked = json!({"seq": self.after + 1, "next_by_subj": ">"});
        match api::ask::<IgnoredAny>(&self.client, &path, Some(&asked)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is(NO_MESSAGE) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What was delivered, as it stands in the journal whose subjects begin with `prefix`.
pub(super) fn raw(prefix: &str, delivered: &Delivered) -> RawCommit {
    let message = &delivered.message;
    let subject = message.subject.as_str();
    let stream = subject
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('.'));
    RawCommit {
        position: Position(delivered.sequence),
        stream: stream.unwrap_or(subject).to_owned(),
        command: header(message, NATS_MESSAGE_ID),
        chain: header(message, CHAIN),
        trace: message::trace(message).unwrap_or_default().to_owned(),
        payload: message.payload.clone(),
    }
}

fn header(message: &Message, name: HeaderName) -> String {
    let headers = message.headers.as_ref();
    let value = headers.and_then(|headers| headers.get(name));
    value
        .map(|value| value.as_str().to_owned())
        .unwrap_or_default()
}
