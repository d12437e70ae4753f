//! From bytes to the tags that a log is made of: names without their namespace, the few XML
//! attributes that XES uses, and the depth. Reads an [`Input`]; everything that is not a tag is
//! passed over. Refuses document types, foreign encodings and too much nesting.

use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::input::{Fault, Input};
use super::{Kind, Limits, Place, XesError};

/// A tag of the log.
pub(super) enum Token {
    /// An element begins.
    Open(Open),
    /// The innermost element ends.
    Close,
    /// The log is over.
    End,
}

/// An element that begins.
pub(super) struct Open {
    pub(super) element: Element,
    pub(super) place: Place,
    /// It ends at once: no [`Token::Close`] follows.
    pub(super) empty: bool,
    pub(super) fields: Fields,
}

/// What an element is to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Log,
    Trace,
    Event,
    Attribute(Kind),
    /// The inner bracket of a list in later versions of XES.
    Values,
    Global,
    Extension,
    Classifier,
    Unknown,
}

/// The XML attributes of a tag that XES uses; of others nothing is kept.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    /// Boxed, since a log has some dozens of them among millions of tags that are moved about.
    pub(super) of_header: Option<Box<HeaderFields>>,
}

/// What only tags of the header have, and what an unknown element is called.
#[derive(Default)]
pub(super) struct HeaderFields {
    pub(super) scope: Option<String>,
    pub(super) name: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) keys: Option<String>,
}

/// Whether the XML attributes of the next tag are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    Fields,
    Nothing,
}

pub(super) struct Tokens {
    xml: Reader<Input>,
    buffer: Vec<u8>,
    depth: usize,
    limits: Limits,
}

impl Tokens {
    pub(super) fn new(input: Input, limits: Limits) -> Self {
        Self {
            xml: Reader::from_reader(input),
            buffer: Vec::new(),
            depth: 0,
            limits,
        }
    }

    /// Reads up to the next tag. After an error the reader stands where it cannot go on.
    pub(super) fn next(&mut self, fetch: Fetch) -> Result<Token, XesError> {
        loop {
            self.buffer.clear();
            self.xml.get_mut().begin_token();
            let place = self.xml.get_ref().place();
            let event = match self.xml.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => {
                    return Err(match self.xml.get_mut().take_fault() {
                        Some(fault) => {
                            from_fault(fault, place, self.xml.get_ref().place(), &self.limits)
                        }
                        None => ill_formed(place, &error),
                    });
                }
            };
            match event {
                Event::Start(tag) => {
                    self.depth += 1;
                    if self.depth > self.limits.nesting_depth_max {
                        let max = self.limits.nesting_depth_max;
                        return Err(XesError::Limit {
                            place,
                            what: "levels of elements",
                            max,
                        });
                    }
                    return open(&tag, place, false, fetch, &self.limits).map(Token::Open);
                }
                Event::Empty(tag) => {
                    return open(&tag, place, true, fetch, &self.limits).map(Token::Open);
                }
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(Token::Close);
                }
                Event::Eof if self.depth > 0 => return Err(XesError::EndsInside { place }),
                Event::Eof => return Ok(Token::End),
                Event::DocType(_) => return Err(XesError::DocumentType { place }),
                Event::Decl(declaration) => check_encoding(&declaration)?,
                // Text between tags says nothing in XES, and a reference in it neither.
                Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::PI(_)
                | Event::GeneralRef(_) => {}
            }
        }
    }

    /// Passes over the rest of the element that was opened last.
    pub(super) fn skip(&mut self) -> Result<(), XesError> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.next(Fetch::Nothing)?;
        }
        Ok(())
    }
}

fn open(
    tag: &BytesStart<'_>,
    place: Place,
    empty: bool,
    fetch: Fetch,
    limits: &Limits,
) -> Result<Open, XesError> {
    let local = tag.local_name();
    let element = element(local.as_ref());
    let fields = match fetch {
        Fetch::Fields => fields(tag, place, limits)?,
        Fetch::Nothing => Fields::default(),
    };
    let fields = match element {
        // The root may be anything: its name belongs into the message.
        Element::Unknown => named(fields, local.as_ref()),
        _ => fields,
    };
    Ok(Open {
        element,
        place,
        empty,
        fields,
    })
}

fn element(name: &str) -> Element {
    match name {
        "string" => Element::Attribute(Kind::Text),
        "date" => Element::Attribute(Kind::Date),
        "int" => Element::Attribute(Kind::Int),
        "float" => Element::Attribute(Kind::Float),
        "boolean" => Element::Attribute(Kind::Boolean),
        "id" => Element::Attribute(Kind::Id),
        "list" => Element::Attribute(Kind::List),
        "container" => Element::Attribute(Kind::Container),
        "event" => Element::Event,
        "trace" => Element::Trace,
        "values" => Element::Values,
        "global" => Element::Global,
        "extension" => Element::Extension,
        "classifier" => Element::Classifier,
        "log" => Element::Log,
        _ => Element::Unknown,
    }
}

fn fields(tag: &BytesStart<'_>, place: Place, limits: &Limits) -> Result<Fields, XesError> {
    let mut fields = Fields::default();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| ill_formed(place, &error))?;
        let field = match attribute.key.as_ref() {
            "key" => &mut fields.key,
            "value" => &mut fields.value,
            "scope" => &mut fields.of_header.get_or_insert_default().scope,
            "name" => &mut fields.of_header.get_or_insert_default().name,
            "prefix" => &mut fields.of_header.get_or_insert_default().prefix,
            "uri" => &mut fields.of_header.get_or_insert_default().uri,
            "keys" => &mut fields.of_header.get_or_insert_default().keys,
            _ => continue,
        };
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| ill_formed(place, &error))?;
        if value.len() > limits.text_bytes_max {
            let max = limits.text_bytes_max;
            return Err(XesError::Limit {
                place,
                what: "bytes in one attribute",
                max,
            });
        }
        *field = Some(value.into_owned());
    }
    Ok(fields)
}

fn named(mut fields: Fields, name: &str) -> Fields {
    fields.of_header.get_or_insert_default().name = Some(name.to_owned());
    fields
}

fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), XesError> {
    // A declaration that cannot be read is no reason to stop: every byte is checked to be UTF-8.
    let Some(Ok(encoding)) = declaration.encoding() else {
        return Ok(());
    };
    match encoding.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" | "US-ASCII" | "ASCII" => Ok(()),
        _ => Err(XesError::Encoding {
            encoding: encoding.into_owned(),
        }),
    }
}

fn ill_formed(place: Place, problem: &dyn std::error::Error) -> XesError {
    XesError::Xml {
        place,
        problem: problem.to_string(),
    }
}

/// A token too long is at its begin; a file that cannot be read is where it stopped.
fn from_fault(fault: Fault, begin: Place, reached: Place, limits: &Limits) -> XesError {
    match fault {
        Fault::TokenTooLong => XesError::Limit {
            place: begin,
            what: "bytes in one tag, comment or text",
            max: limits.token_bytes_max,
        },
        Fault::CutOff => XesError::CompressedCutOff { place: reached },
        Fault::Damaged(source) => XesError::CompressedDamaged {
            place: reached,
            source,
        },
        Fault::Read(source) => XesError::Read {
            place: reached,
            source,
        },
    }
}
