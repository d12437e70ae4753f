//! An event of the feed as a message: a CloudEvent in structured mode, whose attributes are in the payload.
//!
//! Earlier builds published in binary mode, with the attributes in headers; what they left in the feed is
//! read as it is.

use std::collections::BTreeMap;

use async_nats::{HeaderMap, HeaderName, Message};
use bytes::Bytes;
use commands::FeedEvent;
use commands::feed::cloud_event;
use commands::journal::BoxError;
use domain::EventPosition;
use serde_json::value::{RawValue, to_raw_value};

use crate::nats::percent;

const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// In binary mode, the event's id and what each header of an attribute begins with.
const BINARY_ID: HeaderName = HeaderName::from_static("ce-id");
const BINARY_PREFIX: &str = "ce-";

/// What says of the payload that it is a CloudEvent.
pub(super) fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, cloud_event::CONTENT_TYPE);
    headers
}

/// The event.
pub(super) fn payload(event: &FeedEvent) -> Bytes {
    event.to_json().into()
}

/// Where the event of a message stands.
pub(super) fn position(message: &Message) -> Option<EventPosition> {
    match binary(message) {
        Some(headers) => headers.get(BINARY_ID)?.as_str().parse().ok(),
        None => cloud_event::position(&message.payload),
    }
}

/// The event of a message.
pub(super) fn decode(message: &Message) -> Result<FeedEvent, BoxError> {
    match binary(message) {
        Some(headers) => FeedEvent::from_json(&structured(headers, &message.payload)?),
        None => FeedEvent::from_json(&message.payload),
    }
}

fn binary(message: &Message) -> Option<&HeaderMap> {
    let headers = message.headers.as_ref()?;
    headers.get(BINARY_ID).map(|_| headers)
}

/// The same event in structured mode.
fn structured(headers: &HeaderMap, data: &[u8]) -> Result<Vec<u8>, BoxError> {
    let data: Box<RawValue> = serde_json::from_slice(data)?;
    let mut event = BTreeMap::from([("data", data)]);
    for (name, values) in headers.iter() {
        let Some(attribute) = attribute(name.as_ref()) else {
            continue;
        };
        let value = values.first().map(|value| percent::decode(value.as_str()));
        let value = value.flatten().ok_or("a header is no text")?;
        let value = match attribute {
            "version" => to_raw_value(&value.parse::<u64>()?),
            _ => to_raw_value(&value),
        };
        event.insert(attribute, value?);
    }
    Ok(serde_json::to_vec(&event)?)
}

fn attribute(header: &str) -> Option<&str> {
    match header {
        // What it was called before CloudEvents' own name for it.
        "traceparent" => Some(header),
        _ => header.strip_prefix(BINARY_PREFIX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn message(headers: HeaderMap, payload: &'static str) -> Message {
        Message {
            subject: "feed.acme.assignment.noted.a-1".into(),
            reply: None,
            payload: Bytes::from_static(payload.as_bytes()),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        }
    }

    /// As earlier builds published it, the trace under the name that `trace` is.
    fn binary_message(trace: &'static str) -> Message {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Nats-Msg-Id", "7.2"),
            ("ce-specversion", "1.0"),
            ("ce-id", "7.2"),
            ("ce-source", "/ledgerline/acme"),
            ("ce-type", "ledgerline.assignment.noted.v3"),
            ("ce-subject", "a-1"),
            ("ce-time", "2026-11-21T11:00:00Z"),
            ("content-type", "application/json"),
            ("ce-tenant", "acme"),
            ("ce-recordedat", "2026-11-21T12:00:00.5Z"),
            ("ce-version", "9"),
            ("ce-command", "00000000-0000-0000-0000-000000000000"),
            (
                "ce-principal",
                "J%C3%BCrgen%20%22100%20%25%22%20M%C3%BCller",
            ),
            ("ce-onbehalfof", "import"),
            ("ce-correlation", "errand%201"),
            (trace, TRACE),
        ] {
            headers.insert(name, value);
        }
        message(headers, "{\"text\":\"ü\"}")
    }

    #[test]
    fn an_event_in_the_binary_mode_of_earlier_builds_is_read_whole() {
        for trace in ["ce-traceparent", "traceparent"] {
            let old = binary_message(trace);
            let event = decode(&old).expect("an earlier build wrote it");
            assert_eq!(position(&old), Some(event.position));
            let FeedEvent { actor, data, .. } = &event;
            let other = actor.on_behalf_of.as_ref().map(|name| name.as_str());
            let errand = event.correlation.as_ref().map(|name| name.as_str());
            assert_eq!(event.position.to_string(), "7.2");
            assert_eq!(event.cloud_event_type(), "ledgerline.assignment.noted.v3");
            assert_eq!((event.tenant.as_str(), event.id.as_str()), ("acme", "a-1"));
            assert_eq!(event.time.to_string(), "2026-11-21T11:00:00Z");
            assert_eq!(event.recorded_at.to_string(), "2026-11-21T12:00:00.5Z");
            assert_eq!((event.version, event.command.0.is_nil()), (9, true));
            assert_eq!(actor.principal.as_str(), "Jürgen \"100 %\" Müller");
            assert_eq!((other, errand), (Some("import"), Some("errand 1")));
            assert_eq!(event.trace.as_deref(), Some(TRACE));
            assert_eq!(data.get(), "{\"text\":\"ü\"}");
        }
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written() {
        let event = decode(&binary_message("ce-traceparent")).expect("it is one");
        let again = Message {
            payload: payload(&event),
            ..message(headers(), "")
        };
        let read = decode(&again).expect("we wrote it");
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
        assert_eq!(position(&again), Some(event.position));
    }

    #[test]
    fn what_is_no_event_of_ours_is_told_and_not_taken() {
        let bare = message(HeaderMap::new(), "{\"text\":\"ü\"}");
        assert!(decode(&bare).is_err());
        assert_eq!(position(&bare), None);
        let mut broken = binary_message("traceparent");
        broken.payload = Bytes::from_static(b"{");
        assert!(decode(&broken).is_err());
        for (name, value) in [("ce-version", "many"), ("ce-principal", "%FF")] {
            let mut wrong = binary_message("traceparent");
            let headers = wrong.headers.as_mut().expect("it has headers");
            headers.insert(name, value);
            assert!(decode(&wrong).is_err(), "{name}");
        }
    }
}
