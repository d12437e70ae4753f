//! Servers of an earlier run on the same data folder that are still alive.
//!
//! After `kill -9` of the program the kernel ends its servers, which takes them a moment; the
//! next start waits for it, and ends by force what does not go. A server belongs to the data
//! folder when it runs in it or names it in its arguments; both are looked at because a
//! container may hide the first and Postgres' helpers overwrite the second. The caller holds the
//! folder's lock, so no living program's server can be meant.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use super::Error;

/// How long the kernel's signal at the program's death is given to work.
const GRACE: Duration = Duration::from_secs(3);

/// How long after that until we give up: a forced end takes no longer, unless a disk hangs.
const FORCED: Duration = Duration::from_secs(10);

/// How often is looked.
const POLL: Duration = Duration::from_millis(25);

/// Waits until no process named `program` belongs to `folder` any more.
pub(crate) async fn clear(server: &'static str, program: &str, folder: &Path) -> Result<(), Error> {
    let begin = Instant::now();
    let mut forced = false;
    loop {
        let alive = of_folder(program, folder);
        let Some(first) = alive.first() else {
            return Ok(());
        };
        let waited = begin.elapsed();
        if waited > GRACE + FORCED {
            return Err(Error::Leftover {
                server,
                pid: first.as_raw_nonzero().get(),
            });
        }
        if waited > GRACE {
            if !forced {
                tracing::warn!(server, pid = %first.as_raw_nonzero(), "ending a server of an earlier run");
                forced = true;
            }
            for pid in alive {
                // Gone since it was listed is as good.
                rustix::process::kill_process(pid, Signal::KILL).ok();
            }
        }
        sleep(POLL).await;
    }
}

fn of_folder(program: &str, folder: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            belongs(&entry.path(), program, folder).then_some(pid)
        })
        .filter_map(Pid::from_raw)
        .collect()
}

fn belongs(process: &Path, program: &str, folder: &Path) -> bool {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    if name.trim_end() != program {
        return false;
    }
    if fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder) {
        return true;
    }
    let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
    arguments
        .split(|byte| *byte == 0)
        .any(|argument| Path::new(std::ffi::OsStr::from_bytes(argument)).starts_with(folder))
}
