//! What the fuzz targets call, without the rest of the program: so a target builds in seconds and not
//! with a database driver and a message broker's client in it.

#[path = "../../src/import/mod.rs"]
pub mod import;

#[expect(dead_code, reason = "the queries that use the rest of it are not here")]
#[path = "../../projections/src/cursor.rs"]
pub mod cursor;
