//! Server-sent events, read from an answer without end.

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::Method;
use serde_json::Value;

use super::{Api, TestResult, within};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// An answer of `GET /v1/events`.
pub(crate) struct Events {
    body: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Events {
    /// Begins to follow all events; `query` has the filters.
    pub(crate) async fn follow(api: &Api, query: &str, last: Option<&str>) -> TestResult<Self> {
        Self::at(api, &format!("/v1/events{query}"), last).await
    }

    /// Begins to follow what is at `path`.
    pub(crate) async fn at(api: &Api, path: &str, last: Option<&str>) -> TestResult<Self> {
        let call = api.call(Method::GET, path);
        let call = last
            .into_iter()
            .fold(call, |call, last| call.header("Last-Event-ID", last));
        let response = call.send().await?;
        anyhow::ensure!(
            response.status() == 200,
            "{} for `{path}`",
            response.status()
        );
        let kind = response
            .headers()
            .get("content-type")
            .context("there is a type")?;
        anyhow::ensure!(kind.to_str()?.starts_with("text/event-stream"), "{kind:?}");
        Ok(Self {
            body: response.bytes_stream().boxed(),
            text: String::new(),
        })
    }

    /// The next event; comments are passed over.
    pub(crate) async fn next(&mut self) -> TestResult<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = parse(block)?;
                self.text = rest.to_owned();
                if let Some(event) = event {
                    return Ok(event);
                }
            }
            let chunk = within("the next event", self.body.next()).await?;
            self.text
                .push_str(std::str::from_utf8(&chunk.context("it has no end")??)?);
        }
    }

    pub(crate) async fn take(&mut self, count: usize) -> TestResult<Vec<Event>> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.next().await?);
        }
        Ok(events)
    }
}

fn parse(block: &str) -> TestResult<Option<Event>> {
    let field = |name: &str| {
        let mut values = block.lines().filter_map(|line| line.strip_prefix(name));
        values.next().map(|value| value.trim_start().to_owned())
    };
    let (Some(id), Some(event), Some(data)) = (field("id:"), field("event:"), field("data:"))
    else {
        return Ok(None);
    };
    Ok(Some(Event {
        id,
        event,
        data: serde_json::from_str(&data)?,
    }))
}
