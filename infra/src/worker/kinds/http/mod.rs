//! `http`: calls a server, `{"method":"POST","url":"https://…","headers":{},"body":…,"timeout_ms":…}`.
//!
//! The result is `{"status","headers","body","encoding","truncated"}`: of the headers those that say what
//! the body is and what may follow, the body as text, or base64 where it is none. Every attempt sends the
//! job's id along, so that the other side can know a repeat.
//!
//! Deliberately absent: redirects (each would be a URL that nobody asked for), proxies of the
//! environment (they would be called in place of what was checked), cookies, and retries (the job's).

mod answer;
mod guard;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use domain::Json;
use futures_util::future::{BoxFuture, FutureExt};
use ipnet::IpNet;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url, redirect, retry};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::answer::Answer;
use self::guard::{Forbidden, Guard};
use crate::worker::InvalidSettings;
use crate::worker::kind::{Context, Failed, Kind, result, wanted};

/// How long one call may take, if its job does not say: what callers of the web usually grant.
const TIMEOUT_MS_DEFAULT: u64 = 30_000;

/// The longest: a call takes a place of its worker all the while.
const TIMEOUT_MS_MAX: u64 = 300_000;

/// How long a connection may take to come about. A host that is up answers in one round trip.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How many headers a job may send; servers commonly take 100 in all.
const HEADERS_MAX: usize = 50;

/// The longest URL: what servers commonly take.
const URL_BYTES_MAX: usize = 8_000;

/// How much of an answer's body stands in the error of a job that failed by it.
const ERROR_BODY_CHARS_MAX: usize = 500;

/// What may be asked. `CONNECT` and `TRACE` are for proxies and their trials.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Headers that say how the message itself is carried: a job that chose them could make one message
/// look like two, or like one for another host.
const HEADERS_CLOSED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// By which the other side knows a repeat: the job, the same for every attempt.
const JOB_HEADER: &str = "ledgerline-job";

/// Which attempt it is.
const ATTEMPT_HEADER: &str = "ledgerline-attempt";

/// What `http` may call.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// Networks that may be called although they are not public, as `10.1.0.0/16`. None, if nothing is
    /// said: whoever may enqueue a job reaches them with it.
    pub networks_allowed: Vec<IpNet>,
}

/// The kind.
#[derive(Debug)]
pub(in crate::worker) struct Http {
    client: Client,
    guard: Guard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    #[serde(default)]
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A string is sent as it is, anything else as JSON.
    #[serde(default)]
    body: Option<Box<RawValue>>,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

impl Http {
    pub(in crate::worker) fn new(settings: &HttpSettings) -> Result<Self, InvalidSettings> {
        let guard = Guard::new(&settings.networks_allowed);
        let client = Client::builder()
            .dns_resolver(guard.clone())
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .connect_timeout(CONNECT_MAX)
            .user_agent(concat!("ledgerline/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(InvalidSettings::Http)?;
        Ok(Self { client, guard })
    }

    async fn call(&self, context: &Context, payload: Payload) -> Result<Option<Json>, Failed> {
        let timeout = timeout(payload.timeout_ms)?;
        let request = self.request(context, payload)?;
        let call = async {
            let response = self.client.execute(request).await.map_err(failed)?;
            Answer::read(response).await.map_err(failed)
        };
        let answer = tokio::time::timeout(timeout, call).await;
        let answer = answer.unwrap_or_else(|_elapsed| {
            Err(Failed::for_now(format_args!(
                "no whole answer within `{}` ms",
                timeout.as_millis()
            )))
        })?;
        judge(&answer)?;
        result(&answer)
    }

    fn request(&self, context: &Context, payload: Payload) -> Result<reqwest::Request, Failed> {
        let method = method(payload.method.as_deref())?;
        if payload.url.len() > URL_BYTES_MAX {
            return Err(Failed::for_good(format_args!(
                "url has more than `{URL_BYTES_MAX}` bytes"
            )));
        }
        let url = Url::parse(&payload.url)
            .map_err(|error| Failed::for_good(format_args!("url cannot be read: {error}")))?;
        self.guard.check_url(&url).map_err(Failed::for_good)?;
        let mut headers = headers(payload.headers)?;
        let body = payload
            .body
            .map(|raw| body(&raw, &mut headers))
            .transpose()?;
        let number = |text: &str| HeaderValue::from_str(text).expect("hexadecimal digits");
        headers.insert(JOB_HEADER, number(&context.job.to_string()));
        headers.insert(ATTEMPT_HEADER, HeaderValue::from(context.attempt));
        let mut request = self.client.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        request.build().map_err(failed)
    }
}

impl Kind for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn run<'a>(
        &'a self,
        context: &'a Context,
        payload: Option<&'a Json>,
    ) -> BoxFuture<'a, Result<Option<Json>, Failed>> {
        async move { self.call(context, wanted(payload)?).await }.boxed()
    }
}

