//! A streaming reader of XES event logs: XES 1.0 and its successor, IEEE 1849.
//!
//! Reads: any `Read`, plain or gzip (told apart by the first two bytes, never by a file name).
//! Gives: one [`Trace`] after another, each whole, with the place of everything in the file.
//!
//! Invariants:
//! - One trace is in memory at a time; whatever stands at log level is passed over without being
//!   kept. Every size is bounded by [`Limits`]; what goes past one is a [`XesError`] with its place.
//! - Document types are refused, so there are no entities to expand and nothing to fetch.
//! - No event disappears: one that cannot be read is given as [`Malformed`], in its position.
//!
//! What it deliberately does not do: apply the defaults of `global` by itself (they are in the
//! [`Header`]; a default timestamp of 1970 is no fact), check keys against extensions, or read
//! encodings other than UTF-8.

mod input;
mod reader;
mod tokens;

#[cfg(test)]
mod tests;

pub use reader::LogReader;

use std::fmt;

/// A place in a log: where a tag begins. Counted in the text after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Byte, from 0.
    pub byte: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.byte)
    }
}

/// What one log may ask of this program. A log beyond a limit is not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep elements may stand in each other. Logs of this world use five levels; the reader
    /// recurses once a level.
    pub nesting_depth_max: usize,
    /// Attributes of one event, or of one trace, nested ones included.
    pub attributes_max: usize,
    /// Events of one trace. A case with more is not a case but a missing case id.
    pub events_per_trace_max: usize,
    /// Bytes of one attribute's key or value.
    pub text_bytes_max: usize,
    /// Bytes of one tag, comment or run of text, also where it is not kept: the XML reader holds
    /// one of them at a time.
    pub token_bytes_max: usize,
    /// Bytes that all attributes of one trace may take together.
    pub trace_bytes_max: usize,
    /// Extensions, classifiers and global attributes that the header keeps, each.
    pub header_entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nesting_depth_max: 64,
            attributes_max: 1_000,
            events_per_trace_max: 100_000,
            text_bytes_max: 1024 * 1024,
            token_bytes_max: 4 * 1024 * 1024,
            trace_bytes_max: 256 * 1024 * 1024,
            header_entries_max: 1_000,
        }
    }
}

/// What a log says of itself, as far as it was read; it stands before the first trace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Header {
    /// The extensions it declares.
    pub extensions: Vec<Extension>,
    /// The classifiers it declares.
    pub classifiers: Vec<Classifier>,
    /// What every trace is said to have, with the defaults.
    pub trace_globals: Attributes,
    /// What every event is said to have, with the defaults.
    pub event_globals: Attributes,
}

/// A declared extension: a vocabulary of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its name, such as `Concept`.
    pub name: String,
    /// The prefix of its keys, such as `concept`.
    pub prefix: String,
    /// Where it is defined. Never fetched.
    pub uri: String,
}

/// A declared classifier: keys that together say which activity an event is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classifier {
    /// Its name.
    pub name: String,
    /// Its keys as written: separated by spaces, though keys may contain some.
    pub keys: String,
}

/// One case of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Where it begins.
    pub place: Place,
    /// What is said of the case as a whole.
    pub content: Result<Attributes, Malformed>,
    /// Its events in the order of the log, the unreadable ones included.
    pub events: Vec<Event>,
}

/// One event of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number in the trace, from 0, unreadable ones counted.
    pub index: u32,
    /// Where it begins.
    pub place: Place,
    /// What is said of it, or why that cannot be read.
    pub content: Result<Attributes, Malformed>,
}

/// Why one event, or what is said of a trace, cannot be read while the rest can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {place}")]
pub struct Malformed {
    /// Where the attribute at fault begins.
    pub place: Place,
    /// What is wrong with it.
    pub reason: MalformedReason,
}

