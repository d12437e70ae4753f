//! A small HTTP client for the server's own API.
//!
//! Invariants:
//! - Only what can be repeated without harm is repeated: queries, and commands with their
//!   idempotency key. Everything else is asked once.
//! - A repeat is bounded in number and in time.
//! - The token is never shown: not in errors, not in `Debug`, and no redirect carries it away.

pub(crate) mod lines;
pub(crate) mod pages;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod sse;

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use self::problem::Problem;
pub(crate) use self::query::Query;
use super::failure::Failure;

/// A server that is there takes a connection at once, also from another continent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which an answer is given up: four keep-alives of an event stream, and far more than
/// the five seconds that a query waits for the read side.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is made again when the server is away or asks to come back: three seconds,
/// about as long as a person waits for an answer.
const REPEATS_MAX: u32 = 5;
/// The same for long work, which outlasts the restart of a server: half a minute.
const PATIENT_REPEATS_MAX: u32 = 10;
/// The first wait; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait, also when the server asks for a longer one.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of an answer that is kept whole: 500 assignments with their longest texts.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The header that carries positions.
const POSITION: &str = "ledgerline-position";

/// A token, kept from being printed.
#[derive(Clone)]
pub(crate) struct Secret(HeaderValue);

/// One server, with one caller's token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Secret,
}

/// A JSON answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// What was answered; `null` for an empty body.
    pub(crate) body: Value,
    /// The position that the answer stands at, where it has one.
    pub(crate) position: Option<u64>,
}

/// A command on its way: its body and what the headers say.
#[derive(Debug, Clone)]
pub(crate) struct Order<'a> {
    /// The body.
    pub(crate) body: &'a Value,
    /// The idempotency key, without which nothing is repeated.
    pub(crate) key: Option<&'a str>,
    /// The version that the aggregate must have.
    pub(crate) expected_version: Option<u64>,
}

impl Secret {
    pub(crate) fn new(token: &str) -> anyhow::Result<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| Failure::Usage("the token has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Client {
    pub(crate) fn new(base: &str, token: Secret) -> anyhow::Result<Self> {
        let wrong = || Failure::Usage(format!("`{base}` is no address as `http://127.0.0.1:8080`"));
        let base = Url::parse(base).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong().into());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("ledgerline/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // A bare machine has no root certificates, and without encryption none are needed.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            // No proxy can reach this machine's own server.
            builder = builder.no_proxy();
        }
        let http = builder.build().context("set up the HTTP client")?;
        Ok(Self { http, base, token })
    }

    /// Where the server is.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// A query; asked again while the server is away.
    pub(crate) async fn get(&self, path: &[&str], query: &Query) -> anyhow::Result<Answer> {
        let url = self.url(path, query)?;
        let response = self.send(|| self.request(Method::GET, &url), true).await?;
        answer(response).await
    }

    /// A command or another order. Asked again only with an idempotency key.
    pub(crate) async fn post(&self, path: &[&str], order: &Order<'_>) -> anyhow::Result<Answer> {
        self.order(Method::POST, path, &Query::default(), order)
            .await
    }

    /// The same by another method, or with something behind the question mark.
    pub(crate) async fn order(
        &self,
        method: Method,
        path: &[&str],
        query: &Query,
        order: &Order<'_>,
    ) -> anyhow::Result<Answer> {
        let url = self.url(path, query)?;
        let body = serde_json::to_vec(order.body).context("write the request")?;
        let request = || {
            let mut request = self
                .request(method.clone(), &url)
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
            if let Some(key) = order.key {
                request = request.header("idempotency-key", key);
            }
            if let Some(version) = order.expected_version {
                request = request.header("if-match", format!("\"{version}\""));
            }
            request
        };
        let response = self.send(request, order.key.is_some()).await?;
        answer(response).await
    }

    /// Sends lines and gives the answer as its lines come. Asked once: what to repeat, only the
    /// caller knows.
    pub(crate) async fn post_lines<S>(
        &self,
        path: &[&str],
        key: Option<&str>,
        lines: S,
    ) -> anyhow::Result<Response>
    where
        S: Stream<Item = Result<Vec<u8>, std::convert::Infallible>> + Send + 'static,
    {
        let url = self.url(path, &Query::default())?;
        let mut request = self
            .request(Method::POST, &url)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(ACCEPT, "application/x-ndjson")
            .body(Body::wrap_stream(lines));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        accepted(response).await
    }

