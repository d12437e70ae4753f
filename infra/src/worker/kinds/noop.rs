//! `noop`: done at once, whatever its payload is. For trials of everything around it.

use domain::Json;
use futures_util::future::{BoxFuture, FutureExt, ready};

use crate::worker::kind::{Context, Failed, Kind};

/// The kind.
#[derive(Debug)]
pub(in crate::worker) struct Noop;

impl Kind for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn run<'a>(
        &'a self,
        _context: &'a Context,
        _payload: Option<&'a Json>,
    ) -> BoxFuture<'a, Result<Option<Json>, Failed>> {
        ready(Ok(None)).boxed()
    }
}
