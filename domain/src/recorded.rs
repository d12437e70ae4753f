//! One event as it stands in a commit: `{type, data?, v, occurred_at?}`.
//!
//! Its data stays as JSON, which is looked at once, by whoever knows the category first.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

use crate::{Event, Timestamp};

/// One event of a commit, its data not yet looked at.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordedEvent {
    /// The value of `type`.
    #[serde(rename = "type")]
    pub name: Box<str>,
    /// The version of the shape of its data.
    #[serde(rename = "v")]
    pub version: u16,
    /// When it happened, where that was before it was recorded.
    #[serde(default)]
    pub occurred_at: Option<Timestamp>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    /// What it was decoded to, for everybody who has the same commit.
    #[serde(skip)]
    decoded: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// An event that this program cannot take.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer program.
    #[error("event `{name}` has version `{version}`, newer than the known `{known}`")]
    Newer {
        /// Its name.
        name: String,
        /// Its version.
        version: u16,
        /// The newest version that this program knows.
        known: u16,
    },
    /// Not the shape of any event of its category.
    #[error("decode event `{name}`")]
    Shape {
        /// Its name.
        name: String,
        /// Where it went wrong.
        #[source]
        source: serde_json::Error,
    },
}

impl RecordedEvent {
    /// The event as its category knows it.
    ///
    /// # Errors
    /// When it is of a newer version or of another shape.
    pub fn decode<E: Event>(&self) -> Result<E, DecodeError> {
        let tagged = MapAccessDeserializer::new(Tagged {
            name: Some(&self.name),
            data: self.data.as_deref(),
        });
        let event = E::deserialize(tagged).map_err(|source| DecodeError::Shape {
            name: self.name.to_string(),
            source,
        })?;
        if self.version > event.version() {
            return Err(DecodeError::Newer {
                name: self.name.to_string(),
                version: self.version,
                known: event.version(),
            });
        }
        Ok(event)
    }

    /// The same, decoded by the first who asks: dispatcher, reactor and read side read the same commits.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn shared<E: Event>(&self) -> Result<Arc<E>, DecodeError> {
        let decoded = self.decoded.get().cloned();
        if let Some(Ok(event)) = decoded.map(Arc::downcast) {
            return Ok(event);
        }
        let event = Arc::new(self.decode()?);
        // Where another was faster there are two that are equal.
        self.decoded.get_or_init(|| Arc::clone(&event) as _);
        Ok(event)
    }

    /// Only the event's `data`, as JSON; `null` for an event without any.
    #[must_use]
    pub fn data(&self) -> &RawValue {
        self.data.as_deref().unwrap_or(RawValue::NULL)
    }
}

/// The map `{type, data}` that an event is read from, without writing it down first.
struct Tagged<'a> {
    name: Option<&'a str>,
    data: Option<&'a RawValue>,
}

impl<'de> MapAccess<'de> for Tagged<'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        let key = match (self.name, self.data) {
            (Some(_), _) => "type",
            (None, Some(_)) => "data",
            (None, None) => return Ok(None),
        };
        seed.deserialize(BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        match (self.name.take(), self.data) {
            (Some(name), _) => seed.deserialize(BorrowedStrDeserializer::new(name)),
            (None, data) => {
                self.data = None;
                seed.deserialize(data.unwrap_or(RawValue::NULL))
            }
        }
    }
}
