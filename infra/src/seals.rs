//! Seals beside their stream: the key that signs them, and the files that they are kept in as well.
//!
//! Files are lines of JSON, one seal a line, a file for each day (`2026-11-21.ndjson`). They follow the
//! stream: what is missing in them is added, so a crash between the two costs nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use commands::ReadError;
use commands::journal::BoxError;
use commands::seal::{AppendSealError, InvalidKey, PublicKeys, Seal, SealKey, SealKeys, Seals};
use domain::Token;
use futures_util::TryStreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::BoxStream;

use crate::keys::{self, KeyError};

const ENDING: &str = ".ndjson";

/// What went wrong with keys or files of seals.
#[derive(Debug, thiserror::Error)]
pub enum SealFileError {
    /// The key folder.
    #[error("keys of seals")]
    Keys(#[from] KeyError),
    /// A key's file holds something else.
    #[error("keys of seals: `{kid}` is no PEM")]
    Pem {
        /// Which key.
        kid: String,
        /// What is wrong with it.
        #[source]
        source: pem::PemError,
    },
    /// A key's file holds another key.
    #[error("keys of seals: `{kid}`")]
    Key {
        /// Which key.
        kid: String,
        /// What is wrong with it.
        #[source]
        source: InvalidKey,
    },
    /// A file could not be read or written.
    #[error("use the seals in `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A line is no seal.
    #[error("read the seals in `{path}`, line `{line}`")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// The folder of the keys of seals, as one signs with it. It is read for every seal, so that a new key
/// is used from the next one on.
#[derive(Debug, Clone)]
pub struct KeyFolder(pub PathBuf);

/// Seals in a stream, and in files besides.
pub struct SealsWithFiles {
    seals: Arc<dyn Seals>,
    folder: PathBuf,
    /// The number of the last seal in the files, once it was looked up.
    kept: Mutex<Option<u64>>,
}

/// The public keys in `folder`.
///
/// # Errors
/// When the folder cannot be read or holds something else.
pub fn public_keys(folder: &Path) -> Result<PublicKeys, SealFileError> {
    keys_of(&keys::public_keys(folder)?)
}

/// The keys in these files.
///
/// # Errors
/// When one holds something else.
pub fn keys_of(files: &[keys::KeyFile]) -> Result<PublicKeys, SealFileError> {
    let keys = files.iter().map(der);
    Ok(PublicKeys::new(keys.collect::<Result<Vec<_>, _>>()?))
}

/// The seals in a file, or in all files of a folder, in the order of their numbers.
///
/// # Errors
/// When one cannot be read.
pub fn read_files(path: &Path) -> Result<Vec<Seal>, SealFileError> {
    let mut seals = Vec::new();
    for file in files(path)? {
        seals.extend(read_file(&file)?);
    }
    seals.sort_by_key(|seal| seal.number);
    Ok(seals)
}

impl SealKeys for KeyFolder {
    fn signing(&self) -> Result<SealKey, BoxError> {
        let file = keys::signing_key(&self.0)?;
        let (kid, der) = der(&file)?;
        let key = SealKey::from_pkcs8(kid, &der);
        Ok(key.map_err(|source| SealFileError::Key {
            kid: file.kid,
            source,
        })?)
    }
}

impl SealsWithFiles {
    /// Keeps every seal of `seals` in `folder` as well, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(seals: Arc<dyn Seals>, folder: PathBuf) -> Result<Self, SealFileError> {
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self {
            seals,
            folder,
            kept: Mutex::default(),
        })
    }

    /// Adds to the files what they lack. Seals are safe in their stream: a full disk is told, and
    /// nothing else waits for it.
    async fn follow(&self) {
        if let Err(error) = self.catch_up().await {
            tracing::warn!(error = error.as_ref(), "seals are not kept as files");
        }
    }

    async fn catch_up(&self) -> Result<(), BoxError> {
        let known = *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match known {
            Some(kept) => kept,
            None => {
                self.heal()?;
                let kept = read_files(&self.folder)?;
                kept.last().map_or(0, |seal| seal.number)
            }
        };
        let new: Vec<Seal> = self.seals.read(kept).try_collect().await?;
        for seal in &new {
            self.write(seal)?;
        }
        let kept = new.last().map_or(kept, |seal| seal.number);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(())
    }

    /// Cuts off what a power cut has left of a line at the end of the newest file.
    fn heal(&self) -> Result<(), SealFileError> {
        let Some(path) = files(&self.folder)?.pop() else {
            return Ok(());
        };
        let heal = || {
            let text = fs::read(&path)?;
            let whole = text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |end| end + 1);
            if whole < text.len() {
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_len(whole as u64)?;
                file.sync_all()?;
            }
            Ok(())
        };
        heal().map_err(at(&path))
    }

    fn write(&self, seal: &Seal) -> Result<(), SealFileError> {
        let path = self
            .folder
            .join(format!("{}{ENDING}", seal.at.strftime("%Y-%m-%d")));
        let write = || {
            let mut line = serde_json::to_vec(seal)?;
            line.push(b'\n');
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(&line)?;
            file.sync_all()
        };
        write().map_err(at(&path))
    }
}

impl Seals for SealsWithFiles {
    fn append(&self, seal: Seal) -> BoxFuture<'_, Result<(), AppendSealError>> {
        async {
            self.seals.append(seal).await?;
            self.follow().await;
            Ok(())
        }
        .boxed()
    }

    fn last(&self) -> BoxFuture<'_, Result<Option<Seal>, ReadError>> {
        async {
            self.follow().await;
            self.seals.last().await
        }
        .boxed()
    }

    fn read(&self, after: u64) -> BoxStream<'_, Result<Seal, ReadError>> {
        self.seals.read(after)
    }
}

fn der(file: &keys::KeyFile) -> Result<(Token, Vec<u8>), SealFileError> {
    let named = Token::new(&file.kid);
    let kid = named.map_err(|_| KeyError::Name(PathBuf::from(&file.kid)))?;
    let parsed = pem::parse(&file.pem).map_err(|source| SealFileError::Pem {
        kid: file.kid.clone(),
        source,
    })?;
    Ok((kid, parsed.into_contents()))
}

fn files(path: &Path) -> Result<Vec<PathBuf>, SealFileError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(at(path))?;
    let paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(at(path))?;
    paths.retain(|path| path.to_string_lossy().ends_with(ENDING));
    paths.sort();
    Ok(paths)
}

fn read_file(path: &Path) -> Result<Vec<Seal>, SealFileError> {
    let file = File::open(path).map_err(at(path))?;
    let mut seals = Vec::new();
    for (line, text) in (1..).zip(BufReader::new(file).lines()) {
        let text = text.map_err(at(path))?;
        let seal = serde_json::from_str(&text).map_err(|source| SealFileError::Line {
            path: path.to_owned(),
            line,
            source,
        });
        seals.push(seal?);
    }
    Ok(seals)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SealFileError {
    let path = path.to_owned();
    move |source| SealFileError::File { path, source }
}
