//! Finds the two servers on this machine, and says for each place looked at why it would not do.
//!
//! Looked at, in this order: the environment's `LEDGERLINE_NATS_SERVER` (a program) and
//! `LEDGERLINE_POSTGRES_BIN` (a folder), which are binding when set; `PATH`; Debian's
//! `/usr/lib/postgresql/<version>/bin`, newest first; `.tools` beside the working folder or the
//! program or above either; `/var/lib/ledgerline/tools`. `scripts/setup` fills what is missing
//! and looks in the same places. Nothing is downloaded here.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Account, Error};

/// Message schedules and `persist_mode` need it.
const NATS_VERSION_MIN: Version = Version {
    major: 2,
    minor: 15,
};

/// The oldest Postgres the SQL is tested on.
const POSTGRES_VERSION_MIN: Version = Version {
    major: 15,
    minor: 0,
};

/// Where Debian and its family put Postgres, which is not on `PATH`.
const SYSTEM_POSTGRES: &str = "/usr/lib/postgresql";

/// Where `scripts/setup` puts Postgres when no other user can enter the checkout.
const SHARED_TOOLS: &str = "/var/lib/ledgerline/tools";

/// A server's version, as far as it decides anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// What counts for compatibility of data (Postgres) and features.
    pub major: u32,
    /// The number after it.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// The first dotted number in what a server prints about itself.
    fn parse(printed: &str) -> Option<Self> {
        let start = printed.find(|symbol: char| symbol.is_ascii_digit())?;
        let mut numbers = printed[start..].splitn(3, '.').map(|part| {
            let end = part
                .find(|symbol: char| !symbol.is_ascii_digit())
                .unwrap_or(part.len());
            (part[..end].parse::<u32>().ok(), end == part.len())
        });
        let (major, whole) = numbers.next()?;
        let minor = if whole {
            numbers.next().and_then(|(minor, _)| minor).unwrap_or(0)
        } else {
            0
        };
        Some(Self {
            major: major?,
            minor,
        })
    }
}

/// Where to look. [`Search::of_environment`] is what the program uses; tests build their own.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The one nats-server to use.
    pub nats_server: Option<PathBuf>,
    /// The one folder with Postgres' programs to use.
    pub postgres_bin: Option<PathBuf>,
    /// Folders that may hold either (`PATH`).
    pub path: Vec<PathBuf>,
    /// Folders whose sub-folders are `<version>/bin` of Postgres.
    pub postgres_roots: Vec<PathBuf>,
    /// Folders laid out by `scripts/setup`: `bin/nats-server` and `postgres/bin`.
    pub tools: Vec<PathBuf>,
}

impl Search {
    /// Looks in the places named in this module's documentation.
    #[must_use]
    pub fn of_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let here = [std::env::current_dir().ok(), std::env::current_exe().ok()];
        let mut tools: Vec<PathBuf> = here
            .iter()
            .flatten()
            .flat_map(|start| start.ancestors())
            .map(|folder| folder.join(".tools"))
            .filter(|tools| is_ours(tools))
            .collect();
        tools.push(SHARED_TOOLS.into());
        Self {
            nats_server: variable("LEDGERLINE_NATS_SERVER").map(PathBuf::from),
            postgres_bin: variable("LEDGERLINE_POSTGRES_BIN").map(PathBuf::from),
            path: variable("PATH")
                .map(|path| std::env::split_paths(&path).collect())
                .unwrap_or_default(),
            postgres_roots: vec![SYSTEM_POSTGRES.into()],
            tools,
        }
    }

    fn nats_candidates(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.nats_server {
            return vec![named.clone()];
        }
        let path = self.path.iter().map(|folder| folder.join("nats-server"));
        let tools = self.tools.iter().map(|tools| tools.join("bin/nats-server"));
        path.chain(tools).collect()
    }

    fn postgres_candidates(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.postgres_bin {
            return vec![named.join("postgres")];
        }
        let path = self.path.iter().cloned();
        let roots = self.postgres_roots.iter().flat_map(|root| versions(root));
        let tools = self.tools.iter().map(|tools| tools.join("postgres/bin"));
        path.chain(roots)
            .chain(tools)
            .map(|folder| folder.join("postgres"))
            .collect()
    }
}

/// Only what we or root put there is executed: a folder above may be anyone's, as in `/tmp`.
fn is_ours(folder: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(folder).is_ok_and(|metadata| metadata.uid() == own || metadata.uid() == 0)
}

/// The `bin` folders of `<root>/<version>/bin`, newest first.
fn versions(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

/// A server program that will do.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable, without symbolic links.
    pub path: PathBuf,
    /// What it says it is.
    pub version: Version,
}

