//! A client that costs as little as one can: HTTP/1.1 on kept connections, requests rendered before
//! they are needed.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// A request, ready to be sent.
pub(super) type Rendered = Request<Full<Bytes>>;

/// Where the program listens, and who asks.
#[derive(Debug, Clone)]
pub(super) struct Target {
    address: SocketAddr,
    host: HeaderValue,
    authorization: HeaderValue,
}

/// One kept connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// `Ledgerline-Position`.
    pub(super) position: Option<u64>,
    pub(super) body: Bytes,
}

impl Target {
    /// `url` is `http://<address>:<port>`.
    pub(super) fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let authority = url
            .strip_prefix("http://")
            .context("the program serves plain HTTP")?;
        let authority = authority.trim_end_matches('/');
        let address = authority.parse();
        Ok(Self {
            address: address.with_context(|| format!("`{authority}` is no address with a port"))?,
            host: HeaderValue::from_str(authority)?,
            authorization: HeaderValue::from_str(&format!("Bearer {token}"))?,
        })
    }

    /// A query.
    pub(super) fn get(&self, path: &str) -> Rendered {
        self.request(Method::GET, path, None, Bytes::new())
    }

    /// A command, or something else that is sent as JSON.
    pub(super) fn post(&self, path: &str, key: Option<&str>, body: impl Into<Bytes>) -> Rendered {
        self.request(Method::POST, path, key, body.into())
    }

    /// Commands, one a line.
    pub(super) fn post_lines(&self, path: &str, lines: String) -> Rendered {
        let mut request = self.request(Method::POST, path, None, lines.into());
        let lines = HeaderValue::from_static("application/x-ndjson");
        request.headers_mut().insert(CONTENT_TYPE, lines);
        request
    }

    fn request(&self, method: Method, path: &str, key: Option<&str>, body: Bytes) -> Rendered {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("our paths are paths");
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = key {
            let key = HeaderValue::from_str(key).expect("our keys are visible ASCII");
            headers.insert("idempotency-key", key);
        }
        request
    }

    /// One request on a connection of its own.
    pub(super) async fn once(&self, request: Rendered) -> anyhow::Result<Answer> {
        Connection::open(self).await?.send(request).await
    }

    /// What a query answers.
    pub(super) async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.once(self.get(path)).await?.succeeded()?;
        serde_json::from_slice(&answer.body).with_context(|| format!("read the answer of `{path}`"))
    }
}

impl Connection {
    pub(super) async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // What goes wrong is told to whoever waits for an answer.
            drop(connection.await);
        });
        Ok(Self { sender })
    }

    /// Sends one request and waits for the whole answer.
    pub(super) async fn send(&mut self, request: Rendered) -> anyhow::Result<Answer> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let position = response.headers().get("ledgerline-position");
        let position = position.and_then(|position| position.to_str().ok()?.parse().ok());
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer {
            status,
            position,
            body,
        })
    }
}

impl Answer {
    /// Itself; an error where the program said no.
    pub(super) fn succeeded(self) -> anyhow::Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        bail!(
            "answered `{}`: {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
    }

    /// That each line of a batch's answer reports a success.
    pub(super) fn every_line_succeeded(&self, lines: usize) -> anyhow::Result<()> {
        let mut seen = 0;
        for line in self
            .body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let mut head = line.windows(11);
            let fine = head.any(|window| window.starts_with(b"\"status\":20"));
            ensure!(
                fine,
                "a line was answered: {}",
                String::from_utf8_lossy(line)
            );
            seen += 1;
        }
        ensure!(seen == lines, "`{lines}` commands got `{seen}` answers");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &'static str) -> Answer {
        Answer {
            status: StatusCode::OK,
            position: None,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_refused_line_or_a_missing_one_spoils_a_batch() {
        let good = "{\"line\":1,\"status\":201,\"receipt\":{}}\n{\"line\":2,\"status\":200}\n";
        assert!(answer(good).every_line_succeeded(2).is_ok());
        assert!(answer(good).every_line_succeeded(3).is_err());
        let refused = answer("{\"line\":1,\"status\":409,\"problem\":{}}\n");
        assert!(refused.every_line_succeeded(1).is_err());
    }

    #[test]
    fn a_target_needs_plain_http_and_an_address() {
        assert!(Target::new("http://127.0.0.1:8080/", "t").is_ok());
        assert!(Target::new("https://127.0.0.1:8080", "t").is_err());
        assert!(Target::new("http://127.0.0.1", "t").is_err());
    }
}
