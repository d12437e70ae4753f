//! The passwords of the embedded servers: made once, kept in the data folder, never printed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;
use super::folder::{DataFolder, read_json, write_json};

/// 32 bytes are beyond guessing; as hexadecimal they need no quoting in a URL, in a server's
/// configuration or in SQL.
const SECRET_BYTES: usize = 32;

/// One password, as hexadecimal digits.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn fill(&mut self) -> Result<(), Error> {
        if self.0.is_empty() {
            let mut bytes = [0; SECRET_BYTES];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
            self.0 = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        Ok(())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// All of them. A field that an older file lacks is filled at the next start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Secrets {
    /// The service, in NATS' account of the journal.
    pub(crate) nats_ledger: Secret,
    /// The service, in NATS' account of the feed.
    pub(crate) nats_feed: Secret,
    /// Everyone who reads the feed.
    pub(crate) nats_subscriber: Secret,
    /// Everyone who works by messages.
    pub(crate) nats_worker: Secret,
    /// Who asks the NATS server about itself.
    pub(crate) nats_system: Secret,
    /// The owner of the database.
    pub(crate) postgres: Secret,
    /// The cluster's superuser, used only to set it up.
    pub(crate) postgres_superuser: Secret,
    /// Not secret to anyone, but as unique: by it our NATS server is told from another one.
    pub(crate) nats_server_name: Secret,
}

impl Secrets {
    /// Reads the passwords of the data folder, makes those it lacks, and writes them back.
    pub(crate) fn of(folder: &DataFolder) -> Result<Self, Error> {
        let path = folder.secrets();
        let mut secrets: Self = read_json(&path)?;
        for secret in [
            &mut secrets.nats_ledger,
            &mut secrets.nats_feed,
            &mut secrets.nats_subscriber,
            &mut secrets.nats_worker,
            &mut secrets.nats_system,
            &mut secrets.postgres,
            &mut secrets.postgres_superuser,
            &mut secrets.nats_server_name,
        ] {
            secret.fill()?;
        }
        write_json(&path, &secrets)?;
        Ok(secrets)
    }
}
