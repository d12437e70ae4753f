//! One command in a request of its own.

use std::marker::PhantomData;

use axum::body::Body as HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::response::Response;
use commands::Receipt;
use domain::{StreamId, Token};

use super::issue::{Issuer, expected_version, key_of};
use super::receipt::{ReceiptBody, answer};
use super::{Body, Target};
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::exchange::Exchange;
use crate::problem::ApiError;

/// One command as it comes in: who, in which errand, on what, and the body still unread.
pub(crate) struct Call<B> {
    app: App,
    caller: Caller,
    exchange: Exchange,
    id: Option<Token>,
    headers: HeaderMap,
    body: HttpBody,
    verb: PhantomData<fn() -> B>,
}

/// What came of a command.
pub(crate) struct Done {
    pub(crate) receipt: Receipt,
    /// Whose it was.
    pub(crate) stream: StreamId,
    creates: bool,
}

impl<B: Body> FromRequest<App> for Call<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, app).await?;
        let exchange = Exchange::from_request_parts(&mut parts, app).await?;
        let id = if B::CREATES {
            None
        } else {
            let name = B::Target::ID;
            let Path(id) = Path::<String>::from_request_parts(&mut parts, app)
                .await
                .map_err(|_| ApiError::parameter(name, "must be text in UTF-8"))?;
            let id = B::Target::parse_id(&id);
            Some(id.map_err(|rule| ApiError::parameter(name, rule))?)
        };
        let headers = parts.headers;
        Ok(Self {
            app: app.clone(),
            caller,
            exchange,
            id,
            headers,
            body,
            verb: PhantomData,
        })
    }
}

impl<B: Body> Call<B> {
    /// Carries it out.
    pub(crate) async fn run(self) -> Result<Response, ApiError> {
        let done = self.carry_out().await?;
        let path = done.creates.then_some(B::Target::PATH);
        Ok(answer(ReceiptBody::from(done.receipt), path))
    }

    /// Carries it out, for a route whose answer says more than the receipt.
    pub(crate) async fn carry_out(self) -> Result<Done, ApiError> {
        let key = key_of(&self.headers)?;
        let limit = self.app.limits.body_bytes_max;
        let mut body: B = read_json(&self.headers, self.body, limit).await?;
        if !B::CREATES {
            let mut common = body.common();
            common.expected_version = expected_version(&self.headers, common.expected_version)?;
            body.set_common(common);
        }
        let issuer = Issuer {
            caller: &self.caller,
            correlation: &self.exchange.correlation(),
            trace: &self.exchange.trace().to_string(),
            clock: &*self.app.clock,
        };
        let issued = issuer.issue(self.id, key, body)?;
        let handler = B::Target::handler(&self.app);
        let receipt = handler.handle(&issued.stream, issued.request).await?;
        Ok(Done {
            receipt,
            stream: issued.stream,
            creates: issued.creates,
        })
    }
}
