//! A public event as a CloudEvent 1.0 in structured JSON, and as one server-sent event.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>; names of
//! extension attributes have lower case letters and digits only.

use axum::body::Bytes;
use bytes::{BufMut as _, BytesMut};
use commands::FeedEvent;
use domain::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// How large an event usually is: room for one is made at once.
const EVENT_BYTES: usize = 1_024;

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    tenant: &'a str,
    recordedat: Timestamp,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    onbehalfof: Option<&'a str>,
    command: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    version: u64,
    data: &'a RawValue,
}

/// The bytes of one server-sent event. JSON has no line breaks of its own, so `data` is one line.
pub(super) fn server_sent(event: &FeedEvent) -> Bytes {
    let id = event.position.to_string();
    let kind = event.cloud_event_type();
    let mut out = BytesMut::with_capacity(EVENT_BYTES);
    for part in ["id: ", &id, "\nevent: ", &kind, "\ndata: "] {
        out.put_slice(part.as_bytes());
    }
    let cloud_event = CloudEvent {
        specversion: "1.0",
        id: &id,
        source: &format!("/ledgerline/{}/{}", event.tenant, event.category),
        kind: &kind,
        subject: event.id.as_str(),
        time: event.time,
        datacontenttype: "application/json",
        tenant: event.tenant.as_str(),
        recordedat: event.recorded_at,
        actor: event.actor.principal.as_str(),
        onbehalfof: event.actor.on_behalf_of.as_ref().map(domain::Name::as_str),
        command: event.command.0,
        correlation: event.correlation.as_ref().map(domain::Name::as_str),
        traceparent: event.trace.as_deref(),
        version: event.version,
        data: &event.data,
    };
    serde_json::to_writer((&mut out).writer(), &cloud_event)
        .expect("an event has only text, numbers and JSON");
    out.put_slice(b"\n\n");
    out.freeze()
}
