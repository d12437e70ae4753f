//! What a client of a stream is sent: CloudEvents 1.0 in structured JSON.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>; names of
//! extension attributes have lower case letters and digits only.

use commands::FeedEvent;
use domain::{Position, Tenant, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// One CloudEvent, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Where it stands, and so where a client that has it goes on.
    pub(crate) id: String,
    /// Its type.
    pub(crate) kind: String,
    /// The whole of it. JSON has no line breaks of its own, so it is one line.
    pub(crate) json: String,
}

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

/// What something was at a position: nothing happened, so nobody did it.
#[derive(Serialize)]
struct SnapshotEvent<'a, T> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    tenant: &'a str,
    data: T,
}

/// What is told of the state of something before its events.
#[derive(Debug)]
pub(crate) struct Snapshot<'a, T> {
    /// Whose it is.
    pub(crate) tenant: &'a Tenant,
    /// What it is, as `job`.
    pub(crate) category: &'a str,
    /// Which one.
    pub(crate) subject: &'a str,
    /// When it was looked at.
    pub(crate) time: Timestamp,
    /// Every event up to here is in it.
    pub(crate) position: Position,
    /// The state.
    pub(crate) data: T,
}

impl Message {
    /// An event of the feed.
    pub(crate) fn of_event(event: &FeedEvent) -> Self {
        let id = event.position.to_string();
        let kind = event.cloud_event_type();
        let json = written(&CloudEvent {
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
        });
        Self { id, kind, json }
    }

    /// A state, as an event of type `ledgerline.<category>.snapshot.v1` whose id is its position.
    pub(crate) fn of_snapshot<T: Serialize>(snapshot: Snapshot<'_, T>) -> Self {
        let id = snapshot.position.0.to_string();
        let kind = format!("ledgerline.{}.snapshot.v1", snapshot.category);
        let json = written(&SnapshotEvent {
            specversion: "1.0",
            id: &id,
            source: &format!("/ledgerline/{}/{}", snapshot.tenant, snapshot.category),
            kind: &kind,
            subject: snapshot.subject,
            time: snapshot.time,
            datacontenttype: "application/json",
            tenant: snapshot.tenant.as_str(),
            data: snapshot.data,
        });
        Self { id, kind, json }
    }
}

fn written(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("an event has only text, numbers and JSON")
}