    /// Opens a stream of events; 204 says that no more will come. Asked once: the caller goes on where it was.
    pub(crate) async fn events(
        &self,
        path: &[&str],
        query: &Query,
        last_id: Option<&str>,
    ) -> anyhow::Result<Response> {
        let url = self.url(path, query)?;
        let mut request = self
            .request(Method::GET, &url)
            .header(ACCEPT, "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        accepted(response).await
    }

    /// That the server did not answer, or not to the end.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Unreachable {
            url: self.base.to_string(),
            reason: innermost(error),
        }
    }

    fn url(&self, path: &[&str], query: &Query) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::Usage(format!("`{}` has no paths", self.base)))?
            .pop_if_empty()
            .extend(path);
        if !query.pairs().is_empty() {
            url.query_pairs_mut().extend_pairs(query.pairs());
        }
        Ok(url)
    }

    fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let token = self.token.0.clone();
        self.http
            .request(method, url.clone())
            .header(AUTHORIZATION, token)
    }

    async fn send(
        &self,
        request: impl Fn() -> RequestBuilder,
        repeatable: bool,
    ) -> anyhow::Result<Response> {
        let mut wait = Waits::short();
        loop {
            let (failed, asked) = match request().send().await {
                Ok(response) if is_away(response.status()) => {
                    let asked = retry_after(response.headers());
                    (Ok(response), asked)
                }
                Ok(response) => return accepted(response).await,
                Err(error) => (Err(self.unreachable(&error)), None),
            };
            match wait.next(asked).filter(|_| repeatable) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return accepted(failed?).await,
            }
        }
    }
}

/// The waits between repeats, each longer, and only so many.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    made: u32,
    most: u32,
}

impl Waits {
    /// For one request.
    pub(crate) fn short() -> Self {
        Self {
            made: 0,
            most: REPEATS_MAX,
        }
    }

    /// For long work.
    pub(crate) fn patient() -> Self {
        Self {
            made: 0,
            most: PATIENT_REPEATS_MAX,
        }
    }

    /// The next wait, at least as long as the server asked for; none when it is enough.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if self.made == self.most {
            return None;
        }
        let own = WAIT_FIRST * 2u32.pow(self.made);
        self.made += 1;
        Some(own.max(asked.unwrap_or_default()).min(WAIT_MAX))
    }

    /// Begins anew: something went well.
    pub(crate) fn reset(&mut self) {
        self.made = 0;
    }
}

/// Whether a status says "come back".
pub(crate) fn is_away(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    )
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// The response, if it is no refusal.
async fn accepted(response: Response) -> anyhow::Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    // A status without its text is still an answer.
    let body = read_whole(response).await.unwrap_or_default();
    let problem = Problem::from_answer(status.as_u16(), &body);
    Err(Failure::Problem(Box::new(problem)).into())
}

async fn answer(response: Response) -> anyhow::Result<Answer> {
    let header = response
        .headers()
        .get(POSITION)
        .and_then(|value| value.to_str().ok());
    let position = header.and_then(|position| position.parse().ok());
    let body = read_whole(response).await.context("read the answer")?;
    let body = match body.as_slice() {
        [] => Value::Null,
        body => serde_json::from_slice(body).context("read the answer")?,
    };
    Ok(Answer { body, position })
}

async fn read_whole(response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| anyhow::anyhow!(innermost(&error)))?;
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            anyhow::bail!("it has more than `{ANSWER_BYTES_MAX}` bytes");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The cause at the bottom: the layers above it only say that sending failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        Client::new(base, Secret::new("token").expect("plain")).expect("an address")
    }

    #[test]
    fn what_stands_in_a_path_cannot_leave_its_place() {
        let client = client("http://127.0.0.1:8080/base/");
        let query = Query::default().with("title", Some("x&y=z"));
        let url = client.url(&["v1", "a/../b?c"], &query);
        assert_eq!(
            url.expect("an address").as_str(),
            "http://127.0.0.1:8080/base/v1/a%2F..%2Fb%3Fc?title=x%26y%3Dz"
        );
    }

    #[test]
    fn only_addresses_of_servers_are_taken() {
        for bad in ["127.0.0.1:8080", "file:///etc/passwd", "mailto:a@b", ""] {
            assert!(
                Client::new(bad, Secret::new("t").expect("plain")).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn waits_grow_and_end() {
        let mut waits = Waits::short();
        let mut given: Vec<u64> = Vec::new();
        while let Some(wait) = waits.next(None) {
            given.push(u64::try_from(wait.as_millis()).expect("short"));
        }
        assert_eq!(given, [100, 200, 400, 800, 1600]);
        assert_eq!(
            Waits::short().next(Some(Duration::from_secs(3600))),
            Some(WAIT_MAX)
        );
    }

    #[test]
    fn a_token_is_not_printed() {
        let shown = format!("{:?}", client("http://localhost"));
        assert!(!shown.contains("token\""), "{shown}");
        assert!(Secret::new("a\nb").is_err());
    }

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for (url, loopback) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(
                is_loopback(&Url::parse(url).expect("an address")),
                loopback,
                "{url}"
            );
        }
    }
}