/// Finds a nats-server new enough.
///
/// # Errors
/// [`Error::ProgramMissing`] with every place looked at.
pub fn nats_server(search: &Search) -> Result<Program, Error> {
    let judge = |version: Version, _: &Path| {
        (version < NATS_VERSION_MIN).then(|| format!("is {version}, too old"))
    };
    first_good(search, &search.nats_candidates(), &judge).map_err(|looked| Error::ProgramMissing {
        program: "nats-server",
        needed: format!("{NATS_VERSION_MIN} or later"),
        variable: "LEDGERLINE_NATS_SERVER",
        looked,
    })
}

/// Finds a Postgres new enough, which `account` can execute, and of the major version `cluster`
/// when there is a cluster already: another one cannot read it.
///
/// # Errors
/// [`Error::ProgramMissing`] with every place looked at.
pub fn postgres(
    search: &Search,
    account: Option<&Account>,
    cluster: Option<u32>,
) -> Result<Program, Error> {
    let judge = |version: Version, path: &Path| {
        if version < POSTGRES_VERSION_MIN {
            return Some(format!("is {version}, too old"));
        }
        if let Some(major) = cluster.filter(|major| *major != version.major) {
            return Some(format!("is {version}, and the cluster is of {major}"));
        }
        if !path.with_file_name("initdb").is_file() {
            return Some("has no `initdb` beside it".to_owned());
        }
        let name = &account.filter(|account| !account.can_execute(path))?.name;
        Some(format!("lies where user `{name}` cannot execute it"))
    };
    let needed = cluster.map_or_else(
        || format!("{POSTGRES_VERSION_MIN} or later"),
        |major| format!("version {major}, which made the cluster in the data folder"),
    );
    first_good(search, &search.postgres_candidates(), &judge).map_err(|looked| {
        Error::ProgramMissing {
            program: "postgres",
            needed,
            variable: "LEDGERLINE_POSTGRES_BIN",
            looked,
        }
    })
}

/// Finds the Postgres that a start on `data_folder` would take: see [`postgres`].
///
/// # Errors
/// [`Error::ProgramMissing`] with every place looked at.
pub fn postgres_for(search: &Search, data_folder: &Path) -> Result<Program, Error> {
    let cluster = data_folder.join("postgres/data");
    let account = Account::for_postgres(&cluster);
    postgres(search, account.as_ref(), cluster_version(&cluster))
}

/// The major version that made a cluster, if there is one.
fn cluster_version(cluster: &Path) -> Option<u32> {
    let version = fs::read_to_string(cluster.join("PG_VERSION")).ok()?;
    version.trim().parse().ok()
}

/// The first candidate with which `judge` finds no fault, or every place with its fault.
fn first_good(
    search: &Search,
    candidates: &[PathBuf],
    judge: &dyn Fn(Version, &Path) -> Option<String>,
) -> Result<Program, Vec<String>> {
    let on_path = |candidate: &Path| {
        let folder = candidate.parent();
        search
            .path
            .iter()
            .any(|entry| Some(entry.as_path()) == folder)
    };
    let mut looked = Vec::new();
    if candidates.iter().any(|candidate| on_path(candidate)) {
        looked.push("every folder of `PATH`".to_owned());
    }
    for candidate in candidates {
        let place = candidate.display();
        let Ok(path) = candidate.canonicalize() else {
            // A dozen folders of `PATH` that hold nothing would bury what matters.
            if !on_path(candidate) {
                looked.push(format!("`{place}` (missing)"));
            }
            continue;
        };
        let fault = match ask_version(&path) {
            Some(version) => match judge(version, &path) {
                None => return Ok(Program { path, version }),
                Some(fault) => fault,
            },
            None => "does not tell its version".to_owned(),
        };
        looked.push(format!("`{place}` ({fault})"));
    }
    Err(looked)
}

fn ask_version(program: &Path) -> Option<Version> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Version::parse(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(printed: &str, expected: Option<(u32, u32)>) {
        let parsed = Version::parse(printed).map(|version| (version.major, version.minor));
        assert_eq!(parsed, expected, "{printed}");
    }

    #[test]
    fn the_version_is_read_from_what_each_server_prints() {
        check("nats-server: v2.15.1\n", Some((2, 15)));
        check("nats-server: v2.9.10", Some((2, 9)));
        check(
            "postgres (PostgreSQL) 15.10 (Debian 15.10-0+deb12u1)",
            Some((15, 10)),
        );
        check("postgres (PostgreSQL) 19beta2", Some((19, 0)));
        check("no number here", None);
    }

    #[test]
    fn two_fifteen_is_newer_than_two_nine() {
        let old = Version { major: 2, minor: 9 };
        assert!(old < NATS_VERSION_MIN);
    }
}
