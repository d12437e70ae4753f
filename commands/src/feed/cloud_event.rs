//! An event as it leaves the house: a CloudEvent 1.0 in structured mode, one JSON object with attributes and data.
//! On the feed, in a replay and over HTTP it is the same, byte for byte.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>; names of extension
//! attributes have lower case letters and digits only.

use std::borrow::Cow;
use std::fmt::{self, Display};

use domain::{Actor, CommandId, EventPosition, Name, Tenant, Timestamp, Token};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::FeedEvent;
use crate::journal::BoxError;

/// The media type of what [`FeedEvent::to_json`] writes.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// What the attributes of most events take, without the data.
const ATTRIBUTES_BYTES: usize = 640;

/// The first parts of a type and of a source.
const HOUSE: &str = "ledgerline";

#[derive(Serialize)]
struct Written<'a> {
    specversion: &'static str,
    #[serde(serialize_with = "text")]
    id: EventPosition,
    #[serde(serialize_with = "text")]
    source: Source<'a>,
    #[serde(rename = "type", serialize_with = "text")]
    kind: Type<'a>,
    subject: &'a Token,
    time: Timestamp,
    datacontenttype: &'static str,
    tenant: &'a Tenant,
    recordedat: Timestamp,
    version: u64,
    principal: &'a Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    onbehalfof: Option<&'a Name>,
    command: CommandId,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    subject: Token,
    time: Timestamp,
    tenant: Tenant,
    recordedat: Timestamp,
    version: u64,
    principal: Name,
    onbehalfof: Option<Name>,
    command: CommandId,
    correlation: Option<Name>,
    traceparent: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

struct Source<'a>(&'a Tenant);

struct Type<'a>(&'a FeedEvent);

impl FeedEvent {
    /// The whole event, in one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = Vec::with_capacity(ATTRIBUTES_BYTES + self.data.get().len());
        let written = Written {
            specversion: "1.0",
            id: self.position,
            source: Source(&self.tenant),
            kind: Type(self),
            subject: &self.id,
            time: self.time,
            datacontenttype: "application/json",
            tenant: &self.tenant,
            recordedat: self.recorded_at,
            version: self.version,
            principal: &self.actor.principal,
            onbehalfof: self.actor.on_behalf_of.as_ref(),
            command: self.command,
            correlation: self.correlation.as_ref(),
            traceparent: self.trace.as_deref(),
            data: &self.data,
        };
        serde_json::to_writer(&mut json, &written)
            .expect("an event has only text, numbers and JSON, and a vector takes all of it");
        one_line(String::from_utf8(json).expect("JSON is text"))
    }

    /// What [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// When an attribute is missing or not what it must be.
    pub fn from_json(json: &[u8]) -> Result<Self, BoxError> {
        let read: Read<'_> = serde_json::from_slice(json)?;
        let (category, event, event_version) =
            parts_of_type(&read.kind).ok_or("attribute `type` is none of ours")?;
        Ok(Self {
            position: read.id.parse()?,
            tenant: read.tenant,
            category,
            id: read.subject,
            event,
            event_version,
            time: read.time,
            recorded_at: read.recordedat,
            version: read.version,
            actor: Actor {
                principal: read.principal,
                on_behalf_of: read.onbehalfof,
            },
            command: read.command,
            correlation: read.correlation,
            trace: read.traceparent,
            data: read.data.to_owned(),
        })
    }

    /// The attribute `type`: `ledgerline.<category>.<event>.v<n>`.
    #[must_use]
    pub fn cloud_event_type(&self) -> String {
        Type(self).to_string()
    }
}

/// The same JSON without line breaks. What came from outside, as the payload of a job, is kept as it was sent, and may
/// have some between its tokens; within a text JSON has none. Server-sent events and lines would break at them.
#[must_use]
pub fn one_line(json: String) -> String {
    if json.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) {
        json.replace(['\n', '\r'], " ")
    } else {
        json
    }
}

/// The attribute `source` of whatever is told about a tenant.
#[must_use]
pub fn source(tenant: &Tenant) -> String {
    Source(tenant).to_string()
}

/// Where the event that [`FeedEvent::to_json`] wrote stands, without a look at the rest.
#[must_use]
pub fn position(json: &[u8]) -> Option<EventPosition> {
    let Identified { id } = serde_json::from_slice(json).ok()?;
    id.parse().ok()
}

