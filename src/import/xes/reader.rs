//! From tags to traces. Reads [`Tokens`]; gives [`Trace`]s and, on the way, the [`Header`].
//! Keeps one trace; an attribute of the log itself is passed over unread.

use std::io::Read;

use super::input::Input;
use super::tokens::{Element, Fetch, Fields, HeaderFields, Open, Token, Tokens};
use super::{
    Attribute, Attributes, Classifier, Event, Extension, Header, Kind, Limits, Malformed,
    MalformedReason, Place, Trace, Value, XesError,
};

/// How much of a value stands in a message: enough to find it.
const VALUE_CHARS_SHOWN_MAX: usize = 60;

/// Reads a log trace by trace. After an error, or after the end, it gives nothing more.
pub struct LogReader {
    tokens: Tokens,
    limits: Limits,
    header: Header,
    done: bool,
}

impl LogReader {
    /// Opens a log, plain or gzip, with the default limits.
    ///
    /// # Errors
    /// When the beginning cannot be read or is no XES log.
    pub fn new(source: impl Read + Send + 'static) -> Result<Self, XesError> {
        Self::with_limits(source, Limits::default())
    }

    /// Opens a log, plain or gzip.
    ///
    /// # Errors
    /// When the beginning cannot be read or is no XES log.
    pub fn with_limits(
        source: impl Read + Send + 'static,
        limits: Limits,
    ) -> Result<Self, XesError> {
        let input = Input::new(source, limits.token_bytes_max)?;
        let mut tokens = Tokens::new(input, limits);
        let (place, found, empty) = match tokens.next(Fetch::Nothing)? {
            Token::Open(open) if open.element == Element::Log => {
                return Ok(Self {
                    tokens,
                    limits,
                    header: Header::default(),
                    done: open.empty,
                });
            }
            Token::Open(open) => {
                let name = open.fields.of_header.and_then(|fields| fields.name);
                (open.place, name.unwrap_or_default(), false)
            }
            Token::Close | Token::End => (Place { line: 1, byte: 0 }, String::new(), true),
        };
        let found = if empty || !found.is_empty() {
            found
        } else {
            "an XES element".to_owned()
        };
        Err(XesError::NotALog { place, found })
    }

    /// What the log says of itself: complete once the first trace was given.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next trace; `None` at the end. An event that stands outside every trace comes as a
    /// trace of its own that says nothing about its case.
    ///
    /// # Errors
    /// When the log cannot be read any further.
    pub fn next_trace(&mut self) -> Result<Option<Trace>, XesError> {
        if self.done {
            return Ok(None);
        }
        let next = self.read_to_trace();
        self.done = !matches!(next, Ok(Some(_)));
        next
    }

    fn read_to_trace(&mut self) -> Result<Option<Trace>, XesError> {
        loop {
            let open = match self.tokens.next(Fetch::Fields)? {
                Token::Open(open) => open,
                Token::Close => return self.read_to_end(),
                Token::End => return Ok(None),
            };
            match open.element {
                Element::Trace => return self.trace(&open).map(Some),
                Element::Event => return self.stray_event(&open).map(Some),
                Element::Global => self.global(&open)?,
                Element::Extension => self.extension(open)?,
                Element::Classifier => self.classifier(open)?,
                Element::Attribute(_) | Element::Values | Element::Log | Element::Unknown => {
                    self.pass_over(&open)?;
                }
            }
        }
    }

    /// Behind the log nothing may stand but white space and comments.
    fn read_to_end(&mut self) -> Result<Option<Trace>, XesError> {
        match self.tokens.next(Fetch::Nothing)? {
            Token::End => Ok(None),
            Token::Open(open) => {
                let problem = "there is a second root".to_owned();
                Err(XesError::Xml {
                    place: open.place,
                    problem,
                })
            }
            Token::Close => Ok(None),
        }
    }

