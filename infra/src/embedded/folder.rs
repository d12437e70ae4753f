//! The data folder: its layout, its lock, and the small files the servers are set up from.
//!
//! ```text
//! <data>/lock              held while a program runs on this folder
//! <data>/secrets.json      the passwords, for the owner's eyes only
//! <data>/ports.json        the ports of the last run
//! <data>/nats/             server.conf, jetstream/
//! <data>/postgres/         data/ (the cluster); a link when it had to be put elsewhere
//! <data>/logs/             nats.log, postgres.log
//! ```
//! Run as root on a folder that no other user can enter (below `/root`), the cluster cannot lie
//! in it: Postgres runs as another user. It is then put below `/var/lib/ledgerline`, in a folder
//! named after this one, and `<data>/postgres` is a link to it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Account, Error};
use crate::disk::FULL_BELOW_MIB;

/// Where a cluster goes that cannot lie in the data folder.
const ELSEWHERE: &str = "/var/lib/ledgerline";

/// A server's log larger than this is put aside at the next start; one older file is kept.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// What initdb writes, with room for the first segments of the journal.
const FREE_MB_NEW: u64 = 128;

/// A data folder this process holds the lock of. The kernel gives the lock back when the process
/// ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if there is none, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        make_private(path)?;
        let path = path
            .canonicalize()
            .map_err(Error::folder("resolving", path))?;
        let lock = lock(&path)?;
        let folder = Self { path, _lock: lock };
        make_private(&folder.path.join("logs"))?;
        make_private(&folder.path.join("nats"))?;
        folder.check_room()?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn nats(&self) -> PathBuf {
        self.path.join("nats")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.path.join("secrets.json")
    }

    pub(crate) fn ports(&self) -> PathBuf {
        self.path.join("ports.json")
    }

    /// The folder Postgres' things lie in; the cluster itself is `data` in it. It may not exist.
    pub(crate) fn postgres(&self) -> PathBuf {
        let inside = self.path.join("postgres");
        inside.canonicalize().unwrap_or(inside)
    }

    /// A server's log file, put aside when it has grown too large.
    pub(crate) fn log(&self, server: &str) -> Result<PathBuf, Error> {
        let log = self.path.join("logs").join(format!("{server}.log"));
        let too_large = fs::metadata(&log).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX);
        if too_large {
            fs::rename(&log, log.with_extension("log.1"))
                .map_err(Error::folder("putting aside", &log))?;
        }
        Ok(log)
    }

    /// Makes the folder for Postgres' things, where `account` can enter it and as its own.
    pub(crate) fn make_postgres(&self, account: Option<&Account>) -> Result<PathBuf, Error> {
        let inside = self.path.join("postgres");
        let Some(account) = account else {
            make_private(&inside)?;
            return Ok(inside);
        };
        if fs::symlink_metadata(&inside).is_err() && !account.can_execute(&self.path) {
            self.make_postgres_elsewhere(&inside)?;
        }
        let home = self.postgres();
        make_private(&home)?;
        account
            .own(&home)
            .map_err(Error::folder("giving away", &home))?;
        Ok(home)
    }

    fn make_postgres_elsewhere(&self, link: &Path) -> Result<(), Error> {
        let name = digest::digest(&digest::SHA256, self.path.as_os_str().as_encoded_bytes());
        let name: String = name.as_ref()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let home = Path::new(ELSEWHERE).join(name);
        if home.exists() {
            // Our data folder is new, so this is of an earlier one in the same place that was
            // deleted, and its password with it: nothing can open this cluster again.
            tracing::warn!(folder = %home.display(), "removing the cluster of a deleted data folder");
            fs::remove_dir_all(&home).map_err(Error::folder("removing", &home))?;
        }
        let parent = Path::new(ELSEWHERE);
        fs::create_dir_all(parent).map_err(Error::folder("making", parent))?;
        make_private(&home)?;
        symlink(&home, link).map_err(Error::folder("linking", link))?;
        tracing::info!(
            folder = %home.display(),
            "the Postgres cluster lies outside of the data folder, which its user cannot enter"
        );
        Ok(())
    }

    /// Renames the journal and the files of seals, and removes the cluster.
    pub(crate) fn put_aside(&self, suffix: &str) -> Result<(), Error> {
        for name in ["nats", "seals"] {
            let path = self.path.join(name);
            if path.exists() {
                let aside = self.path.join(format!("{name}.{suffix}"));
                fs::rename(&path, &aside).map_err(Error::folder("putting aside", &path))?;
            }
        }
        let cluster = self.postgres().join("data");
        if cluster.exists() {
            fs::remove_dir_all(&cluster).map_err(Error::folder("removing", &cluster))?;
        }
        Ok(())
    }

    /// A full disk fails both servers in ways that name everything but the disk: look first.
    fn check_room(&self) -> Result<(), Error> {
        let cluster = self.postgres().join("data");
        let (folder, needed_mb) = if cluster.exists() {
            (cluster, FULL_BELOW_MIB)
        } else {
            (self.path.clone(), FREE_MB_NEW)
        };
        for folder in [folder, self.path.clone()] {
            let disk = rustix::fs::statvfs(&folder).map_err(|error| {
                Error::folder("asking the free space of", &folder)(error.into())
            })?;
            let free_mb = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
            if free_mb < needed_mb {
                return Err(Error::DiskFull {
                    folder,
                    free_mb,
                    needed_mb,
                });
            }
        }
        Ok(())
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::folder("opening", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(Error::InUse {
                folder: folder.to_owned(),
                holder: holder.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(Error::folder("locking", path)(source)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(Error::folder("writing", path))?;
    Ok(file)
}

/// Makes a folder, and those above it. Others may pass through it, which Postgres' user has to
/// when we are root, and may not list it; what is secret in it is closed by itself.
fn make_private(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o711).create(path);
    made.map_err(Error::folder("making", path))
}

/// Reads a JSON file, or gives the default when there is none.
pub(crate) fn read_json<T: DeserializeOwned + Default>(path: &Path) -> Result<T, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => return Err(Error::folder("reading", path)(error)),
    };
    serde_json::from_slice(&text).map_err(|source| Error::Damaged {
        path: path.to_owned(),
        source,
    })
}

/// Writes a JSON file as [`write_private`] does.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|source| Error::folder("writing", path)(source.into()))?;
    write_private(path, &text)
}

/// Writes a file only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let next = path.with_extension("next");
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)?;
        // The mode above counts for a new file only.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&next, path)
    };
    write().map_err(Error::folder("writing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_named_and_not_taken_for_an_empty_one() {
        let folder = std::env::temp_dir().join(format!("ledgerline-folder-{}", std::process::id()));
        make_private(&folder).expect("the temporary folder can be written");
        let path = folder.join("ports.json");
        write_private(&path, b"{").expect("the file can be written");
        let read = read_json::<std::collections::BTreeMap<String, u16>>(&path);
        fs::remove_dir_all(&folder).expect("our own folder can be removed");
        assert!(matches!(read, Err(Error::Damaged { .. })));
    }
}
