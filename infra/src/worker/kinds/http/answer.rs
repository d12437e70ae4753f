//! What a server answered, as far as a job keeps it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Response, StatusCode};
use serde::{Serialize, Serializer};

/// How much of a body is kept. As JSON it is at most twice as long (every character escaped), and so
/// stays, with the headers, under the limit of a result.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// How much of a header's value is kept: those named below have far less.
const HEADER_BYTES_MAX: usize = 1_000;

/// The headers that are kept: what the body is, where the thing is now, and when to ask again.
/// Others may hold secrets of the other side, as `set-cookie` does.
const HEADERS: [&str; 9] = [
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "x-request-id",
];

/// An answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    #[serde(serialize_with = "as_number")]
    pub(super) status: StatusCode,
    headers: BTreeMap<&'static str, String>,
    pub(super) body: String,
    /// How the body stands in `body`.
    encoding: Encoding,
    /// Whether there was more of it.
    truncated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    Text,
    Base64,
}

impl Answer {
    /// Reads as much as is kept. What is left is never fetched: the connection is closed.
    pub(super) async fn read(mut response: Response) -> Result<Self, reqwest::Error> {
        let mut bytes = Vec::new();
        let mut truncated = false;
        while let Some(chunk) = response.chunk().await? {
            let room = BODY_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                truncated = true;
                break;
            }
        }
        let (body, encoding) = encoded(bytes, truncated);
        Ok(Self {
            status: response.status(),
            headers: kept(response.headers()),
            body,
            encoding,
            truncated,
        })
    }
}

fn kept(headers: &reqwest::header::HeaderMap) -> BTreeMap<&'static str, String> {
    let told = HEADERS.into_iter().filter_map(|name| {
        let value = headers.get(name)?.as_bytes();
        let value = &value[..value.len().min(HEADER_BYTES_MAX)];
        Some((name, String::from_utf8_lossy(value).into_owned()))
    });
    told.collect()
}

/// Text as text, where a cut may have parted its last character; base64 for the rest.
fn encoded(mut bytes: Vec<u8>, truncated: bool) -> (String, Encoding) {
    if truncated && let Err(error) = std::str::from_utf8(&bytes) {
        // Only a character that the cut has parted ends early without being wrong.
        if error.error_len().is_none() {
            bytes.truncate(error.valid_up_to());
        }
    }
    let is_text = |text: &str| {
        !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    };
    match String::from_utf8(bytes) {
        Ok(text) if is_text(&text) => (text, Encoding::Text),
        Ok(text) => (BASE64_STANDARD.encode(text), Encoding::Base64),
        Err(error) => (BASE64_STANDARD.encode(error.as_bytes()), Encoding::Base64),
    }
}

fn as_number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