    fn trace(&mut self, open: &Open) -> Result<Trace, XesError> {
        let mut events = Vec::new();
        let mut budget = Budget::new(&self.limits);
        let mut attributes = Attributes::default();
        let mut problem = None;
        while let Some(inner) = self.child(open)? {
            match inner.element {
                Element::Attribute(kind) => {
                    let attribute = self.attribute(kind, inner, &mut budget)?;
                    keep(attribute, &mut attributes, &mut problem);
                }
                Element::Event => {
                    if events.len() == self.limits.events_per_trace_max {
                        let max = self.limits.events_per_trace_max;
                        let place = inner.place;
                        return Err(XesError::Limit {
                            place,
                            what: "events in one trace",
                            max,
                        });
                    }
                    // The count is below a limit that fits.
                    let index = u32::try_from(events.len()).unwrap_or(u32::MAX);
                    // Each event has its own number of attributes, the bytes are the trace's.
                    let mut of_event = Budget {
                        bytes: budget.bytes,
                        ..Budget::new(&self.limits)
                    };
                    events.push(self.event(index, &inner, &mut of_event)?);
                    budget.bytes = of_event.bytes;
                }
                Element::Trace
                | Element::Log
                | Element::Values
                | Element::Global
                | Element::Extension
                | Element::Classifier
                | Element::Unknown => self.pass_over(&inner)?,
            }
        }
        let content = problem.map_or(Ok(attributes), Err);
        Ok(Trace {
            place: open.place,
            content,
            events,
        })
    }

    fn stray_event(&mut self, open: &Open) -> Result<Trace, XesError> {
        let event = self.event(0, open, &mut Budget::new(&self.limits))?;
        let content = Ok(Attributes::default());
        Ok(Trace {
            place: open.place,
            content,
            events: vec![event],
        })
    }

    fn event(&mut self, index: u32, open: &Open, budget: &mut Budget) -> Result<Event, XesError> {
        let content = self.attributes(open, budget)?;
        Ok(Event {
            index,
            place: open.place,
            content,
        })
    }

    /// The attributes inside an element, or the first of them that cannot be read.
    fn attributes(
        &mut self,
        open: &Open,
        budget: &mut Budget,
    ) -> Result<Result<Attributes, Malformed>, XesError> {
        let mut attributes = Attributes::default();
        let mut problem = None;
        while let Some(inner) = self.child(open)? {
            match inner.element {
                Element::Attribute(kind) => {
                    let attribute = self.attribute(kind, inner, budget)?;
                    keep(attribute, &mut attributes, &mut problem);
                }
                Element::Values => match self.attributes(&inner, budget)? {
                    Ok(values) => attributes.0.extend(values.0),
                    Err(malformed) => {
                        problem.get_or_insert(malformed);
                    }
                },
                Element::Event
                | Element::Trace
                | Element::Log
                | Element::Global
                | Element::Extension
                | Element::Classifier
                | Element::Unknown => self.pass_over(&inner)?,
            }
        }
        Ok(problem.map_or(Ok(attributes), Err))
    }

    fn attribute(
        &mut self,
        kind: Kind,
        open: Open,
        budget: &mut Budget,
    ) -> Result<Result<Attribute, Malformed>, XesError> {
        budget.take(&open)?;
        let children = self.attributes(&open, budget)?;
        let Open { place, fields, .. } = open;
        Ok(match (read_value(kind, fields), children) {
            (Ok((key, value)), Ok(children)) => Ok(Attribute {
                key,
                value,
                children,
            }),
            (Err(reason), _) => Err(Malformed { place, reason }),
            (Ok(_), Err(malformed)) => Err(malformed),
        })
    }

    /// The next element inside `open`; `None` once it is over.
    fn child(&mut self, open: &Open) -> Result<Option<Open>, XesError> {
        if open.empty {
            return Ok(None);
        }
        match self.tokens.next(Fetch::Fields)? {
            Token::Open(inner) => Ok(Some(inner)),
            Token::Close | Token::End => Ok(None),
        }
    }

    fn pass_over(&mut self, open: &Open) -> Result<(), XesError> {
        if open.empty {
            Ok(())
        } else {
            self.tokens.skip()
        }
    }

    fn global(&mut self, open: &Open) -> Result<(), XesError> {
        let mut budget = Budget::new(&self.limits);
        budget.attributes_left = self.limits.header_entries_max;
        // A default that cannot be read is none; the events have their own values.
        let globals = self.attributes(open, &mut budget)?.unwrap_or_default();
        let of_header = open.fields.of_header.as_deref();
        match of_header.and_then(|fields| fields.scope.as_deref()) {
            Some("trace") => self.header.trace_globals = globals,
            Some("event") => self.header.event_globals = globals,
            // Other scopes are unknown to the standard.
            _ => {}
        }
        Ok(())
    }

