//! Free space, which is what a log needs most.

use std::io;
use std::path::Path;

/// With less than this free neither server gets through its own recovery: the disk counts as full.
pub const FULL_BELOW_MIB: u64 = 16;

/// The space that is free for the program below `folder`, in MiB.
///
/// # Errors
/// When the folder is not there.
pub fn free_mib(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize / (1024 * 1024))
}