/// What is wrong with an attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedReason {
    /// There is no key, or an empty one.
    #[error("an attribute has no `key`")]
    NoKey,
    /// There is no value.
    #[error("attribute `{key}` has no `value`")]
    NoValue {
        /// The attribute's key.
        key: String,
    },
    /// The value is not of the type that the tag names.
    #[error("attribute `{key}` is no {kind}: `{value}`")]
    BadValue {
        /// The attribute's key.
        key: String,
        /// The type it should have.
        kind: Kind,
        /// The value, cut after some characters.
        value: String,
    },
}

/// The type of an attribute, which is its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `string`
    Text,
    /// `date`
    Date,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `boolean`
    Boolean,
    /// `id`
    Id,
    /// `list`
    List,
    /// `container`
    Container,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "string",
            Self::Date => "date",
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Id => "id",
            Self::List => "list",
            Self::Container => "container",
        })
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, as it stands.
    Text(String),
    /// A date with its zone: an instant.
    Date(jiff::Timestamp),
    /// A date without a zone. Which instant it is, only the reader of the log can know.
    CivilDate(jiff::civil::DateTime),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// An identifier, as it stands.
    Id(String),
    /// Nothing but the attributes below it, in their order; keys may repeat.
    List,
    /// Nothing but the attributes below it.
    Container,
}

impl Value {
    /// The value as text: dates as RFC 3339 in UTC; `None` for a list or a container.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Id(text) => Some(text.clone()),
            Self::Date(date) => Some(date.to_string()),
            Self::CivilDate(date) => Some(date.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Boolean(value) => Some(value.to_string()),
            Self::List | Self::Container => None,
        }
    }
}

/// One attribute with those below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Its key, such as `concept:name`.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// The attributes nested in it.
    pub children: Attributes,
}

/// Attributes in the order of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(pub Vec<Attribute>);

impl Attributes {
    /// The value at `path`: a key, or keys of nested attributes with `/` between them. A key that
    /// itself contains `/` is found too; of several with one key the first is taken.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Value> {
        if let Some(attribute) = self.0.iter().find(|attribute| attribute.key == path) {
            return Some(&attribute.value);
        }
        path.match_indices('/').find_map(|(at, _)| {
            let (key, below) = (&path[..at], &path[at + 1..]);
            let parent = self.0.iter().find(|attribute| attribute.key == key)?;
            parent.children.get(below)
        })
    }
}

/// Why a log cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum XesError {
    /// The bytes under it could not be read.
    #[error("reading the log failed at {place}")]
    Read {
        /// How far it had come.
        place: Place,
        /// What the system said.
        source: std::io::Error,
    },
    /// The compressed file ends before its content does.
    #[error("the compressed log is cut off at {place}")]
    CompressedCutOff {
        /// How far it had come.
        place: Place,
    },
    /// The compressed file is damaged.
    #[error("the compressed log is damaged at {place}")]
    CompressedDamaged {
        /// How far it had come.
        place: Place,
        /// What the decompression said.
        source: std::io::Error,
    },
    /// It is in an encoding that is not read.
    #[error(
        "the log is not in UTF-8 but in `{encoding}`; convert it first, for example with `iconv`"
    )]
    Encoding {
        /// The encoding it names, or that its first bytes show.
        encoding: String,
    },
    /// It is not well-formed XML.
    #[error("the log is no well-formed XML at {place}: {problem}")]
    Xml {
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
    },
    /// It ends in the middle.
    #[error("the log ends inside an element, at {place}")]
    EndsInside {
        /// Where it ends.
        place: Place,
    },
    /// It brings a document type, with which entities could be defined.
    #[error(
        "the log has a document type at {place}: refused, since its entities could be of any size"
    )]
    DocumentType {
        /// Where.
        place: Place,
    },
    /// The root is not `log`.
    #[error("this is no XES log: its root is `{found}`, at {place}")]
    NotALog {
        /// Where the root begins.
        place: Place,
        /// What it is called; empty if there is none.
        found: String,
    },
    /// A limit was passed.
    #[error("the log has more than {max} {what} at {place}")]
    Limit {
        /// Where.
        place: Place,
        /// What there is too much of, in the plural, with its scope.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
}