    fn extension(&mut self, open: Open) -> Result<(), XesError> {
        self.pass_over(&open)?;
        self.check_header(self.header.extensions.len(), open.place, "extensions")?;
        let HeaderFields {
            name, prefix, uri, ..
        } = *open.fields.of_header.unwrap_or_default();
        self.header.extensions.push(Extension {
            name: name.unwrap_or_default(),
            prefix: prefix.unwrap_or_default(),
            uri: uri.unwrap_or_default(),
        });
        Ok(())
    }

    fn classifier(&mut self, open: Open) -> Result<(), XesError> {
        self.pass_over(&open)?;
        self.check_header(self.header.classifiers.len(), open.place, "classifiers")?;
        let HeaderFields { name, keys, .. } = *open.fields.of_header.unwrap_or_default();
        self.header.classifiers.push(Classifier {
            name: name.unwrap_or_default(),
            keys: keys.unwrap_or_default(),
        });
        Ok(())
    }

    fn check_header(&self, count: usize, place: Place, what: &'static str) -> Result<(), XesError> {
        let max = self.limits.header_entries_max;
        if count < max {
            Ok(())
        } else {
            Err(XesError::Limit { place, what, max })
        }
    }
}

impl Iterator for LogReader {
    type Item = Result<Trace, XesError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_trace().transpose()
    }
}

/// What may still be read into one event and one trace.
struct Budget {
    attributes_left: usize,
    attributes_max: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Budget {
    fn new(limits: &Limits) -> Self {
        Self {
            attributes_left: limits.attributes_max,
            attributes_max: limits.attributes_max,
            bytes: 0,
            bytes_max: limits.trace_bytes_max,
        }
    }

    fn take(&mut self, open: &Open) -> Result<(), XesError> {
        let place = open.place;
        let Some(left) = self.attributes_left.checked_sub(1) else {
            let max = self.attributes_max;
            return Err(XesError::Limit {
                place,
                what: "attributes in one element",
                max,
            });
        };
        self.attributes_left = left;
        let text = [&open.fields.key, &open.fields.value];
        let text_bytes: usize = text.into_iter().flatten().map(String::len).sum();
        self.bytes += size_of::<Attribute>() + text_bytes;
        if self.bytes > self.bytes_max {
            let max = self.bytes_max;
            return Err(XesError::Limit {
                place,
                what: "bytes in one trace",
                max,
            });
        }
        Ok(())
    }
}

/// Keeps what could be read, and of what could not the first.
fn keep(
    attribute: Result<Attribute, Malformed>,
    attributes: &mut Attributes,
    problem: &mut Option<Malformed>,
) {
    match attribute {
        Ok(attribute) => attributes.0.push(attribute),
        Err(malformed) => {
            problem.get_or_insert(malformed);
        }
    }
}

fn read_value(kind: Kind, fields: Fields) -> Result<(String, Value), MalformedReason> {
    let key = fields
        .key
        .filter(|key| !key.is_empty())
        .ok_or(MalformedReason::NoKey)?;
    match kind {
        Kind::List => return Ok((key, Value::List)),
        Kind::Container => return Ok((key, Value::Container)),
        Kind::Text | Kind::Date | Kind::Int | Kind::Float | Kind::Boolean | Kind::Id => {}
    }
    let Some(text) = fields.value else {
        return Err(MalformedReason::NoValue { key });
    };
    let read = match kind {
        Kind::Text => return Ok((key, Value::Text(text))),
        Kind::Id => return Ok((key, Value::Id(text))),
        Kind::Date => read_date(text.trim()),
        Kind::Int => text.trim().parse().ok().map(Value::Int),
        Kind::Float => text.trim().parse().ok().map(Value::Float),
        Kind::Boolean => read_boolean(text.trim()),
        Kind::List | Kind::Container => None,
    };
    match read {
        Some(value) => Ok((key, value)),
        None => {
            let value = text.chars().take(VALUE_CHARS_SHOWN_MAX).collect();
            Err(MalformedReason::BadValue { key, kind, value })
        }
    }
}

fn read_date(text: &str) -> Option<Value> {
    // `xs:dateTime` allows a date without a zone, and so does the standard.
    match text.parse() {
        Ok(instant) => Some(Value::Date(instant)),
        Err(_) => text.parse().ok().map(Value::CivilDate),
    }
}

/// The four spellings of `xs:boolean`.
fn read_boolean(text: &str) -> Option<Value> {
    match text {
        "true" | "1" => Some(Value::Boolean(true)),
        "false" | "0" => Some(Value::Boolean(false)),
        _ => None,
    }
}
