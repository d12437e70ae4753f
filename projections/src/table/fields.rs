//! Fields: a row that was stored, each field in Postgres' binary form, as [`RowWriter`](super::RowWriter)
//! writes it.

use sqlx::postgres::{PgRow, PgValueFormat};
use sqlx::{Row as _, ValueRef as _};

/// A row that was stored.
pub trait Fields {
    /// The bytes of `column`; none for a null.
    ///
    /// # Errors
    /// When there is no such column.
    fn field(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error>;
}

impl Fields for PgRow {
    fn field(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error> {
        let value = self.try_get_raw(column)?;
        if value.is_null() {
            return Ok(None);
        }
        let undecodable = |source| sqlx::Error::ColumnDecode {
            index: column.to_owned(),
            source,
        };
        if value.format() != PgValueFormat::Binary {
            return Err(undecodable("not in binary form".into()));
        }
        value.as_bytes().map(Some).map_err(undecodable)
    }
}
