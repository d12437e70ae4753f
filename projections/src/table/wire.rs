//! Rows on the wire: Postgres' binary form.
//!
//! An element of a binary array and a field of a binary `COPY` are the same bytes (a length and the
//! value), so one writer serves the statements with `UNNEST`, the `COPY` and the comparison of two rows,
//! without a string or a vector in between.

use domain::{Timestamp, Whole};
use serde::Serialize;
use sqlx::Arguments;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, Postgres};
use uuid::Uuid;

use super::{Column, Kind, Table};

/// 2000-01-01, from where Postgres counts.
pub(crate) const EPOCH_MICROSECOND: i64 = 946_684_800_000_000;

/// Writes the columns of a row, in order.
#[derive(Debug)]
pub struct RowWriter<'a> {
    columns: &'static [Column],
    next: usize,
    out: Out<'a>,
}

#[derive(Debug)]
enum Out<'a> {
    /// Row after row, as `COPY` takes them.
    Rows(&'a mut Vec<u8>),
    /// Column by column, as arrays; none for a column that is left out.
    Columns(&'a mut [Option<Vec<u8>>]),
}

/// Rows, or keys, on their way to a table: one binary array a column.
#[derive(Debug)]
pub struct Columns {
    columns: &'static [Column],
    /// None for a column that is left out.
    buffers: Vec<Option<Vec<u8>>>,
    rows: usize,
}

/// Rows on their way into `COPY … (format binary)`.
#[derive(Debug)]
pub(crate) struct CopyRows {
    columns: &'static [Column],
    buffer: Vec<u8>,
}

/// A binary array, as it goes over the wire.
struct Array {
    kind: Kind,
    rows: usize,
    elements: Vec<u8>,
}

/// One row as bytes: equal rows have equal bytes.
pub(crate) fn row_bytes(
    columns: &'static [Column],
    write: impl FnOnce(&mut RowWriter<'_>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut RowWriter::new(columns, Out::Rows(&mut bytes)));
    bytes
}

/// The columns in which two rows, as [`row_bytes`] writes them, differ.
pub(crate) fn differing<'a>(columns: &'a [Column], one: &[u8], other: &[u8]) -> Vec<&'a str> {
    let (one, other) = (fields(one), fields(other));
    let pairs = columns.iter().zip(one.zip(other));
    let differing = pairs.filter(|(_, (one, other))| one != other);
    differing.map(|(column, _)| column.name).collect()
}

/// The fields of one row; a null is none.
fn fields(mut row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = row.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (field, rest) = rest.split_at(length.unwrap_or(0));
        row = rest;
        Some(length.map(|_| field))
    })
}

impl<'a> RowWriter<'a> {
    fn new(columns: &'static [Column], out: Out<'a>) -> Self {
        Self {
            columns,
            next: 0,
            out,
        }
    }

    /// Where the next column goes; none where it is left out.
    fn begin(&mut self, kind: Kind) -> Option<&mut Vec<u8>> {
        debug_assert_eq!(self.columns[self.next].kind, kind, "column {}", self.next);
        let index = self.next;
        self.next += 1;
        match &mut self.out {
            Out::Rows(buffer) => Some(buffer),
            Out::Columns(buffers) => buffers[index].as_mut(),
        }
    }

    fn field(&mut self, kind: Kind, bytes: &[u8]) {
        if let Some(buffer) = self.begin(kind) {
            buffer.extend_from_slice(&length(bytes.len()));
            buffer.extend_from_slice(bytes);
        }
    }

    /// A null.
    pub fn null(&mut self) {
        let kind = self.columns[self.next].kind;
        if let Some(buffer) = self.begin(kind) {
            buffer.extend_from_slice(&(-1_i32).to_be_bytes());
        }
    }

    /// A `text`.
    pub fn text(&mut self, text: &str) {
        self.field(Kind::Text, text.as_bytes());
    }

    /// A `text` or a null.
    pub fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// A `uuid`.
    pub fn uuid(&mut self, uuid: Uuid) {
        self.field(Kind::Uuid, uuid.as_bytes());
    }

    /// A `uuid` or a null.
    pub fn uuid_or_null(&mut self, uuid: Option<Uuid>) {
        match uuid {
            Some(uuid) => self.uuid(uuid),
            None => self.null(),
        }
    }

    /// A `bigint`.
    pub fn bigint(&mut self, number: i64) {
        self.field(Kind::Bigint, &number.to_be_bytes());
    }

