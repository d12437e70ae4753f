//! Text with a named limit, checked once where it comes in.
//!
//! Limits may be raised later, never lowered: history is read back through the same check.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A person, a team, an agent, a kind, a label's key: one line of at most 200 bytes.
pub type Name = Text<200, false>;

/// Text that is neither blank nor longer than `BYTES_MAX` bytes of UTF-8.
///
/// Control characters are refused, except line breaks and tabs where `LINES` is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const BYTES_MAX: usize, const LINES: bool>(Box<str>);

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing in it but white space.
    #[error("must not be blank")]
    Blank,
    /// Longer than the limit.
    #[error("has `{bytes}` bytes, more than the limit of `{bytes_max}`")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A character that no person typed.
    #[error("must not contain the control character `U+{0:04X}`")]
    Control(u32),
}

impl<const BYTES_MAX: usize, const LINES: bool> Text<BYTES_MAX, LINES> {
    /// The limit, in bytes of UTF-8.
    pub const BYTES_MAX: usize = BYTES_MAX;

    /// Checks `text`.
    ///
    /// # Errors
    /// When it is blank, too long, or has control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidText> {
        let text = text.into();
        if text.len() > BYTES_MAX {
            return Err(InvalidText::TooLong {
                bytes: text.len(),
                bytes_max: BYTES_MAX,
            });
        }
        if text.trim().is_empty() {
            return Err(InvalidText::Blank);
        }
        let forbidden = |c: &char| c.is_control() && !(LINES && matches!(c, '\n' | '\r' | '\t'));
        match text.chars().find(forbidden) {
            Some(control) => Err(InvalidText::Control(u32::from(control))),
            None => Ok(Self(text.into_boxed_str())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const BYTES_MAX: usize, const LINES: bool> fmt::Display for Text<BYTES_MAX, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const BYTES_MAX: usize, const LINES: bool> TryFrom<String> for Text<BYTES_MAX, LINES> {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl<const BYTES_MAX: usize, const LINES: bool> From<Text<BYTES_MAX, LINES>> for String {
    fn from(text: Text<BYTES_MAX, LINES>) -> Self {
        text.0.into_string()
    }
}

impl<const BYTES_MAX: usize, const LINES: bool> FromStr for Text<BYTES_MAX, LINES> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl<const BYTES_MAX: usize, const LINES: bool> Borrow<str> for Text<BYTES_MAX, LINES> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_at_its_limit_is_taken_and_one_byte_more_is_refused() {
        assert!(Name::new("x".repeat(200)).is_ok());
        assert_eq!(
            Name::new("x".repeat(201)),
            Err(InvalidText::TooLong {
                bytes: 201,
                bytes_max: 200
            })
        );
    }

    #[test]
    fn a_name_holds_no_control_character_and_a_note_may_have_lines() {
        assert_eq!(Name::new("a\nb"), Err(InvalidText::Control(10)));
        assert!(Text::<100, true>::new("a\nb").is_ok());
        assert_eq!(Text::<100, true>::new("a\0b"), Err(InvalidText::Control(0)));
    }

    #[test]
    fn blank_text_is_refused_even_from_json() {
        assert_eq!(Name::new(" \u{a0}"), Err(InvalidText::Blank));
        assert!(serde_json::from_str::<Name>("\"\"").is_err());
    }
}
