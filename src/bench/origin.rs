//! Where figures come from: the source, the build, the machine and the servers.
//!
//! What the system does not tell is called unknown; a bench does not fail for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// What stands where the system does not tell.
const UNKNOWN: &str = "unknown";

/// The program that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The commit of its source; none where it does not run beside its source.
    pub commit: Option<String>,
    /// Whether the source had changes that are in no commit. Those of `docs` do not count: the record
    /// itself is one.
    pub dirty: bool,
    /// Its version.
    pub version: String,
    /// `release` or `dev`. The commit tells the compiler (`rust-toolchain.toml`).
    pub profile: String,
}

/// What it ran on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processors that the program could use.
    pub cores: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// The distribution.
    pub os: String,
    /// What the data of the run was written to.
    pub file_system: String,
}

/// The servers below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Servers {
    /// Version of nats-server.
    pub nats_server: String,
    /// Version of Postgres.
    pub postgres: String,
}

impl Build {
    /// This program.
    pub(super) fn here() -> Self {
        let commit = git(&["rev-parse", "HEAD"]);
        let changes = git(&[
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            ".",
            ":!docs",
        ]);
        Self {
            dirty: commit.is_some() && changes.is_some_and(|changes| !changes.is_empty()),
            commit,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profile: if cfg!(debug_assertions) {
                "dev"
            } else {
                "release"
            }
            .to_owned(),
        }
    }
}

impl Machine {
    /// This one; the data of the run is in `scratch`.
    pub(super) fn here(scratch: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let memory = read("/proc/meminfo");
        let memory_kib = field(&memory, "MemTotal:");
        let memory_kib = memory_kib.and_then(|line| line.split_whitespace().next()?.parse().ok());
        let scratch = scratch
            .canonicalize()
            .unwrap_or_else(|_| scratch.to_owned());
        Self {
            cpu: or_unknown(
                field(&read("/proc/cpuinfo"), "model name")
                    .map(|name| name.trim_start_matches([' ', '\t', ':']).to_owned()),
            ),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_kib.unwrap_or(0_u64) * 1024,
            kernel: or_unknown(fs::read_to_string("/proc/sys/kernel/osrelease").ok()),
            os: or_unknown(
                field(&read("/etc/os-release"), "PRETTY_NAME=")
                    .map(|name| name.trim_matches('"').to_owned()),
            ),
            file_system: or_unknown(file_system(&read("/proc/self/mountinfo"), &scratch)),
        }
    }
}

/// How much the machine has had to do during the last minute, in processes that wanted a processor.
pub(super) fn load_average() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split_whitespace().next()?.parse().ok()
}

/// What git says of the source that this program was built from, if that is still there.
fn git(arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    let said = git
        .args(["-C", env!("CARGO_MANIFEST_DIR")])
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    said.status.success().then(|| text.trim().to_owned())
}

/// What stands behind `name` in the first line that begins with it.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    Some(
        text.lines()
            .find_map(|line| line.strip_prefix(name))?
            .trim(),
    )
}

/// The type of the file system that `path` is on: that of the longest mount point above it (proc(5)).
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let of_line = |line: &str| {
        let (mount, system) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        let above = path.starts_with(point);
        above.then(|| {
            (
                point.len(),
                system.split(' ').next().unwrap_or_default().to_owned(),
            )
        })
    };
    // Of two at one place the later one hides the other.
    let (_, system) = mounts
        .lines()
        .filter_map(of_line)
        .max_by_key(|(length, _)| *length)?;
    Some(system)
}

fn or_unknown(told: Option<String>) -> String {
    let told = told.map(|told| told.trim().to_owned());
    told.filter(|told| !told.is_empty())
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:27 / /tmp rw,nosuid - tmpfs tmpfs rw
40 22 254:1 / /srv rw - xfs /dev/vdb rw";

    #[test]
    fn the_file_system_is_that_of_the_innermost_mount() {
        let of = |path| file_system(MOUNTS, Path::new(path)).expect("there is a root");
        assert_eq!(of("/tmp/run"), "tmpfs");
        assert_eq!(of("/tmpfile"), "ext4");
        assert_eq!(of("/srv"), "xfs");
        assert_eq!(file_system("", Path::new("/srv")), None);
    }

    #[test]
    fn a_machine_tells_of_itself() {
        let machine = Machine::here(&std::env::temp_dir());
        assert!(machine.cores > 0 && machine.memory_bytes > 0);
        assert_ne!(machine.kernel, UNKNOWN);
        assert_ne!(machine.file_system, UNKNOWN);
    }

    #[test]
    fn what_the_system_does_not_tell_is_unknown() {
        assert_eq!(or_unknown(Some(" \n".to_owned())), UNKNOWN);
        assert_eq!(
            or_unknown(field("cpu: x", "model name").map(str::to_owned)),
            UNKNOWN
        );
    }
}
