//! The import without the rest of the program, so that a fuzz target builds in seconds and not with
//! a database driver and a message broker's client in it.

#[path = "../../src/import/mod.rs"]
pub mod import;
