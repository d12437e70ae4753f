//! Cursors: where a page ended, as opaque text.
//!
//! A cursor holds the sort value and the tie-breaker of the last row of a page, and for which list
//! and order it was made. It is not signed: whoever writes one by hand can only start a page of
//! their own tenant's rows somewhere else. What is checked is that it is whole and fits the list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::EventPosition;
use uuid::Uuid;

/// The place between two rows of a sorted list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) order: Order,
    pub(crate) value: Value,
    pub(crate) tie: Tie,
}

/// Which list, by which column, in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) list: u8,
    pub(crate) column: u8,
    pub(crate) descending: bool,
}

/// The value of the column sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number, or a time in microseconds.
    Number(i64),
    Text(String),
}

/// What tells rows of the same value apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tie {
    Id(Uuid),
    Event(EventPosition),
    Name(String),
}

/// A text that is no cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCursor {
    /// Not a cursor at all, or of another version.
    #[error("must be a cursor that this list has given")]
    Malformed,
    /// Made for another list or another order.
    #[error("belongs to another list or another `sort`")]
    Foreign,
}

/// Grows whenever the bytes mean something else; a cursor lives no longer than a client's loop.
const VERSION: u8 = 1;

/// The longest text that is sorted by is a title of 500 bytes.
const TEXT_BYTES_MAX: usize = 500;

/// No cursor is longer: two texts of 500 bytes in base64, and the rest.
const CURSOR_BYTES_MAX: usize = 1_500;

impl Cursor {
    /// Reads what [`Cursor::encode`] wrote.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn decode(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > CURSOR_BYTES_MAX {
            return Err(InvalidCursor::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = bytes.ok_or(InvalidCursor::Malformed)?;
        read(&mut bytes.as_slice()).ok_or(InvalidCursor::Malformed)
    }

    /// The cursor as text that can stand in a URL.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = vec![
            VERSION,
            self.order.list,
            self.order.column,
            u8::from(self.order.descending),
        ];
        match &self.value {
            Value::Number(number) => {
                bytes.push(0);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Value::Text(text) => {
                bytes.push(1);
                write_text(&mut bytes, text);
            }
        }
        match &self.tie {
            Tie::Id(id) => {
                bytes.push(0);
                bytes.extend_from_slice(id.as_bytes());
            }
            Tie::Event(event) => {
                bytes.push(1);
                bytes.extend_from_slice(&event.position.0.to_be_bytes());
                bytes.extend_from_slice(&event.index.to_be_bytes());
            }
            Tie::Name(name) => {
                bytes.push(2);
                write_text(&mut bytes, name);
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor, where it was made for `order`.
    pub(crate) fn of(&self, order: Order) -> Result<&Self, InvalidCursor> {
        if self.order == order {
            Ok(self)
        } else {
            Err(InvalidCursor::Foreign)
        }
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("sorted text is at most 500 bytes long");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn read(bytes: &mut &[u8]) -> Option<Cursor> {
    let [VERSION, list, column, descending @ (0 | 1)] = take::<4>(bytes)? else {
        return None;
    };
    let value = match take::<1>(bytes)? {
        [0] => Value::Number(i64::from_be_bytes(take(bytes)?)),
        [1] => Value::Text(read_text(bytes)?),
        _ => return None,
    };
    let tie = match take::<1>(bytes)? {
        [0] => Tie::Id(Uuid::from_bytes(take(bytes)?)),
        [1] => Tie::Event(EventPosition {
            position: domain::Position(u64::from_be_bytes(take(bytes)?)),
            index: u32::from_be_bytes(take(bytes)?),
        }),
        [2] => Tie::Name(read_text(bytes)?),
        _ => return None,
    };
    let order = Order {
        list,
        column,
        descending: descending == 1,
    };
    bytes.is_empty().then_some(Cursor { order, value, tie })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

fn read_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes(take(bytes)?));
    if length > TEXT_BYTES_MAX || length > bytes.len() {
        return None;
    }
    let (text, rest) = bytes.split_at(length);
    *bytes = rest;
    let text = std::str::from_utf8(text).ok()?;
    // Postgres takes no NUL in a text.
    (!text.contains('\0')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursors() -> impl Strategy<Value = Cursor> {
        let order =
            (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(list, column, descending)| {
                Order {
                    list,
                    column,
                    descending,
                }
            });
        let text = "[^\\x00]{0,100}";
        let value = prop_oneof![
            any::<i64>().prop_map(Value::Number),
            text.prop_map(Value::Text)
        ];
        let tie = prop_oneof![
            any::<u128>().prop_map(|id| Tie::Id(Uuid::from_u128(id))),
            (any::<u64>(), any::<u32>()).prop_map(|(position, index)| Tie::Event(EventPosition {
                position: domain::Position(position),
                index
            })),
            text.prop_map(Tie::Name)
        ];
        (order, value, tie).prop_map(|(order, value, tie)| Cursor { order, value, tie })
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(cursor in cursors()) {
            let text = cursor.encode();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(Cursor::decode(&text), Ok(cursor));
        }

        #[test]
        fn any_text_is_a_cursor_or_refused_and_never_more(text in "\\PC{0,200}") {
            if let Ok(cursor) = Cursor::decode(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }

        #[test]
        fn any_bytes_are_a_cursor_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            if let Ok(cursor) = Cursor::decode(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }

        #[test]
        fn a_cut_cursor_is_refused(cursor in cursors(), cut in 1usize..8) {
            let text = cursor.encode();
            let cut = text.len().saturating_sub(cut);
            prop_assert_eq!(Cursor::decode(&text[..cut]), Err(InvalidCursor::Malformed));
        }
    }

    #[test]
    fn a_cursor_of_another_order_is_foreign() {
        let order = Order {
            list: 1,
            column: 2,
            descending: true,
        };
        let cursor = Cursor {
            order,
            value: Value::Number(1),
            tie: Tie::Id(Uuid::nil()),
        };
        assert!(cursor.of(order).is_ok());
        let other = Order {
            descending: false,
            ..order
        };
        assert_eq!(cursor.of(other), Err(InvalidCursor::Foreign));
    }
}
