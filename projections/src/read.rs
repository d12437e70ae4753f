//! Columns of a row that Postgres sent, as the types of the domain.

use std::error::Error;
use std::str::FromStr;

use domain::{Json, Position, Tenant, Timestamp};
use serde_json::value::RawValue;
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Typed access to the columns of a row.
pub(crate) trait Columns {
    fn tenant(&self, column: &str) -> Result<Tenant, sqlx::Error>;
    fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(
        &self,
        column: &str,
    ) -> Result<T, sqlx::Error>;
    fn parsed_or_null<T: FromStr<Err: Error + Send + Sync + 'static>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, sqlx::Error>;
    fn time(&self, column: &str) -> Result<Timestamp, sqlx::Error>;
    fn time_or_null(&self, column: &str) -> Result<Option<Timestamp>, sqlx::Error>;
    fn count(&self, column: &str) -> Result<u64, sqlx::Error>;
    fn count_or_null(&self, column: &str) -> Result<Option<u64>, sqlx::Error>;
    fn small(&self, column: &str) -> Result<u8, sqlx::Error>;
    fn position(&self, column: &str) -> Result<Position, sqlx::Error>;
    /// JSON of somebody else's making, which stands in a column of text.
    fn json_text(&self, column: &str) -> Result<Option<Json>, sqlx::Error>;
}

impl Columns for PgRow {
    fn tenant(&self, column: &str) -> Result<Tenant, sqlx::Error> {
        let tenant: &str = self.try_get(column)?;
        Tenant::new(tenant).map_err(|error| undecodable(column, error))
    }

    fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(
        &self,
        column: &str,
    ) -> Result<T, sqlx::Error> {
        let text: &str = self.try_get(column)?;
        text.parse().map_err(|error| undecodable(column, error))
    }

    fn parsed_or_null<T: FromStr<Err: Error + Send + Sync + 'static>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, sqlx::Error> {
        let text: Option<&str> = self.try_get(column)?;
        let parsed = text.map(T::from_str).transpose();
        parsed.map_err(|error| undecodable(column, error))
    }

    fn time(&self, column: &str) -> Result<Timestamp, sqlx::Error> {
        let time: jiff_sqlx::Timestamp = self.try_get(column)?;
        Ok(time.to_jiff())
    }

    fn time_or_null(&self, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
        let time: Option<jiff_sqlx::Timestamp> = self.try_get(column)?;
        Ok(time.map(jiff_sqlx::Timestamp::to_jiff))
    }

    fn count(&self, column: &str) -> Result<u64, sqlx::Error> {
        let count: i64 = self.try_get(column)?;
        converted(column, count)
    }

    fn count_or_null(&self, column: &str) -> Result<Option<u64>, sqlx::Error> {
        let count: Option<i64> = self.try_get(column)?;
        count.map(|count| converted(column, count)).transpose()
    }

    fn small(&self, column: &str) -> Result<u8, sqlx::Error> {
        let number: i32 = self.try_get(column)?;
        converted(column, number)
    }

    fn position(&self, column: &str) -> Result<Position, sqlx::Error> {
        self.count(column).map(Position)
    }

    fn json_text(&self, column: &str) -> Result<Option<Json>, sqlx::Error> {
        let Some(text) = self.try_get::<Option<String>, _>(column)? else {
            return Ok(None);
        };
        let json = RawValue::from_string(text).map_err(|error| undecodable(column, error))?;
        let json = Json::new(json).map_err(|error| undecodable(column, error))?;
        Ok(Some(json))
    }
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
