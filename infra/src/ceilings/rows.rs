//! Rows as bytes: out of a binary `COPY`, and back into a binary `COPY` or into arrays for `unnest`.
//!
//! A field of a binary `COPY` and an element of a binary array are the same bytes (a length and the
//! value), so rows travel through without being understood.

use std::ops::Range;

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, Postgres};

/// What a binary `COPY` begins with: signature, flags, length of the extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The number of fields that stands for the end.
const TRAILER: i16 = -1;

/// Rows of one table.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The whole answer of `COPY … to stdout (format binary)`.
    bytes: Vec<u8>,
    /// Where the fields of each row stand, without the count before them.
    rows: Vec<Range<usize>>,
}

/// One column of a table.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// The object ids of its type and of the array of it.
    pub(super) type_id: u32,
    pub(super) array_id: u32,
}

/// One column of several rows, as a binary array.
#[derive(Debug)]
pub(super) struct Array {
    element_id: u32,
    array_id: u32,
    count: usize,
    elements: Vec<u8>,
}

impl Rows {
    /// Reads what `COPY` sent; none where it is not in the binary form.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        if !bytes.starts_with(HEADER) {
            return None;
        }
        let mut rows = Vec::new();
        let mut at = HEADER.len();
        loop {
            let fields = i16::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
            at += 2;
            if fields == TRAILER {
                return Some(Self { bytes, rows });
            }
            let start = at;
            for _ in 0..fields {
                at = field_end(&bytes, at)?;
            }
            rows.push(start..at);
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of it, as `COPY … from stdin (format binary)` takes it.
    pub(super) fn as_copy(&self) -> &[u8] {
        &self.bytes
    }

    /// The rows of `range`, column by column; none where a row has other columns.
    pub(super) fn columns(&self, range: Range<usize>, columns: &[Column]) -> Option<Vec<Array>> {
        let rows = self.rows.get(range)?;
        let array = |column: &Column| Array {
            element_id: column.type_id,
            array_id: column.array_id,
            count: rows.len(),
            elements: Vec::new(),
        };
        let mut arrays: Vec<Array> = columns.iter().map(array).collect();
        for row in rows {
            let mut at = row.start;
            for array in &mut arrays {
                let end = field_end(&self.bytes, at)?;
                array.elements.extend_from_slice(&self.bytes[at..end]);
                at = end;
            }
            if at != row.end {
                return None;
            }
        }
        Some(arrays)
    }
}

/// Where the field that begins at `at` ends. A null has a length of -1 and no value.
fn field_end(bytes: &[u8], at: usize) -> Option<usize> {
    let length = i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
    let end = at + 4 + usize::try_from(length).unwrap_or(0);
    (end <= bytes.len()).then_some(end)
}

impl sqlx::Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("anyarray")
    }

    fn compatible(_: &PgTypeInfo) -> bool {
        true
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let count = i32::try_from(self.count)?;
        // Dimensions, whether nulls may be in it, the element's type, length, lower bound.
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&self.element_id.to_be_bytes());
        buffer.extend_from_slice(&count.to_be_bytes());
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.array_id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied() -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        // Two rows of a text and an integer; the second text is null.
        bytes.extend_from_slice(b"\0\x02\0\0\0\x01a\0\0\0\x04\0\0\0\x07");
        bytes.extend_from_slice(b"\0\x02\xff\xff\xff\xff\0\0\0\x04\0\0\0\x08");
        bytes.extend_from_slice(b"\xff\xff");
        bytes
    }

    fn column(type_id: u32) -> Column {
        Column {
            name: "c".to_owned(),
            type_id,
            array_id: type_id + 1,
        }
    }

    #[test]
    fn copied_rows_become_arrays_of_the_same_fields() {
        let rows = Rows::parse(copied()).expect("the binary form");
        assert_eq!(rows.len(), 2);
        let arrays = rows
            .columns(0..2, &[column(25), column(23)])
            .expect("two columns");
        assert_eq!(arrays[0].elements, b"\0\0\0\x01a\xff\xff\xff\xff");
        assert_eq!(
            arrays[1].elements,
            b"\0\0\0\x04\0\0\0\x07\0\0\0\x04\0\0\0\x08"
        );
    }

    #[test]
    fn rows_that_are_cut_off_or_have_other_columns_are_refused() {
        let whole = copied();
        for end in 0..whole.len() {
            assert!(Rows::parse(whole[..end].to_vec()).is_none(), "{end}");
        }
        let rows = Rows::parse(whole).expect("the binary form");
        assert!(rows.columns(0..2, &[column(25)]).is_none());
    }
}
