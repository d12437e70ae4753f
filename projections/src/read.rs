//! Columns of a stored row, as the types of the domain.

use std::error::Error;
use std::str::FromStr;

use domain::{Json, Position, Tenant, Timestamp, Whole};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::table::{EPOCH_MICROSECOND, Fields};

/// Typed access to the columns of a row.
pub(crate) trait Columns: Fields {
    /// The bytes of a column that is never null.
    fn bytes(&self, column: &str) -> Result<&[u8], sqlx::Error> {
        let field = self.field(column)?;
        field.ok_or_else(|| undecodable(column, Wrong("is null")))
    }

    fn text(&self, column: &str) -> Result<&str, sqlx::Error> {
        text(column, self.bytes(column)?)
    }

    fn text_or_null(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        let bytes = self.field(column)?;
        bytes.map(|bytes| text(column, bytes)).transpose()
    }

    fn tenant(&self, column: &str) -> Result<Tenant, sqlx::Error> {
        Tenant::new(self.text(column)?).map_err(|error| undecodable(column, error))
    }

    fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(
        &self,
        column: &str,
    ) -> Result<T, sqlx::Error> {
        let parsed = self.text(column)?.parse();
        parsed.map_err(|error| undecodable(column, error))
    }

    fn parsed_or_null<T: FromStr<Err: Error + Send + Sync + 'static>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, sqlx::Error> {
        let parsed = self.text_or_null(column)?.map(T::from_str).transpose();
        parsed.map_err(|error| undecodable(column, error))
    }

    fn uuid(&self, column: &str) -> Result<Uuid, sqlx::Error> {
        sized(column, self.bytes(column)?).map(Uuid::from_bytes)
    }

    fn uuid_or_null(&self, column: &str) -> Result<Option<Uuid>, sqlx::Error> {
        let bytes = self.field(column)?;
        bytes
            .map(|bytes| sized(column, bytes).map(Uuid::from_bytes))
            .transpose()
    }

    fn bigint(&self, column: &str) -> Result<i64, sqlx::Error> {
        sized(column, self.bytes(column)?).map(i64::from_be_bytes)
    }

    fn bigint_or_null(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        let bytes = self.field(column)?;
        bytes
            .map(|bytes| sized(column, bytes).map(i64::from_be_bytes))
            .transpose()
    }

    fn integer(&self, column: &str) -> Result<i32, sqlx::Error> {
        sized(column, self.bytes(column)?).map(i32::from_be_bytes)
    }

    fn integer_or_null(&self, column: &str) -> Result<Option<i32>, sqlx::Error> {
        let bytes = self.field(column)?;
        bytes
            .map(|bytes| sized(column, bytes).map(i32::from_be_bytes))
            .transpose()
    }

    fn boolean(&self, column: &str) -> Result<bool, sqlx::Error> {
        sized(column, self.bytes(column)?).map(|[byte]| byte != 0)
    }

    fn time(&self, column: &str) -> Result<Timestamp, sqlx::Error> {
        time(column, self.bigint(column)?)
    }

    fn time_or_null(&self, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
        let microseconds = self.bigint_or_null(column)?;
        microseconds
            .map(|microseconds| time(column, microseconds))
            .transpose()
    }

    fn count(&self, column: &str) -> Result<u64, sqlx::Error> {
        converted(column, self.bigint(column)?)
    }

    fn count_or_null(&self, column: &str) -> Result<Option<u64>, sqlx::Error> {
        let count = self.bigint_or_null(column)?;
        count.map(|count| converted(column, count)).transpose()
    }

    fn whole_or_null<const MIN: u64, const MAX: u64>(
        &self,
        column: &str,
    ) -> Result<Option<Whole<MIN, MAX>>, sqlx::Error> {
        let number = self.integer_or_null(column)?.map(Whole::new).transpose();
        number.map_err(|error| undecodable(column, error))
    }

    fn small(&self, column: &str) -> Result<u8, sqlx::Error> {
        converted(column, self.integer(column)?)
    }

    fn position(&self, column: &str) -> Result<Position, sqlx::Error> {
        self.count(column).map(Position)
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, sqlx::Error> {
        let json = serde_json::from_slice(self.bytes(column)?);
        json.map_err(|error| undecodable(column, error))
    }

    fn jsonb<T: DeserializeOwned>(&self, column: &str) -> Result<T, sqlx::Error> {
        // The one version that there is of the binary form.
        let Some(json) = self.bytes(column)?.strip_prefix(&[1]) else {
            return Err(undecodable(column, Wrong("is of another version")));
        };
        serde_json::from_slice(json).map_err(|error| undecodable(column, error))
    }

    /// JSON of somebody else's making, which stands in a column of text.
    fn json_text(&self, column: &str) -> Result<Option<Json>, sqlx::Error> {
        let Some(text) = self.text_or_null(column)? else {
            return Ok(None);
        };
        let json = RawValue::from_string(text.to_owned());
        let json = json.map_err(|error| undecodable(column, error))?;
        let json = Json::new(json).map_err(|error| undecodable(column, error))?;
        Ok(Some(json))
    }
}

impl<F: Fields + ?Sized> Columns for F {}

/// What is wrong with a field.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(&'static str);

fn text<'a>(column: &str, bytes: &'a [u8]) -> Result<&'a str, sqlx::Error> {
    std::str::from_utf8(bytes).map_err(|error| undecodable(column, error))
}

fn sized<const N: usize>(column: &str, bytes: &[u8]) -> Result<[u8; N], sqlx::Error> {
    let bytes = bytes.try_into();
    bytes.map_err(|_| undecodable(column, Wrong("has another size")))
}

fn time(column: &str, microseconds: i64) -> Result<Timestamp, sqlx::Error> {
    let time = Timestamp::from_microsecond(microseconds.saturating_add(EPOCH_MICROSECOND));
    time.map_err(|error| undecodable(column, error))
}

/// `value` as another type, or the error of `column`.
pub(crate) fn converted<F, T: TryFrom<F, Error: Error + Send + Sync + 'static>>(
    column: &str,
    value: F,
) -> Result<T, sqlx::Error> {
    value.try_into().map_err(|error| undecodable(column, error))
}

/// The column holds what no fold writes.
pub(crate) fn undecodable(column: &str, source: impl Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(source),
    }
}
