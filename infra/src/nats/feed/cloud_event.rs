//! An event of the feed as a CloudEvent 1.0 in binary mode: attributes in headers, data as payload.
//!
//! Names and whatever else comes from outside are percent-encoded as the HTTP binding has it (section 3.1.3.2),
//! because names of people may have any letters and headers may not. Tokens, numbers, times and ids are plain.

use std::borrow::Cow;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{HeaderMap, HeaderName, Message};
use bytes::Bytes;
use commands::FeedEvent;
use domain::{Actor, CommandId, EventPosition, Name};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::nats::{percent, subjects};

const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");
const ID: HeaderName = HeaderName::from_static("ce-id");
const SOURCE: HeaderName = HeaderName::from_static("ce-source");
const TYPE: HeaderName = HeaderName::from_static("ce-type");
const SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const TIME: HeaderName = HeaderName::from_static("ce-time");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");
const TENANT: HeaderName = HeaderName::from_static("ce-tenant");
const RECORDED_AT: HeaderName = HeaderName::from_static("ce-recordedat");
const VERSION: HeaderName = HeaderName::from_static("ce-version");
const PRINCIPAL: HeaderName = HeaderName::from_static("ce-principal");
const ON_BEHALF_OF: HeaderName = HeaderName::from_static("ce-onbehalfof");
const COMMAND: HeaderName = HeaderName::from_static("ce-command");
const CORRELATION: HeaderName = HeaderName::from_static("ce-correlation");
const TRACE: HeaderName = HeaderName::from_static("ce-traceparent");
/// What it was called before CloudEvents' own name for it.
const TRACE_BEFORE: HeaderName = HeaderName::from_static("traceparent");

/// The event's attributes.
pub(super) fn headers(event: &FeedEvent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let id = event.position.to_string();
    headers.insert(NATS_MESSAGE_ID, id.clone());
    headers.insert(SPEC_VERSION, "1.0");
    headers.insert(ID, id);
    headers.insert(SOURCE, format!("/ledgerline/{}", event.tenant));
    headers.insert(TYPE, event.cloud_event_type());
    headers.insert(SUBJECT, event.id.as_str());
    headers.insert(TIME, event.time.to_string());
    headers.insert(CONTENT_TYPE, "application/json");
    headers.insert(TENANT, event.tenant.as_str());
    headers.insert(RECORDED_AT, event.recorded_at.to_string());
    headers.insert(VERSION, event.version.to_string());
    headers.insert(COMMAND, event.command.to_string());
    let mut name = |header: HeaderName, name: &Name| {
        headers.insert(header, percent::encode(name.as_str()).into_owned());
    };
    name(PRINCIPAL, &event.actor.principal);
    if let Some(on_behalf_of) = &event.actor.on_behalf_of {
        name(ON_BEHALF_OF, on_behalf_of);
    }
    if let Some(correlation) = &event.correlation {
        name(CORRELATION, correlation);
    }
    if let Some(trace) = &event.trace {
        headers.insert(TRACE, percent::encode(trace).into_owned());
    }
    headers
}

/// The event's data. It is shared with nobody, so it is copied.
pub(super) fn payload(event: &FeedEvent) -> Bytes {
    Bytes::copy_from_slice(event.data.get().as_bytes())
}

/// Where the event of a message stands.
pub(super) fn position(message: &Message) -> Option<EventPosition> {
    message.headers.as_ref()?.get(ID)?.as_str().parse().ok()
}

