//! Names of things: tokens, tenants, categories, streams, positions.
//!
//! A [`Token`] can stand in a message subject as it is: `*`, `>`, `.`, white space and everything
//! else with a meaning there cannot be written down in one, so a wrong one cannot be addressed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One part of a stream's name: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token(Arc<str>);

/// Whose data it is. Nothing is shared between tenants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tenant(Token);

/// The kind of an aggregate, as `assignment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Category(&'static str);

/// One aggregate's stream: tenant, category and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Whose it is.
    pub tenant: Tenant,
    /// The category's name.
    pub category: Token,
    /// The aggregate's id within tenant and category.
    pub id: Token,
}

/// One command, and the commit that came of it: made from the client's key or from what led to it, so
/// that the same command has the same id again; else drawn for this once (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Uuid);

/// A place in the one order of the journal; the first commit stands at 1, and 0 is before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

/// The place of one event: its commit's position and its index in the commit, `<position>.<index>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    /// The commit's position.
    pub position: Position,
    /// From 0, within the commit.
    pub index: u32,
}

/// Why an id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Empty, or longer than [`Token::BYTES_MAX`].
    #[error("must have 1 to 64 characters, has `{0}`")]
    Length(usize),
    /// A character outside the alphabet.
    #[error("must hold only letters, digits, `_` and `-`, has `{0:?}`")]
    Character(char),
    /// Not `<position>.<index>`.
    #[error("must be `<position>.<index>`")]
    EventPosition,
}

impl CommandId {
    /// Whether it was drawn for this once, so that nobody can send the command again.
    #[must_use]
    pub fn is_drawn(self) -> bool {
        self.0.get_version() == Some(uuid::Version::SortRand)
    }
}

impl Token {
    /// The limit, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Checks `token`.
    ///
    /// # Errors
    /// When its length or one of its characters is not allowed.
    pub fn new(token: impl AsRef<str>) -> Result<Self, InvalidId> {
        let token = token.as_ref();
        if token.is_empty() || token.len() > Self::BYTES_MAX {
            return Err(InvalidId::Length(token.chars().count()));
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        match token.chars().find(|c| !allowed(c)) {
            Some(character) => Err(InvalidId::Character(character)),
            None => Ok(Self(token.into())),
        }
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for Token {
    fn from(uuid: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = uuid.hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }
}

impl TryFrom<String> for Token {
    type Error = InvalidId;

    fn try_from(token: String) -> Result<Self, Self::Error> {
        Self::new(token)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.as_str().to_owned()
    }
}

impl FromStr for Token {
    type Err = InvalidId;

    fn from_str(token: &str) -> Result<Self, Self::Err> {
        Self::new(token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tenant {
    /// Checks `name`.
    ///
    /// # Errors
    /// When it is no [`Token`].
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidId> {
        Token::new(name).map(Self)
    }

    /// The tenant's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Tenant {
    type Err = InvalidId;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Category {
    /// A category named by one of our own aggregates.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The category's name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StreamId {
    /// The stream of the aggregate `id`.
    ///
    /// # Panics
    /// When the category's own name is no token: a mistake in our code that every test of it shows.
    #[must_use]
    pub fn new(tenant: Tenant, category: Category, id: Token) -> Self {
        let category = Token::new(category.as_str()).expect("a category's name is a token");
        Self {
            tenant,
            category,
            id,
        }
    }

    /// Whether the stream belongs to `category`.
    #[must_use]
    pub fn is_of(&self, category: Category) -> bool {
        self.category.as_str() == category.as_str()
    }
}

/// `<tenant>.<category>.<id>`
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.tenant, self.category, self.id)
    }
}

/// Reads what `Display` writes.
impl FromStr for StreamId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '.');
        let mut part = || Token::new(parts.next().unwrap_or_default());
        Ok(Self {
            tenant: Tenant(part()?),
            category: part()?,
            id: part()?,
        })
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Position {
    /// Before the first commit.
    pub const START: Self = Self(0);

    /// The place behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.index)
    }
}

impl FromStr for EventPosition {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (position, index) = text.split_once('.').ok_or(InvalidId::EventPosition)?;
        Ok(Self {
            position: Position(number(position)?),
            index: number(index)?,
        })
    }
}

/// Digits only: the standard parser would also take a sign.
fn number<N: FromStr>(digits: &str) -> Result<N, InvalidId> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidId::EventPosition);
    }
    digits.parse().map_err(|_| InvalidId::EventPosition)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_with_a_meaning_in_subjects_is_refused() {
        for bad in ["*", ">", "a.b", "a b", "a\r\nb", "a\0", "$JS", "ü", ""] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Token::new("x".repeat(10_000)),
            Err(InvalidId::Length(10_000))
        );
        assert!(Token::new("x".repeat(64)).is_ok());
    }

    #[test]
    fn a_stream_id_has_exactly_three_tokens() {
        assert!("t.assignment.1".parse::<StreamId>().is_ok());
        for bad in ["t.assignment", "t.assignment.1.2", "t..1", "*.a.b", ""] {
            assert!(bad.parse::<StreamId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_event_position_is_two_plain_numbers() {
        let position = EventPosition {
            position: Position(7),
            index: 2,
        };
        assert_eq!("7.2".parse(), Ok(position));
        for bad in [
            "7",
            "7.",
            ".2",
            "+7.2",
            "-1.0",
            "7.2.1",
            "99999999999999999999.0",
        ] {
            assert!(bad.parse::<EventPosition>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_as_a_token_prints_as_itself(text in ".{0,80}") {
            if let Ok(token) = Token::new(&text) {
                prop_assert_eq!(token.as_str(), text.as_str());
                prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            }
        }

        #[test]
        fn a_stream_id_survives_its_text(t in "[A-Za-z0-9_-]{1,64}", c in "[a-z]{1,20}", i in "[A-Za-z0-9_-]{1,64}") {
            let text = format!("{t}.{c}.{i}");
            prop_assert_eq!(text.parse::<StreamId>().expect("three tokens").to_string(), text);
        }
    }
}
