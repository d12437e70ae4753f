//! `endpoints.json`: where a running `up` is reached. It holds passwords, so only its owner reads it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

const FILE: &str = "endpoints.json";

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// HTTP.
    pub http: String,
    /// NATS, as the service: the journal's account.
    pub nats: String,
    /// NATS, as the service: the feed's account.
    pub nats_feed: String,
    /// NATS, for subscribers: the feed's account, reading only.
    pub nats_subscriber: String,
    /// NATS, for workers: the feed's account, requests of the worker protocol only.
    pub nats_worker: String,
    /// NATS' system account, for `doctor`.
    pub nats_system: String,
    /// Postgres, as the service.
    pub postgres: String,
    /// The file with the first administrator's token.
    pub token_file: PathBuf,
}

impl Endpoints {
    /// Writes them into `data_dir`, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        write_private(&data_dir.join(FILE), &serde_json::to_vec_pretty(self)?)
    }

    /// Reads them from `data_dir`; nothing where no `up` has run.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = data_dir.join(FILE);
        match fs::read(&path) {
            Ok(text) => {
                let read = serde_json::from_slice(&text);
                read.map(Some)
                    .with_context(|| format!("read `{}`", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read `{}`", path.display())),
        }
    }

    /// Takes the file away: whoever finds none knows that nothing runs.
    pub fn remove(data_dir: &Path) {
        if let Err(error) = fs::remove_file(data_dir.join(FILE)) {
            tracing::debug!(%error, "endpoints not removed");
        }
    }
}

/// Writes a file that only its owner reads: beside its place first, then moved there.
///
/// # Errors
/// When its folder cannot be written.
pub fn write_private(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    write_beside(path, text).with_context(|| format!("write `{}`", path.display()))
}

fn write_beside(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