    /// A `bigint` of a count or a position, which never reach 2^63.
    pub fn count(&mut self, count: u64) {
        self.bigint(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The same, or a null.
    pub fn count_or_null(&mut self, count: Option<u64>) {
        match count {
            Some(count) => self.count(count),
            None => self.null(),
        }
    }

    /// An `integer`.
    pub fn integer(&mut self, number: i32) {
        self.field(Kind::Integer, &number.to_be_bytes());
    }

    /// An `integer` of a number whose limits fit it, or a null.
    pub fn whole_or_null<const MIN: u64, const MAX: u64>(
        &mut self,
        number: Option<Whole<MIN, MAX>>,
    ) {
        const { assert!(MAX <= i32::MAX as u64, "too much for an `integer`") };
        match number {
            Some(number) => self.integer(number.get() as i32),
            None => self.null(),
        }
    }

    /// A `boolean`.
    pub fn boolean(&mut self, truth: bool) {
        self.field(Kind::Boolean, &[u8::from(truth)]);
    }

    /// A `timestamptz`, cut to what Postgres stores.
    pub fn timestamp(&mut self, time: Timestamp) {
        let time = crate::fact::stored(time).as_microsecond() - EPOCH_MICROSECOND;
        self.field(Kind::Timestamp, &time.to_be_bytes());
    }

    /// A `timestamptz` or a null.
    pub fn timestamp_or_null(&mut self, time: Option<Timestamp>) {
        match time {
            Some(time) => self.timestamp(time),
            None => self.null(),
        }
    }

    /// A `json`, as it is written.
    pub fn json(&mut self, json: &str) {
        self.field(Kind::Json, json.as_bytes());
    }

    /// A `jsonb`.
    pub fn jsonb(&mut self, value: &impl Serialize) {
        let Some(buffer) = self.begin(Kind::Jsonb) else {
            return;
        };
        let start = buffer.len();
        // The length, known afterwards, and the version of the binary form.
        buffer.extend_from_slice(&[0, 0, 0, 0, 1]);
        serde_json::to_writer(&mut *buffer, value).expect("columns hold maps with text keys");
        let bytes = length(buffer.len() - start - 4);
        buffer[start..start + 4].copy_from_slice(&bytes);
    }
}

/// A length on the wire. No field comes near 2 GiB: a commit has at most some megabytes.
fn length(length: usize) -> [u8; 4] {
    i32::try_from(length)
        .expect("a field is smaller than a commit")
        .to_be_bytes()
}

impl Columns {
    /// None yet, of these columns.
    #[must_use]
    pub fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            buffers: columns.iter().map(|_| Some(Vec::new())).collect(),
            rows: 0,
        }
    }

    /// None yet, of the columns of `table` that are written over where a row is there: without what is fixed.
    #[must_use]
    pub fn over(table: &'static Table) -> Self {
        let buffer = |column| (!table.is_fixed(column)).then(Vec::new);
        Self {
            columns: table.columns,
            buffers: table.columns.iter().map(buffer).collect(),
            rows: 0,
        }
    }

    /// One more, of which `write` writes every column.
    pub fn push(&mut self, write: impl FnOnce(&mut RowWriter<'_>)) {
        let mut writer = RowWriter::new(self.columns, Out::Columns(&mut self.buffers));
        write(&mut writer);
        debug_assert_eq!(writer.next, self.columns.len(), "every column is written");
        self.rows += 1;
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Each row by itself: its fields, a null being none, and so is what is left out.
    pub(crate) fn each(&self) -> impl Iterator<Item = Vec<Option<Vec<u8>>>> {
        let buffers = self.buffers.iter().map(Option::as_deref);
        let mut columns: Vec<_> = buffers
            .map(|buffer| fields(buffer.unwrap_or_default()))
            .collect();
        (0..self.rows).map(move |_| {
            let row = columns.iter_mut().map(Iterator::next);
            row.map(|field| field.flatten().map(<[u8]>::to_vec))
                .collect()
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buffers.iter().flatten().map(Vec::len).sum()
    }

    /// How many columns are written.
    pub(crate) fn width(&self) -> usize {
        self.buffers.iter().flatten().count()
    }

    /// How many bytes the arguments have that [`Columns::take_into`] adds.
    pub(crate) fn bytes_sent(&self) -> usize {
        /// The length of an argument, and what an array begins with.
        const COLUMN_BYTES: usize = 24;
        self.bytes() + COLUMN_BYTES * self.width()
    }

    /// What was pushed, as the arguments of a statement; empty again afterwards.
    pub(crate) fn take(&mut self) -> Result<PgArguments, BoxDynError> {
        let mut arguments = PgArguments::default();
        self.take_into(&mut arguments)?;
        Ok(arguments)
    }

    /// The same, behind the arguments that are there.
    pub(crate) fn take_into(&mut self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        for (column, buffer) in self.columns.iter().zip(&mut self.buffers) {
            if let Some(elements) = buffer {
                arguments.add(Array {
                    kind: column.kind,
                    rows: self.rows,
                    elements: std::mem::take(elements),
                })?;
            }
        }
        self.rows = 0;
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.buffers.iter_mut().flatten().for_each(Vec::clear);
        self.rows = 0;
    }
}

impl CopyRows {
    /// The signature, no flags, no extension.
    pub(crate) const HEADER: &'static [u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
    pub(crate) const TRAILER: &'static [u8] = &(-1_i16).to_be_bytes();

    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, write: impl FnOnce(&mut RowWriter<'_>)) {
        let count = i16::try_from(self.columns.len()).expect("a table has few columns");
        self.buffer.extend_from_slice(&count.to_be_bytes());
        write(&mut RowWriter::new(
            self.columns,
            Out::Rows(&mut self.buffer),
        ));
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes back what was pushed behind `bytes`.
    pub(crate) fn cut(&mut self, bytes: usize) {
        self.buffer.truncate(bytes);
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
    }
}

impl sqlx::Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(Kind::Text.oids().1))
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let dimensions: i32 = 1;
        let may_have_nulls: i32 = 1;
        let lower_bound: i32 = 1;
        buffer.extend_from_slice(&dimensions.to_be_bytes());
        buffer.extend_from_slice(&may_have_nulls.to_be_bytes());
        buffer.extend_from_slice(&self.kind.oids().0.to_be_bytes());
        buffer.extend_from_slice(&i32::try_from(self.rows)?.to_be_bytes());
        buffer.extend_from_slice(&lower_bound.to_be_bytes());
        buffer.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.kind.oids().1)))
    }

    fn size_hint(&self) -> usize {
        20 + self.elements.len()
    }
}
