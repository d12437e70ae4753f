//! The answer to a command.

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use commands::Receipt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::exchange::POSITION;

/// The answer to a command that was carried out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(title = "Receipt")]
pub(crate) struct ReceiptBody {
    /// What was changed: the id of an assignment, a job or a schedule, the name of a queue.
    #[schema(example = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10")]
    pub(crate) id: String,
    /// How many events it has had.
    pub(crate) version: u64,
    /// Where the commit stands; where nothing was changed, the last one.
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

/// The answer with `receipt`; `created` is the path of all that are like what was brought about.
pub(crate) fn answer(receipt: ReceiptBody, created: Option<&str>) -> Response {
    answer_with(&receipt, created, &receipt)
}

/// The same with `body`, which says more than the receipt.
pub(crate) fn answer_with(
    receipt: &ReceiptBody,
    created: Option<&str>,
    body: &impl Serialize,
) -> Response {
    let body = serde_json::to_vec(body).expect("a receipt has only text and numbers");
    let mut response = Response::new(Bytes::from(body).into());
    let created = created.filter(|_| !receipt.unchanged);
    if created.is_some() {
        *response.status_mut() = StatusCode::CREATED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(POSITION, HeaderValue::from(receipt.position));
    headers.insert(ETAG, etag(receipt.version));
    let location = created.map(|path| format!("{path}/{}", receipt.id));
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        headers.insert(LOCATION, location);
    }
    response
}

/// The entity tag of a version.
pub(crate) fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes are visible ASCII")
}
