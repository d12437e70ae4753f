//! What a client of a stream is sent: events as the feed has them, and states in the same form.

use commands::FeedEvent;
use commands::feed::cloud_event::{one_line, source};
use domain::{Position, Tenant, Timestamp};
use serde::Serialize;

/// One CloudEvent, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Where it stands, and so where a client that has it goes on.
    pub(crate) id: String,
    /// Its type.
    pub(crate) kind: String,
    /// The whole of it, in one line.
    pub(crate) json: String,
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
        Self {
            id: event.position.to_string(),
            kind: event.cloud_event_type(),
            json: event.to_json(),
        }
    }

    /// A state, as an event of type `ledgerline.<category>.snapshot.v1` whose id is its position.
    pub(crate) fn of_snapshot<T: Serialize>(snapshot: Snapshot<'_, T>) -> Self {
        let id = snapshot.position.0.to_string();
        let kind = format!("ledgerline.{}.snapshot.v1", snapshot.category);
        let event = SnapshotEvent {
            specversion: "1.0",
            id: &id,
            source: &source(snapshot.tenant),
            kind: &kind,
            subject: snapshot.subject,
            time: snapshot.time,
            datacontenttype: "application/json",
            tenant: snapshot.tenant.as_str(),
            data: snapshot.data,
        };
        let json = serde_json::to_string(&event).expect("a state has only text, numbers and JSON");
        let json = one_line(json);
        Self { id, kind, json }
    }
}
