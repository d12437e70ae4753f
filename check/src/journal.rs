//! The journal as it is stored: one message a commit, on `<prefix>.<tenant>.<category>.<id>`.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One stored message. As a line of a file it is JSON, its payload in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its place in the stream.
    pub sequence: u64,
    /// On which subject.
    pub subject: String,
    /// The first value of each header.
    pub headers: BTreeMap<String, String>,
    /// What was sent, byte for byte.
    #[serde(with = "in_base64")]
    pub payload: Vec<u8>,
}

/// What a message says, as far as a judge needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Where it stands.
    pub position: u64,
    /// The aggregate, as `<tenant>.<category>.<id>`.
    pub stream: String,
    /// The command that asked for it.
    pub command: String,
    /// Who asked.
    pub principal: String,
    /// How many events the aggregate had before.
    pub version: u64,
    /// What happened.
    pub events: Vec<Event>,
    /// The value that binds it to what stands before it on its stream, in hexadecimal.
    pub chain: String,
    /// The payload, byte for byte.
    pub payload: Vec<u8>,
}

/// One event of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its type.
    pub name: String,
    /// Its data; `null` where it has none.
    pub data: Value,
}

/// Whether a command's id is a UUID of version 7, drawn for this once: nobody can send it again, and its message has
/// no id to be remembered by.
fn was_drawn(command: &str) -> bool {
    let bytes = command.as_bytes();
    let is_uuid = bytes.len() == 36 && [8, 13, 18, 23].iter().all(|&at| bytes[at] == b'-');
    is_uuid && bytes[14] == b'7'
}

impl Commit {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is no commit, with what is missing.
    pub fn of(message: &Message) -> anyhow::Result<Self> {
        let tokens: Vec<_> = message.subject.split('.').collect();
        let [_, tenant, category, id] = tokens[..] else {
            anyhow::bail!("subject `{}` has not four tokens", message.subject);
        };
        let payload: Value = serde_json::from_slice(&message.payload).context("no JSON")?;
        let text = |value: &Value, what: &str| {
            let text = value.as_str().map(str::to_owned);
            text.with_context(|| format!("it has no {what}"))
        };
        let command = text(&payload["commit"], "command")?;
        let header = |name: &str| message.headers.get(name).cloned().unwrap_or_default();
        let message_id = header("Nats-Msg-Id");
        anyhow::ensure!(
            message_id == command || message_id.is_empty() && was_drawn(&command),
            "its message id is not its command"
        );
        let events = payload["events"].as_array().context("it has no events")?;
        anyhow::ensure!(!events.is_empty(), "it has no event");
        let events = events.iter().map(|event| {
            Ok(Event {
                name: text(&event["type"], "type of an event")?,
                data: event["data"].clone(),
            })
        });
        Ok(Self {
            position: message.sequence,
            stream: format!("{tenant}.{category}.{id}"),
            principal: text(&payload["actor"]["principal"], "principal")?,
            version: payload["version"].as_u64().context("it has no version")?,
            events: events.collect::<anyhow::Result<_>>()?,
            chain: header("Ledgerline-Chain"),
            payload: message.payload.clone(),
            command,
        })
    }

    /// How many events the aggregate has had with it.
    #[must_use]
    pub fn version_after(&self) -> u64 {
        self.version + self.events.len() as u64
    }

    /// The kind of the aggregate.
    #[must_use]
    pub fn category(&self) -> &str {
        self.stream.split('.').nth(1).unwrap_or_default()
    }

    /// The id of the aggregate.
    #[must_use]
    pub fn id(&self) -> &str {
        self.stream.split('.').nth(2).unwrap_or_default()
    }
}

/// Reads messages, one JSON object a line.
///
/// # Errors
/// When a line is none, with its number.
pub fn read(lines: impl BufRead) -> anyhow::Result<Vec<Message>> {
    let messages = lines.lines().enumerate().map(|(index, line)| {
        let line = line?;
        serde_json::from_str(&line).with_context(|| format!("line {} of the journal", index + 1))
    });
    messages.collect()
}

/// Writes messages, one JSON object a line.
///
/// # Errors
/// When they cannot be written.
pub fn write(messages: &[Message], mut to: impl Write) -> anyhow::Result<()> {
    for message in messages {
        serde_json::to_writer(&mut to, message)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

mod in_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
