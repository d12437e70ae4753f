//! The program as a library: what `main.rs` runs, and what tests, benches and fuzz targets call.

pub mod bench;
pub mod cli;
pub mod compose;
pub mod import;

use std::ffi::OsString;
use std::process::ExitCode;

/// The hidden first argument with which the program starts itself again, to become one of the
/// embedded servers.
pub const CHILD_ARGUMENT: &str = "internal-child";

/// Becomes an embedded server; comes back only when that failed.
#[must_use]
pub fn become_child(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    cli::end_with(
        &anyhow::Error::new(infra::embedded::child_main(arguments)).context("start a server"),
    )
}
