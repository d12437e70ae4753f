//! `sleep`: done after `{"ms": …}` milliseconds. For trials of leases, timeouts and stops.

use std::time::Duration;

use domain::Json;
use futures_util::future::{BoxFuture, FutureExt};
use serde::Deserialize;

use crate::worker::kind::{Context, Failed, Kind, wanted};

/// The longest: a sleeping job takes a place of its worker. Whoever wants to wait longer gives the job a
/// `run_after`, which takes none.
const SLEEP_MS_MAX: u64 = 3_600_000;

/// The kind.
#[derive(Debug)]
pub(in crate::worker) struct Sleep;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    ms: u64,
}

impl Kind for Sleep {
    fn name(&self) -> &'static str {
        "sleep"
    }

    fn run<'a>(
        &'a self,
        _context: &'a Context,
        payload: Option<&'a Json>,
    ) -> BoxFuture<'a, Result<Option<Json>, Failed>> {
        async move {
            let Payload { ms } = wanted(payload)?;
            if ms > SLEEP_MS_MAX {
                return Err(Failed::for_good(format_args!(
                    "sleep of `{ms}` ms is longer than the limit of `{SLEEP_MS_MAX}` ms"
                )));
            }
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(None)
        }
        .boxed()
    }
}
