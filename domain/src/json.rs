//! JSON of somebody else's making: kept as it was written, never looked into, with a named limit.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// At most [`Json::BYTES_MAX`] bytes of JSON, at most [`Json::DEPTH_MAX`] levels deep.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

/// JSON that is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJson {
    /// Too long.
    #[error(
        "has `{bytes}` bytes of JSON, more than the limit of `{}`: keep it elsewhere and send a reference",
        Json::BYTES_MAX
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Too deep.
    #[error(
        "has arrays and objects within each other more than `{}` levels deep",
        Json::DEPTH_MAX
    )]
    TooDeep,
}

impl Json {
    /// A quarter of what a commit may have.
    pub const BYTES_MAX: usize = 256 * 1024;

    /// Less than common readers of JSON take, whose stacks whoever writes deeper would exhaust: 128 for
    /// `serde_json`, a thousand for Python.
    pub const DEPTH_MAX: usize = 100;

    /// Checks length and depth.
    ///
    /// # Errors
    /// When it is over a limit.
    pub fn new(json: Box<RawValue>) -> Result<Self, InvalidJson> {
        let bytes = json.get().len();
        if bytes > Self::BYTES_MAX {
            return Err(InvalidJson::TooLong { bytes });
        }
        if depth(json.get()) > Self::DEPTH_MAX {
            return Err(InvalidJson::TooDeep);
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

/// How many arrays and objects stand within each other at most in well formed JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // Whatever is escaped does not end the string.
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: String) -> Result<Json, InvalidJson> {
        Json::new(RawValue::from_string(text).expect("JSON"))
    }

    #[test]
    fn json_at_its_limits_is_taken_and_anything_more_is_refused() {
        let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert!(json(long(Json::BYTES_MAX)).is_ok());
        let bytes = Json::BYTES_MAX + 1;
        assert_eq!(json(long(bytes)), Err(InvalidJson::TooLong { bytes }));
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(json(deep(Json::DEPTH_MAX)).is_ok());
        assert_eq!(json(deep(Json::DEPTH_MAX + 1)), Err(InvalidJson::TooDeep));
        assert_eq!(json(deep(100_000)), Err(InvalidJson::TooDeep));
    }

    #[test]
    fn only_brackets_outside_of_strings_are_levels() {
        for (text, levels) in [
            (r#""[[[""#, 0),
            (r#"["\"[","\\",[]]"#, 2),
            (r#"{"a{":[{}],"b":[]}"#, 3),
            ("1", 0),
        ] {
            assert_eq!(depth(text), levels, "{text}");
        }
    }
}
