//! Templates: text with the values of attributes in it.
//!
//! `{concept:name}` is replaced by the attribute's value, `{org:role|nobody}` by `nobody` where
//! there is none, `{address/city}` by a nested one; `{trace.x}` and `{event.x}` say whose. A
//! backslash takes the meaning from `{`, `}`, `|` and itself. A blank value counts as none.

use serde::Deserialize;

use crate::import::xes::Attributes;

/// Parts of one template.
const PARTS_MAX: usize = 100;

/// Text with references to attributes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value {
        reference: Reference,
        default: Option<String>,
    },
}

/// An attribute by its key or path, with its owner if that was said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "String")]
pub struct Reference {
    owner: Option<Owner>,
    path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Owner {
    Trace,
    Event,
}

/// Where a reference that does not name an owner is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the trace only.
    Trace,
    /// In the trace, then in the event.
    TraceThenEvent,
    /// In the event only.
    Event,
}

/// What is known when a template is filled.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What is said of the case.
    pub trace: &'a Attributes,
    /// What is said of the event.
    pub event: &'a Attributes,
    /// The defaults of every trace; empty where they are not wanted.
    pub trace_globals: &'a Attributes,
    /// The defaults of every event; empty where they are not wanted.
    pub event_globals: &'a Attributes,
}

/// An attribute that a template needs is not there, or blank.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute `{0}` is missing")]
pub struct Missing(pub String);

/// Why a template cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A `{` without its `}`.
    #[error("template `{0}` has a `{{` that is not closed")]
    Open(String),
    /// A `}` without its `{`.
    #[error("template `{0}` has a `}}` that closes nothing; write `\\}}` for the sign itself")]
    Closed(String),
    /// A `{}` with nothing in it.
    #[error("template `{0}` names no attribute between `{{` and `}}`")]
    NoName(String),
    /// A backslash before something that needs none.
    #[error("template `{0}` has a backslash that stands before none of `{{`, `}}`, `|` and `\\`")]
    Escape(String),
    /// Nothing in it.
    #[error("a template must not be blank")]
    Blank,
    /// Too much in it.
    #[error("a template has more than `{PARTS_MAX}` parts")]
    TooManyParts,
}

impl Template {
    /// Fills the template.
    ///
    /// # Errors
    /// When an attribute is missing and has no default.
    pub fn fill(&self, facts: &Facts<'_>, order: Order) -> Result<String, Missing> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value { reference, default } => {
                    match facts.text(reference, order).or_else(|| default.clone()) {
                        Some(text) => filled.push_str(&text),
                        None => return Err(Missing(reference.path.clone())),
                    }
                }
            }
        }
        Ok(filled)
    }
}

impl Facts<'_> {
    /// The text of an attribute, if it is there and not blank.
    #[must_use]
    pub fn text(&self, reference: &Reference, order: Order) -> Option<String> {
        let in_trace = || text_of(self.trace, self.trace_globals, &reference.path);
        let in_event = || text_of(self.event, self.event_globals, &reference.path);
        match (reference.owner, order) {
            (Some(Owner::Trace), _) | (None, Order::Trace) => in_trace(),
            (Some(Owner::Event), _) | (None, Order::Event) => in_event(),
            (None, Order::TraceThenEvent) => in_trace().or_else(in_event),
        }
    }
}

fn text_of(attributes: &Attributes, globals: &Attributes, path: &str) -> Option<String> {
    let said = |attributes: &Attributes| {
        let text = attributes
            .get(path)
            .and_then(crate::import::xes::Value::text);
        text.filter(|text| !text.trim().is_empty())
    };
    said(attributes).or_else(|| said(globals))
}

impl From<String> for Reference {
    fn from(text: String) -> Self {
        let (owner, path) = match (text.strip_prefix("trace."), text.strip_prefix("event.")) {
            (Some(path), _) => (Some(Owner::Trace), path.to_owned()),
            (None, Some(path)) => (Some(Owner::Event), path.to_owned()),
            (None, None) => (None, text),
        };
        Self { owner, path }
    }
}

impl TryFrom<String> for Template {
    type Error = InvalidTemplate;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            if parts.len() == PARTS_MAX {
                return Err(InvalidTemplate::TooManyParts);
            }
            let (literal, end) = read_until(rest, &['{', '}'], &text)?;
            if !literal.is_empty() {
                parts.push(Part::Text(literal));
            }
            rest = &rest[end..];
            if let Some(inside) = rest.strip_prefix('{') {
                let (part, end) = read_reference(inside, &text)?;
                parts.push(part);
                rest = &inside[end..];
            } else if rest.starts_with('}') {
                return Err(InvalidTemplate::Closed(text));
            }
        }
        let blank = |part: &Part| matches!(part, Part::Text(text) if text.trim().is_empty());
        if parts.iter().all(blank) {
            return Err(InvalidTemplate::Blank);
        }
        Ok(Self(parts))
    }
}

/// What stands between braces, and where it ends behind the closing one.
fn read_reference(inside: &str, whole: &str) -> Result<(Part, usize), InvalidTemplate> {
    let open = || InvalidTemplate::Open(whole.to_owned());
    let (name, name_end) = read_until(inside, &['|', '{', '}'], whole)?;
    if name.trim().is_empty() {
        return Err(InvalidTemplate::NoName(whole.to_owned()));
    }
    let reference = Reference::from(name);
    match inside[name_end..].chars().next() {
        Some('}') => Ok((
            Part::Value {
                reference,
                default: None,
            },
            name_end + 1,
        )),
        Some('|') => {
            let behind = &inside[name_end + 1..];
            let (default, default_end) = read_until(behind, &['{', '}'], whole)?;
            if !behind[default_end..].starts_with('}') {
                return Err(open());
            }
            let part = Part::Value {
                reference,
                default: Some(default),
            };
            Ok((part, name_end + 1 + default_end + 1))
        }
        _ => Err(open()),
    }
}

/// The text up to one of `ends`, without its backslashes, and where it ends.
fn read_until(text: &str, ends: &[char], whole: &str) -> Result<(String, usize), InvalidTemplate> {
    let mut read = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            match characters.next() {
                Some((_, escaped @ ('{' | '}' | '|' | '\\'))) => read.push(escaped),
                _ => return Err(InvalidTemplate::Escape(whole.to_owned())),
            }
        } else if ends.contains(&character) {
            return Ok((read, at));
        } else {
            read.push(character);
        }
    }
    Ok((read, text.len()))
}
