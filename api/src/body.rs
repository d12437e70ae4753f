//! JSON bodies: bounded, of the right content type, with a pointer to what is malformed.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::fields::pointer_part;
use crate::problem::{ApiError, FieldError};

/// The whole body, read no further than the limit.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::TooLarge {
        what: "body",
        limit: bytes_max,
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(body, bytes_max)
        .await
        .map_err(|error| {
            let limited = std::error::Error::source(&error)
                .is_some_and(|source| source.to_string().contains("length limit"));
            if limited {
                too_large()
            } else {
                ApiError::Malformed(Vec::new())
            }
        })
}

/// The body as JSON; no body at all is `{}`.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<T, ApiError> {
    let typed = is_of_type(headers, "application/json");
    let untyped = !headers.contains_key(CONTENT_TYPE);
    if !typed && !untyped {
        return Err(ApiError::UnsupportedMediaType("application/json"));
    }
    let bytes = read(headers, body, bytes_max).await?;
    match bytes.as_ref() {
        b"" => parse(b"{}", ""),
        _ if untyped => Err(ApiError::UnsupportedMediaType("application/json")),
        bytes => parse(bytes, ""),
    }
}

/// Whether the content type is `essence`, whatever its parameters.
pub(crate) fn is_of_type(headers: &HeaderMap, essence: &str) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let sent = value.split_once(';').map_or(value, |(sent, _)| sent);
    sent.trim().eq_ignore_ascii_case(essence)
}

/// JSON as `T`; pointers in errors begin with `prefix`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], prefix: &str) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).or_else(|error| {
        if error.is_syntax() || error.is_eof() {
            return Err(ApiError::Malformed(vec![FieldError::field(prefix, error)]));
        }
        // Keeping the path costs time, so it is looked for only once something is wrong.
        let again = &mut serde_json::Deserializer::from_slice(bytes);
        serde_path_to_error::deserialize(again).map_err(|error| {
            let pointer = format!("{prefix}{}", pointer(error.path()));
            ApiError::Malformed(vec![FieldError::field(pointer, error.inner())])
        })
    })
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |mut pointer, segment| {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&pointer_part(key)),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
        pointer
    })
}
