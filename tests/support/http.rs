//! A client of the API, as plain as it can be: what was answered is what a test looks at.

use anyhow::Context as _;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::socket::Socket;
use super::{TestResult, program, until};

/// One caller of one server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    base: String,
    token: String,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The receipt of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) position: u64,
    pub(crate) command: String,
    pub(crate) events: Vec<String>,
    pub(crate) unchanged: bool,
}

impl Api {
    pub(crate) fn new(base: &str, token: &str) -> TestResult<Self> {
        let http = Client::builder()
            .no_proxy()
            // Plain HTTP on the loopback: no certificates are looked for.
            .tls_certs_only([])
            .build()?;
        Ok(Self {
            http,
            base: base.to_owned(),
            token: token.to_owned(),
        })
    }

    /// The same caller at another address.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self.clone()
        }
    }

    /// Opens a socket with the caller's token; the status, where the server says no.
    pub(crate) async fn socket(&self, path: &str) -> TestResult<Result<Socket, u16>> {
        let bearer = format!("Bearer {}", self.token);
        Socket::open(&self.base, path, &[("authorization", &bearer)]).await
    }

    /// A request with the caller's token.
    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token)
    }

    /// A request without any token.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> TestResult<Answer> {
        Answer::read(self.call(Method::GET, path).send().await?).await
    }

    /// A query on what is at `position` or later.
    pub(crate) async fn get_at(&self, path: &str, position: u64) -> TestResult<Answer> {
        let call = self
            .call(Method::GET, path)
            .header("Ledgerline-Min-Position", position);
        Answer::read(call.send().await?).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> TestResult<Answer> {
        self.post_with(path, body, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> TestResult<Answer> {
        let call = self.call(Method::POST, path).json(body);
        let call = headers
            .iter()
            .fold(call, |call, (name, value)| call.header(*name, *value));
        Answer::read(call.send().await?).await
    }

    /// A batch of lines; the answers as JSON, in their order.
    pub(crate) async fn batch(&self, lines: String) -> TestResult<Vec<Value>> {
        let call = self
            .call(Method::POST, "/v1/commands")
            .header("Content-Type", "application/x-ndjson")
            .body(lines);
        let answer = Answer::read(call.send().await?).await?.is(200);
        let text = String::from_utf8(answer.body)?;
        text.lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    /// Requests an assignment.
    pub(crate) async fn request(&self, body: &Value) -> TestResult<Receipt> {
        self.post("/v1/assignments", body).await?.is(201).receipt()
    }

    /// Requests an assignment of which nothing matters.
    pub(crate) async fn any(&self) -> TestResult<Receipt> {
        self.request(&any_body()).await
    }

    /// Carries out a verb on an assignment.
    pub(crate) async fn act(&self, id: &str, verb: &str, body: &Value) -> TestResult<Receipt> {
        self.post(&format!("/v1/assignments/{id}/{verb}"), body)
            .await?
            .is(200)
            .receipt()
    }

    /// What a claim is answered, once a dispatcher is in office.
    pub(crate) async fn claim(&self, body: &Value) -> TestResult<Value> {
        let answered = until("a dispatcher is in office", async || {
            let answer = self.post("/v1/jobs/claim", body).await?;
            Ok((answer.status != 503).then_some(answer))
        });
        answered.await?.is(200).json()
    }

    /// The assignment as it is at `position` or later.
    pub(crate) async fn assignment(&self, id: &str, position: u64) -> TestResult<Value> {
        self.get_at(&format!("/v1/assignments/{id}"), position)
            .await?
            .is(200)
            .json()
    }

    /// Every item of a list, page by page.
    pub(crate) async fn all(&self, path: &str) -> TestResult<Vec<Value>> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        let separator = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = match &cursor {
                None => path.to_owned(),
                Some(cursor) => format!("{path}{separator}cursor={cursor}"),
            };
            let answer = self.get(&page).await?.is(200).json()?;
            items.extend(
                answer["items"]
                    .as_array()
                    .context("a list has items")?
                    .clone(),
            );
            match answer["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// The state of one read model, once it is as wanted.
    pub(crate) async fn model_until(
        &self,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> TestResult<Value> {
        until(&format!("model `{name}` is as wanted"), async || {
            let positions = self.get("/v1/positions").await?.is(200).json()?;
            let models = positions["models"].as_array().context("there are models")?;
            let model = models.iter().find(|model| model["name"] == name);
            Ok(model.filter(|model| wanted(model)).cloned())
        })
        .await
    }
}

impl Answer {
    pub(crate) async fn read(response: Response) -> TestResult<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self {
            status,
            headers,
            body: response.bytes().await?.into(),
        })
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}{}", self.text(), self.logged());
        self
    }

    /// Fails unless it is a problem of this sort.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}{}",
            self.text(),
            self.logged()
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        self
    }

    /// What the program that answered has logged of the request, for a message: an answer that something
    /// is away does not say why, its log does.
    fn logged(&self) -> String {
        let id = self.header("x-request-id").filter(|_| self.status >= 500);
        id.map(program::logged).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> TestResult<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("read `{}`", self.text()))
    }

    pub(crate) fn receipt(&self) -> TestResult<Receipt> {
        serde_json::from_slice(&self.body).with_context(|| format!("read `{}`", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn position(&self) -> TestResult<u64> {
        Ok(self
            .header("ledgerline-position")
            .context("there is a position")?
            .parse()?)
    }

    /// The last part of a problem's type.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let kind = body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("https://ledgerline.dev/problems/")
            .unwrap_or_default()
            .to_owned()
    }
}

/// The body of a request of which nothing matters.
pub(crate) fn any_body() -> Value {
    json!({"title": "Replace the fan", "kind": "repair", "group": "workshop"})
}