fn parts_of_type(kind: &str) -> Option<(Token, Token, u16)> {
    let mut parts = kind.strip_prefix(HOUSE)?.strip_prefix('.')?.splitn(3, '.');
    let (category, event) = (parts.next()?, parts.next()?);
    let version = parts.next()?.strip_prefix('v')?.parse().ok()?;
    Some((Token::new(category).ok()?, Token::new(event).ok()?, version))
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{HOUSE}/{}", self.0)
    }
}

impl Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FeedEvent {
            category,
            event,
            event_version,
            ..
        } = self.0;
        write!(f, "{HOUSE}.{category}.{event}.v{event_version}")
    }
}

#[cfg(test)]
mod tests {
    use domain::Position;
    use uuid::Uuid;

    use super::*;

    fn event() -> FeedEvent {
        let token = |text| Token::new(text).expect("a plain word is a token");
        FeedEvent {
            position: EventPosition {
                position: Position(7),
                index: 2,
            },
            tenant: Tenant::new("acme").expect("a plain word is a token"),
            category: token("assignment"),
            id: token("a-1"),
            event: token("noted"),
            event_version: 3,
            time: "2026-11-21T11:00:00Z".parse().expect("a time"),
            recorded_at: "2026-11-21T12:00:00.5Z".parse().expect("a time"),
            version: 9,
            actor: Actor {
                principal: Name::new("Jürgen \"100 %\" Müller").expect("a name"),
                on_behalf_of: Some(Name::new("import").expect("a name")),
            },
            command: CommandId(Uuid::nil()),
            correlation: Some(Name::new("errand 1").expect("a name")),
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            data: RawValue::from_string("{\"text\":\"ü\",\"n\":1.0}".to_owned())
                .expect("it is JSON"),
        }
    }

    const JSON: &str = concat!(
        r#"{"specversion":"1.0","id":"7.2","source":"/ledgerline/acme","#,
        r#""type":"ledgerline.assignment.noted.v3","subject":"a-1","time":"2026-11-21T11:00:00Z","#,
        r#""datacontenttype":"application/json","tenant":"acme","recordedat":"2026-11-21T12:00:00.5Z","#,
        r#""version":9,"principal":"Jürgen \"100 %\" Müller","onbehalfof":"import","#,
        r#""command":"00000000-0000-0000-0000-000000000000","correlation":"errand 1","#,
        r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","#,
        r#""data":{"text":"ü","n":1.0}}"#
    );

    #[test]
    fn the_form_is_the_public_contract() {
        let json = event().to_json();
        assert_eq!(json, JSON);
        assert_eq!(position(json.as_bytes()), Some(event().position));
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written() {
        let mut plain = event();
        plain.actor.on_behalf_of = None;
        plain.correlation = None;
        plain.trace = None;
        for event in [event(), plain] {
            let read = FeedEvent::from_json(event.to_json().as_bytes()).expect("we wrote it");
            assert_eq!(format!("{read:?}"), format!("{event:?}"));
        }
    }

    #[test]
    fn an_event_is_one_line_however_its_data_was_sent() {
        let mut event = event();
        let data = "{\r\n\r\n\"text\": \"a\\nb\"\n}".to_owned();
        event.data = RawValue::from_string(data).expect("it is JSON");
        let json = event.to_json();
        assert!(!json.contains(['\n', '\r']), "{json}");
        let read = FeedEvent::from_json(json.as_bytes()).expect("we wrote it");
        let data: serde_json::Value = serde_json::from_str(read.data.get()).expect("JSON");
        assert_eq!(data, serde_json::json!({"text": "a\nb"}));
    }

    #[test]
    fn what_is_no_event_of_ours_is_told_and_not_taken() {
        for (from, to) in [
            ("\"7.2\"", "\"7\""),
            (
                "ledgerline.assignment.noted.v3",
                "ledgerline.assignment.noted",
            ),
            (
                "ledgerline.assignment.noted.v3",
                "other.assignment.noted.v3",
            ),
            ("\"subject\":\"a-1\"", "\"subject\":\"a 1\""),
            ("\"version\":9", "\"version\":-9"),
            (",\"data\":{\"text\":\"ü\",\"n\":1.0}", ""),
            ("{\"text\"", "{text"),
        ] {
            let broken = JSON.replacen(from, to, 1);
            assert_ne!(broken, JSON);
            assert!(FeedEvent::from_json(broken.as_bytes()).is_err(), "{to}");
        }
        assert_eq!(position(b"{}"), None);
    }
}
