//! Commands on assignments, one route a verb.
//!
//! Each takes a small body, issues a command and answers with its receipt. No rule stands here: the
//! aggregate has them, and the body's fields are checked by the domain's own types.

use std::marker::PhantomData;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use commands::Receipt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::bodies::{
    AssignBody, Body, CancelBody, CloseBody, CompleteBody, HoldBody, NoteBody, ReopenBody,
    RequestBody, RequeueBody, ResumeBody, StartBody,
};
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::exchange::{Exchange, POSITION};
use crate::issue::{Issuer, expected_version, key_of};
use crate::problem::ApiError;
use crate::routes::Routes;
use crate::texts::parse_id;

/// The answer to a command that was carried out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(title = "Receipt")]
pub(crate) struct ReceiptBody {
    /// The assignment.
    #[schema(format = "uuid")]
    pub(crate) id: String,
    /// How many events it has had.
    pub(crate) version: u64,
    /// Where the commit stands; for an unchanged assignment, its last one.
    pub(crate) position: u64,
    /// The command.
    #[schema(format = "uuid", value_type = String)]
    pub(crate) command: Uuid,
    /// The types of the events that it brought about.
    #[schema(example = json!(["requested", "assigned"]))]
    pub(crate) events: Vec<String>,
    /// Whether there was nothing to change.
    pub(crate) unchanged: bool,
}

impl From<Receipt> for ReceiptBody {
    fn from(receipt: Receipt) -> Self {
        Self {
            id: receipt.id,
            version: receipt.version,
            position: receipt.position.0,
            command: receipt.command.0,
            events: receipt.events,
            unchanged: receipt.unchanged,
        }
    }
}

/// One command as it comes in: who, in which errand, on what, and the body still unread.
struct Call<B> {
    app: App,
    caller: Caller,
    exchange: Exchange,
    id: Option<Uuid>,
    headers: HeaderMap,
    body: HttpBody,
    verb: PhantomData<fn() -> B>,
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
            let Path(id) = Path::<String>::from_request_parts(&mut parts, app)
                .await
                .map_err(|_| ApiError::parameter("id", "must be text in UTF-8"))?;
            Some(parse_id(&id).map_err(|rule| ApiError::parameter("id", rule))?)
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
    async fn run(self) -> Result<Response, ApiError> {
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
        let receipt = self
            .app
            .assignments
            .handle(&issued.stream, issued.request)
            .await?;
        Ok(answer(receipt, issued.creates))
    }
}

fn answer(receipt: Receipt, creates: bool) -> Response {
    let created = creates && !receipt.unchanged;
    let location = created.then(|| format!("/v1/assignments/{}", receipt.id));
    let (version, position) = (receipt.version, receipt.position.0);
    let body = serde_json::to_vec(&ReceiptBody::from(receipt));
    let body = body.expect("a receipt has only text and numbers");
    let mut response = Response::new(Bytes::from(body).into());
    if created {
        *response.status_mut() = StatusCode::CREATED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(POSITION, HeaderValue::from(position));
    headers.insert(ETAG, etag(version));
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        headers.insert(LOCATION, location);
    }
    response
}

/// The entity tag of a version.
pub(super) fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes are visible ASCII")
}

/// Ask a group for work.
#[utoipa::path(post, path = "/v1/assignments", tag = "assignments", request_body = RequestBody,
    responses(
        (status = 200, description = "there was nothing to change", body = ReceiptBody),
        (status = 201, description = "the receipt", body = ReceiptBody,
            headers(("Location", description = "the assignment"))),
    ))]
async fn request(call: Call<RequestBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Give it to somebody.
#[utoipa::path(post, path = "/v1/assignments/{id}/assign", tag = "assignments",
    request_body = AssignBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn assign(call: Call<AssignBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Put it into a group's queue.
#[utoipa::path(post, path = "/v1/assignments/{id}/requeue", tag = "assignments",
    request_body = RequeueBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn requeue(call: Call<RequeueBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Begin to work on it, taking it over where it was somebody else's.
#[utoipa::path(post, path = "/v1/assignments/{id}/start", tag = "assignments",
    request_body = StartBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn start(call: Call<StartBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Write something down.
#[utoipa::path(post, path = "/v1/assignments/{id}/note", tag = "assignments",
    request_body = NoteBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn note(call: Call<NoteBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Let it wait.
#[utoipa::path(post, path = "/v1/assignments/{id}/hold", tag = "assignments",
    request_body = HoldBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn hold(call: Call<HoldBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Go on where it was put on hold.
#[utoipa::path(post, path = "/v1/assignments/{id}/resume", tag = "assignments",
    request_body = ResumeBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn resume(call: Call<ResumeBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Say that the work is done.
#[utoipa::path(post, path = "/v1/assignments/{id}/complete", tag = "assignments",
    request_body = CompleteBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn complete(call: Call<CompleteBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Confirm the end of what was completed.
#[utoipa::path(post, path = "/v1/assignments/{id}/close", tag = "assignments",
    request_body = CloseBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn close(call: Call<CloseBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Take an ended assignment up again.
#[utoipa::path(post, path = "/v1/assignments/{id}/reopen", tag = "assignments",
    request_body = ReopenBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn reopen(call: Call<ReopenBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// End it undone.
#[utoipa::path(post, path = "/v1/assignments/{id}/cancel", tag = "assignments",
    request_body = CancelBody,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn cancel(call: Call<CancelBody>) -> Result<Response, ApiError> {
    call.run().await
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(request))
        .add(routes!(assign))
        .add(routes!(requeue))
        .add(routes!(start))
        .add(routes!(note))
        .add(routes!(hold))
        .add(routes!(resume))
        .add(routes!(complete))
        .add(routes!(close))
        .add(routes!(reopen))
        .add(routes!(cancel))
}
