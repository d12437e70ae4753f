//! The sealer of the journal, as the flags of `up` and `serve` ask for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use commands::Clock as _;
use commands::seal::sealer::{Parts, Sealer, Settings};
use commands::seal::{COMMITS_MAX, Seals};
use domain::{Timestamp, Token};
use infra::SystemClock;
use infra::office::PostgresOffice;
use infra::seals::{KeyFolder, SealsWithFiles};

use super::Connections;

/// The folder of the files of seals in the data folder of `up`.
pub const DATA_FILES: &str = "seals";

/// When seals are made, and where their key and their files are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Seals")]
pub struct SealArgs {
    /// Commits of one seal
    #[arg(long, value_name = "COUNT", default_value = "10000", value_parser = clap::value_parser!(u64).range(1..=COMMITS_MAX as u64), env = "LEDGERLINE_SEAL_COMMITS")]
    pub seal_commits: u64,
    /// How long a commit waits for its seal, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400), env = "LEDGERLINE_SEAL_WAIT")]
    pub seal_wait: u64,
    /// Folder of the keys that sign seals; `seals` in the folder of the keys that check tokens, unless told
    #[arg(long, value_name = "FOLDER", env = "LEDGERLINE_SEAL_KEYS")]
    pub seal_keys: Option<PathBuf>,
    /// Folder where seals are kept as files as well; `up` has one in its data folder
    #[arg(long, value_name = "FOLDER", env = "LEDGERLINE_SEAL_FILES")]
    pub seal_files: Option<PathBuf>,
}

/// The folder of the keys of seals, beside the keys of tokens in `keys`.
#[must_use]
pub fn key_folder(keys: &Path) -> PathBuf {
    keys.join("seals")
}

/// Makes a key in `keys` that signs from the next seal on, and tells its name.
///
/// # Errors
/// When the folder cannot be written.
pub fn new_seal_key(keys: &Path, now: Timestamp) -> anyhow::Result<Token> {
    let name = key_name(now)?;
    std::fs::create_dir_all(keys).with_context(|| format!("make `{}`", keys.display()))?;
    let there = infra::keys::public_keys(keys)?;
    anyhow::ensure!(
        there.iter().all(|key| key.kid != name.as_str()),
        "make a key: `{name}` was made in this very second"
    );
    infra::keys::add(keys, &name)?;
    Ok(name)
}

/// The name of a key that is made now: names sort by time, and the last one signs.
pub(super) fn key_name(now: Timestamp) -> anyhow::Result<Token> {
    Token::new(now.strftime("%Y%m%dT%H%M%S").to_string()).context("name the key")
}

impl SealArgs {
    /// The sealer over `connections`. A key is made here if none can sign.
    pub(super) fn sealer(&self, connections: &Connections, keys: &Path) -> anyhow::Result<Sealer> {
        let keys = self.seal_keys.clone().unwrap_or_else(|| key_folder(keys));
        infra::keys::ensure_signing(&keys, &key_name(SystemClock.now())?)
            .context("make the key that signs seals; `--seal-keys` names another folder")?;
        let seals: Arc<dyn Seals> = match &self.seal_files {
            Some(folder) => Arc::new(SealsWithFiles::new(
                connections.seals.clone(),
                folder.clone(),
            )?),
            None => connections.seals.clone(),
        };
        let parts = Parts {
            journal: connections.journal.clone(),
            seals,
            keys: Arc::new(KeyFolder(keys)),
            office: Arc::new(PostgresOffice::sealer(connections.pool.clone())),
            clock: Arc::new(SystemClock),
        };
        let settings = Settings {
            commits_max: usize::try_from(self.seal_commits).unwrap_or(COMMITS_MAX),
            wait_max: Duration::from_secs(self.seal_wait),
        };
        Ok(Sealer::new(parts, settings))
    }
}
