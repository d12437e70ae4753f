//! JSON of somebody else's making: kept as it was written, never looked into, with a named limit.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// At most [`Json::BYTES_MAX`] bytes of JSON.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

/// More JSON than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "has `{bytes}` bytes of JSON, more than the limit of `{}`: keep it elsewhere and send a reference",
    Json::BYTES_MAX
)]
pub struct TooMuchJson {
    /// Its length.
    pub bytes: usize,
}

impl Json {
    /// A quarter of what a commit may have.
    pub const BYTES_MAX: usize = 256 * 1024;

    /// Checks the length.
    ///
    /// # Errors
    /// When it is over the limit.
    pub fn new(json: Box<RawValue>) -> Result<Self, TooMuchJson> {
        let bytes = json.get().len();
        if bytes > Self::BYTES_MAX {
            return Err(TooMuchJson { bytes });
        }
        Ok(Self(json))
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The value, still as text.
    #[must_use]
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Self::new(json).map_err(serde::de::Error::custom)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}
