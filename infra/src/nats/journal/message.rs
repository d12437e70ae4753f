//! A commit as a message, there and back.

use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::{HeaderMap, HeaderName, HeaderValue, Message};
use commands::Append;
use commands::seal::RawCommit;
use domain::{Chain, Commit, Position};

use super::Settings;
use crate::nats::subjects;

pub(in crate::nats) const CHAIN: HeaderName = HeaderName::from_static("Ledgerline-Chain");
/// W3C's `traceparent`, under a name of ours: by its own, nats-server makes a map of all headers of each message,
/// which nobody here needs.
pub(in crate::nats) const TRACE: HeaderName = HeaderName::from_static("Ledgerline-Trace");
/// What it was called before.
const TRACE_BEFORE: HeaderName = HeaderName::from_static("traceparent");

/// W3C's `traceparent` has 55 bytes in its first version; later ones may be longer.
const TRACE_BYTES_MAX: usize = 256;

/// The headers of a commit that is appended.
pub(super) fn headers(append: &Append) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(id) = message_id(append) {
        headers.insert(NATS_MESSAGE_ID, id);
    }
    headers.insert(
        NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
        append.expected.to_string(),
    );
    headers.insert(CHAIN, append.chain.to_string());
    if let Some(trace) = trace_of(append) {
        headers.insert(TRACE, trace);
    }
    headers
}

/// What the server remembers a commit by: its command, where that can come again. An id that was drawn for this once
/// never does, and to remember it costs the server a fifth of the append.
fn message_id(append: &Append) -> Option<String> {
    (!append.id.is_drawn()).then(|| append.id.to_string())
}

/// The trace that is sent along. One that is none is left out: it came from outside, and a commit is worth more
/// than it.
fn trace_of(append: &Append) -> Option<&str> {
    append.trace.as_deref().filter(|trace| is_trace(trace))
}

fn is_trace(trace: &str) -> bool {
    trace.len() <= TRACE_BYTES_MAX && trace.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The commit that was appended at `sequence`, as [`decode`] reads it.
pub(super) fn written(sequence: u64, append: &Append) -> Result<Commit, String> {
    let trace = trace_of(append).map(str::to_owned);
    let stream = append.stream.clone();
    Commit::decode(
        Position(sequence),
        stream,
        append.chain,
        trace,
        &append.payload,
    )
    .map_err(|error| format!("payload is no commit: {error}"))
}

/// The same as it stands there.
pub(super) fn raw_written(sequence: u64, append: &Append) -> RawCommit {
    RawCommit {
        position: Position(sequence),
        stream: append.stream.to_string(),
        command: message_id(append).unwrap_or_default(),
        chain: append.chain.to_string(),
        trace: trace_of(append).unwrap_or_default().to_owned(),
        payload: append.payload.clone(),
    }
}

/// The trace that a commit carries.
pub(in crate::nats) fn trace(message: &Message) -> Option<&str> {
    let headers = message.headers.as_ref()?;
    let trace = headers.get(TRACE).or_else(|| headers.get(TRACE_BEFORE));
    trace.map(HeaderValue::as_str)
}

/// The commit that stands at `sequence`, or what is wrong with it.
pub(super) fn decode(
    settings: &Settings,
    sequence: u64,
    subject: &str,
    message: &Message,
) -> Result<Commit, String> {
    let stream = subjects::stream_of(&settings.prefix, subject);
    let stream = stream.ok_or_else(|| format!("subject `{subject}` names no stream"))?;
    let header = |name| {
        let headers = message.headers.as_ref()?;
        headers.get(name).map(|value| value.as_str())
    };
    let chain = header(CHAIN).ok_or("header `Ledgerline-Chain` is missing")?;
    let chain: Chain = chain
        .parse()
        .map_err(|error| format!("header `Ledgerline-Chain` {error}"))?;
    let trace = trace(message).map(str::to_owned);
    Commit::decode(Position(sequence), stream, chain, trace, &message.payload)
        .map_err(|error| format!("payload is no commit: {error}"))
}
