//! The way over HTTP.

use futures_util::future::{BoxFuture, FutureExt as _};
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;

use crate::Error;
use crate::transport::{ANSWER_MAX, Answer, Call, NoAnswer, Request, Transport, seconds};

pub(crate) struct Http {
    client: Client,
    base: String,
    token: String,
}

impl Http {
    pub(crate) fn new(url: &str, token: &str) -> Result<Self, Error> {
        // The token is for this server and for no other.
        let client = Client::builder().redirect(Policy::none());
        let client = match url.starts_with("http://") {
            // No certificates are looked for where none is asked for.
            true => client.tls_certs_only([]),
            false => client,
        };
        Ok(Self {
            client: client
                .build()
                .map_err(|error| Error::Connect(error.into()))?,
            base: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    async fn post(&self, request: Request<'_>) -> reqwest::Result<Answer> {
        let path = match request.call {
            Call::Claim => "/v1/jobs/claim".to_owned(),
            Call::Report { id, verb } => format!("/v1/jobs/{id}/{verb}"),
        };
        let mut post = self
            .client
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header(CONTENT_TYPE, "application/json")
            .timeout(request.wait + ANSWER_MAX)
            .body(request.body);
        if let Some(key) = request.key {
            post = post.header("Idempotency-Key", key);
        }
        let answer = post.send().await?;
        let retry_after = answer.headers().get(RETRY_AFTER);
        Ok(Answer {
            status: answer.status().as_u16(),
            retry_after: retry_after.and_then(|text| seconds(text.to_str().ok()?)),
            body: answer.bytes().await?,
        })
    }
}

impl Transport for Http {
    fn ask<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Answer, NoAnswer>> {
        async { self.post(request).await.map_err(NoAnswer::because) }.boxed()
    }
}
