//! A WebSocket client, as plain as it can be.

use anyhow::Context as _;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{TestResult, within};

/// An open socket.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came next on a socket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// A message.
    Event(Value),
    /// The server's close: its code and its reason.
    Closed(u16, String),
}

impl Socket {
    /// Opens one at `path` of the server at `base`; the status, where the server says no.
    pub(crate) async fn open(
        base: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> TestResult<Result<Self, u16>> {
        let url = format!("{}{path}", base.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse()?);
        }
        match within("the socket", connect_async(request)).await? {
            Ok((socket, _)) => Ok(Ok(Self(socket))),
            Err(Error::Http(answer)) => Ok(Err(answer.status().as_u16())),
            Err(error) => Err(error.into()),
        }
    }

    /// What comes next; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> TestResult<Next> {
        loop {
            let message = within("the next message", self.0.next()).await?;
            match message.context("a socket is closed before it ends")?? {
                Message::Text(text) => return Ok(Next::Event(serde_json::from_str(&text)?)),
                Message::Close(Some(frame)) => {
                    return Ok(Next::Closed(frame.code.into(), frame.reason.to_string()));
                }
                Message::Ping(_) => {}
                other => anyhow::bail!("`{other:?}` is nothing that a server sends"),
            }
        }
    }

    /// The next message.
    pub(crate) async fn event(&mut self) -> TestResult<Value> {
        match self.next().await? {
            Next::Event(event) => Ok(event),
            Next::Closed(code, reason) => anyhow::bail!("closed with `{code}`: {reason}"),
        }
    }

    /// Every message up to the close, and the close.
    pub(crate) async fn rest(&mut self) -> TestResult<(Vec<Value>, (u16, String))> {
        let mut events = Vec::new();
        loop {
            match self.next().await? {
                Next::Event(event) => events.push(event),
                Next::Closed(code, reason) => return Ok((events, (code, reason))),
            }
        }
    }

    /// Says something.
    pub(crate) async fn say(&mut self, text: &str) -> TestResult {
        use futures_util::SinkExt as _;
        Ok(self.0.send(Message::text(text)).await?)
    }
}