fn timeout(timeout_ms: Option<u64>) -> Result<Duration, Failed> {
    match timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT) {
        timeout_ms @ 1..=TIMEOUT_MS_MAX => Ok(Duration::from_millis(timeout_ms)),
        timeout_ms => Err(Failed::for_good(format_args!(
            "timeout of `{timeout_ms}` ms is not from `1` to `{TIMEOUT_MS_MAX}` ms"
        ))),
    }
}

fn method(name: Option<&str>) -> Result<Method, Failed> {
    let name = name.unwrap_or("GET");
    let known = METHODS.into_iter().find(|method| method.as_str() == name);
    known.ok_or_else(|| Failed::for_good(format_args!("method `{name}` is not known here")))
}

fn headers(wanted: BTreeMap<String, String>) -> Result<HeaderMap, Failed> {
    if wanted.len() > HEADERS_MAX {
        return Err(Failed::for_good(format_args!(
            "has `{}` headers, more than the limit of `{HEADERS_MAX}`",
            wanted.len()
        )));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in wanted {
        let known = name.parse::<HeaderName>().ok();
        let known = known.filter(|name| !HEADERS_CLOSED.contains(&name.as_str()));
        let Some(known) = known else {
            return Err(Failed::for_good(format_args!(
                "header `{name}` is not a job's to send"
            )));
        };
        // The value is not repeated: it may be a secret.
        let value = HeaderValue::from_str(&value).map_err(|_invalid| {
            Failed::for_good(format_args!(
                "value of header `{name}` has characters that it must not have"
            ))
        })?;
        headers.insert(known, value);
    }
    Ok(headers)
}

fn body(raw: &RawValue, headers: &mut HeaderMap) -> Result<String, Failed> {
    if raw.get().starts_with('"') {
        return serde_json::from_str(raw.get())
            .map_err(|error| Failed::for_good(format_args!("body is no text: {error}")));
    }
    let json = HeaderValue::from_static("application/json");
    headers.entry(CONTENT_TYPE).or_insert(json);
    Ok(raw.get().to_owned())
}

/// Why there is no answer. The URL is left out: it may hold a secret, and the payload has it.
fn failed(error: reqwest::Error) -> Failed {
    let error = error.without_url();
    let is_mistaken = error.is_builder();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return Failed::for_good(forbidden);
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    if is_mistaken {
        Failed::for_good(text)
    } else {
        Failed::for_now(text)
    }
}

/// What says "later" may go better later; any other refusal stays one.
fn judge(answer: &Answer) -> Result<(), Failed> {
    let status = answer.status;
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(());
    }
    let beginning: String = answer.body.chars().take(ERROR_BODY_CHARS_MAX).collect();
    let error = format!("answered `{status}`: {beginning}");
    let is_later = status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS;
    Err(if is_later {
        Failed::for_now(error)
    } else {
        Failed::for_good(error)
    })
}
