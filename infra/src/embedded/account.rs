//! Which user runs Postgres. It refuses to run as root, so a program that runs as root gives it
//! to another user; any other program runs it as itself.
//!
//! Reads `/etc/passwd` and file modes only. It never creates a user and never changes the
//! program's own.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// The users that may run Postgres for root, the best first: the one made for it, and the one
/// every machine has.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Where accounts are listed.
const PASSWD: &str = "/etc/passwd";

/// A user to run a server as, other than the program's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of the user's own group.
    pub gid: u32,
}

impl Account {
    /// The user to run Postgres as, or `None` when the program may run it as itself.
    ///
    /// `cluster` is an existing cluster's folder: its owner goes on running it, whoever that is,
    /// because Postgres refuses a cluster of another user.
    pub(crate) fn for_postgres(cluster: &Path) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let owner = fs::metadata(cluster).ok().filter(|owner| owner.uid() != 0);
        if let Some(owner) = owner {
            let name = format!("#{}", owner.uid());
            return Some(Self {
                name,
                uid: owner.uid(),
                gid: owner.gid(),
            });
        }
        let passwd = fs::read_to_string(PASSWD).unwrap_or_default();
        Self::among(&passwd)
    }

    fn among(passwd: &str) -> Option<Self> {
        let accounts: Vec<Self> = passwd.lines().filter_map(Self::from_line).collect();
        CANDIDATES
            .iter()
            .find_map(|name| accounts.iter().find(|account| account.name == *name))
            .filter(|account| account.uid != 0)
            .cloned()
    }

    /// One line of `passwd(5)`: name, password, uid, gid, and more.
    fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name, uid, gid })
    }

    /// Whether this user can enter (a folder) or execute (a file) at `path`: each folder on the
    /// way has to let it through too.
    pub(crate) fn can_execute(&self, path: &Path) -> bool {
        let Ok(path) = path.canonicalize() else {
            return false;
        };
        path.ancestors().all(|part| {
            fs::metadata(part).is_ok_and(|metadata| {
                let class_bit = if metadata.uid() == self.uid {
                    0o100
                } else if metadata.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                metadata.mode() & class_bit != 0
            })
        })
    }

    /// Makes this user the owner of one file or folder.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_made_for_postgres_is_taken_before_nobody() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n\
                      postgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        let expected = Account {
            name: "postgres".to_owned(),
            uid: 101,
            gid: 104,
        };
        assert_eq!(Account::among(passwd), Some(expected));
        let nobody = Account::among("nobody:x:65534:65534::/:/bin/false").map(|found| found.uid);
        assert_eq!(nobody, Some(65534));
    }

    #[test]
    fn an_account_that_is_root_by_another_name_never_runs_postgres() {
        assert_eq!(Account::among("postgres:x:0:0:::"), None);
    }
}