/// The event of a message on `subject`, or what is wrong with it.
pub(super) fn decode(prefix: &str, message: &Message) -> Result<FeedEvent, String> {
    let subject = message.subject.as_str();
    let tokens = subjects::event_of(prefix, subject);
    let (tenant, category, event, id) =
        tokens.ok_or_else(|| format!("subject `{subject}` names no event"))?;
    let headers = Headers(message.headers.as_ref());
    let event_version = headers.text(TYPE, "ce-type")?;
    let event_version = event_version
        .rsplit_once(".v")
        .map(|(_, version)| version.parse());
    let Some(Ok(event_version)) = event_version else {
        return Err("header `ce-type` has no version".to_owned());
    };
    let data = std::str::from_utf8(&message.payload).map_err(|error| error.to_string())?;
    let data = RawValue::from_string(data.to_owned());
    Ok(FeedEvent {
        position: headers.parse(ID, "ce-id")?,
        tenant,
        category,
        id,
        event,
        event_version,
        time: headers.parse(TIME, "ce-time")?,
        recorded_at: headers.parse(RECORDED_AT, "ce-recordedat")?,
        version: headers.parse(VERSION, "ce-version")?,
        actor: Actor {
            principal: headers.parse(PRINCIPAL, "ce-principal")?,
            on_behalf_of: headers.name(ON_BEHALF_OF, "ce-onbehalfof")?,
        },
        command: CommandId(headers.parse::<Uuid>(COMMAND, "ce-command")?),
        correlation: headers.name(CORRELATION, "ce-correlation")?,
        trace: headers
            .optional(TRACE)
            .or_else(|| headers.optional(TRACE_BEFORE))
            .map(Cow::into_owned),
        data: data.map_err(|error| format!("data is no JSON: {error}"))?,
    })
}

struct Headers<'a>(Option<&'a HeaderMap>);

impl<'a> Headers<'a> {
    fn optional(&self, name: HeaderName) -> Option<Cow<'a, str>> {
        percent::decode(self.0?.get(name)?.as_str())
    }

    fn text(&self, name: HeaderName, called: &str) -> Result<Cow<'a, str>, String> {
        let value = self.optional(name);
        value.ok_or_else(|| format!("header `{called}` is missing or no text"))
    }

    fn parse<T: std::str::FromStr>(&self, name: HeaderName, called: &str) -> Result<T, String> {
        let value = self.text(name, called)?;
        value
            .parse()
            .map_err(|_| format!("header `{called}` is not readable: `{value}`"))
    }

    fn name(&self, name: HeaderName, called: &str) -> Result<Option<Name>, String> {
        let value = self.optional(name).map(Name::new);
        value
            .transpose()
            .map_err(|error| format!("header `{called}` {error}"))
    }
}

#[cfg(test)]
mod tests {
    use domain::{Position, Tenant, Token};

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
            data: RawValue::from_string("{\"text\":\"ü\"}".to_owned()).expect("it is JSON"),
        }
    }

    fn message(event: &FeedEvent) -> Message {
        Message {
            subject: subjects::of_event("feed", event).into(),
            reply: None,
            payload: payload(event),
            headers: Some(headers(event)),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn an_event_is_read_back_as_it_was_written() {
        let event = event();
        let read = decode("feed", &message(&event)).expect("we wrote it");
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
        assert_eq!(position(&message(&event)), Some(event.position));
    }

    #[test]
    fn the_attributes_are_those_of_the_public_contract() {
        let headers = headers(&event());
        for (name, value) in [
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
            (
                "ce-principal",
                "J%C3%BCrgen%20%22100%20%25%22%20M%C3%BCller",
            ),
            ("ce-onbehalfof", "import"),
            ("ce-correlation", "errand%201"),
            (
                "ce-traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("Nats-Msg-Id", "7.2"),
        ] {
            let found = headers.get(name).map(|value| value.as_str());
            assert_eq!(found, Some(value), "{name}");
        }
    }

    #[test]
    fn what_is_no_event_of_ours_is_told_and_not_taken() {
        let mut bare = message(&event());
        bare.headers = None;
        assert!(decode("feed", &bare).is_err());
        let mut foreign = message(&event());
        foreign.subject = "feed.acme.x".into();
        assert!(decode("feed", &foreign).is_err());
        let mut broken = message(&event());
        broken.payload = Bytes::from_static(b"{");
        assert!(decode("feed", &broken).is_err());
    }
}
