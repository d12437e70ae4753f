//! The file of a backup: the journal up to a position as it is stored, the seals up to there, and the
//! public keys that check them.
//!
//! It is gzip over lines of JSON: `backup`, then a `key` and a `seal` a line, then a `commit` a line, and
//! `end` with the SHA-256 of every byte before. Read models are not in it: they are a fold of it. Nor
//! are private keys: a backup may lie where its keys must not.
//!
//! A file is there whole or not at all, and one without its `end` is refused.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use commands::seal::{RawCommit, Seal};
use domain::{Position, Sha256, Timestamp};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::keys::KeyFile;

/// The form of the file that this program writes and reads.
const VERSION: u32 = 1;

/// The longest line: a payload of 8 MiB, each byte of which is written as six characters at worst.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What went wrong with a backup's file.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It could not be read or written.
    #[error("use the backup `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A line is not what stands in a backup.
    #[error("read the backup `{path}`, line `{line}`")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It is none, or no whole one.
    #[error("read the backup `{path}`: {reason}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What the backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    version: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// Up to and with which position.
    pub position: Position,
}

/// One thing in a backup.
#[derive(Debug, Clone)]
pub enum Item {
    /// A public key of seals.
    Key(KeyFile),
    /// A seal.
    Seal(Seal),
    /// A commit, as it was stored.
    Commit(RawCommit),
}

/// A backup that is being written.
pub struct Writer {
    out: GzEncoder<BufWriter<File>>,
    digest: Context,
    path: PathBuf,
}

/// A backup that is being read.
pub struct Reader {
    lines: BufReader<MultiGzDecoder<File>>,
    digest: Context,
    line: u64,
    head: Head,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Backup(Head),
    Key { id: String, pem: String },
    Seal(Seal),
    Commit(CommitLine),
    End { sha256: Sha256 },
}

#[derive(Serialize, Deserialize)]
struct CommitLine {
    position: Position,
    stream: String,
    command: String,
    chain: String,
    trace: String,
    payload: Payload,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Payload {
    Text(String),
    /// What is no text is no commit either, and is kept all the same.
    Base64 {
        base64: String,
    },
}

impl Writer {
    /// Begins a backup up to `position` that will be at `path`.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub fn create(
        path: &Path,
        made_at: Timestamp,
        position: Position,
    ) -> Result<Self, BackupError> {
        let file = File::create(partial(path)).map_err(at(path))?;
        let mut writer = Self {
            out: GzEncoder::new(BufWriter::new(file), Compression::fast()),
            digest: Context::new(&SHA256),
            path: path.to_owned(),
        };
        writer.line(&Line::Backup(Head {
            version: VERSION,
            made_at,
            position,
        }))?;
        Ok(writer)
    }

    /// Adds a thing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, item: Item) -> Result<(), BackupError> {
        self.line(&match item {
            Item::Key(key) => Line::Key {
                id: key.kid,
                pem: key.pem,
            },
            Item::Seal(seal) => Line::Seal(seal),
            Item::Commit(commit) => Line::Commit(CommitLine::of(commit)),
        })
    }

    /// Ends it, and puts it in its place when it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), BackupError> {
        let sha256 = digest(&self.digest);
        self.line(&Line::End { sha256 })?;
        let Self { out, path, .. } = self;
        let finish = || {
            let file = out
                .finish()?
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fs::rename(partial(&path), &path)
        };
        finish().map_err(at(&path))
    }

    fn line(&mut self, line: &Line) -> Result<(), BackupError> {
        let mut write = || {
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            self.digest.update(&text);
            self.out.write_all(&text)
        };
        write().map_err(at(&self.path))
    }
}

impl Reader {
    /// Opens a backup.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(at(path))?;
        let mut reader = Self {
            lines: BufReader::new(MultiGzDecoder::new(file)),
            digest: Context::new(&SHA256),
            line: 0,
            head: Head {
                version: 0,
                made_at: Timestamp::UNIX_EPOCH,
                position: Position::START,
            },
            path: path.to_owned(),
        };
        match reader.line()? {
            Line::Backup(head) if head.version == VERSION => reader.head = head,
            Line::Backup(_) => return Err(reader.invalid("it is of a newer program")),
            Line::Key { .. } | Line::Seal(_) | Line::Commit(_) | Line::End { .. } => {
                return Err(reader.invalid("it does not begin as one"));
            }
        }
        Ok(reader)
    }

    /// What it is of.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next thing in it; none at its end, when all that was read was as it was written.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn read(&mut self) -> Result<Option<Item>, BackupError> {
        let so_far = digest(&self.digest);
        Ok(Some(match self.line()? {
            Line::Key { id, pem } => Item::Key(KeyFile { kid: id, pem }),
            Line::Seal(seal) => Item::Seal(seal),
            Line::Commit(commit) => Item::Commit(
                commit
                    .raw()
                    .ok_or_else(|| self.invalid("a payload is no base64"))?,
            ),
            Line::End { sha256 } if sha256 == so_far => {
                // Reading on also checks what the compression says of its own end.
                let behind = self.lines.fill_buf().map_err(at(&self.path))?;
                if behind.is_empty() {
                    return Ok(None);
                }
                return Err(self.invalid("something stands behind its end"));
            }
            Line::End { .. } => {
                return Err(self.invalid("it was changed: its digest is another one"));
            }
            Line::Backup(_) => return Err(self.invalid("it begins twice")),
        }))
    }

    fn line(&mut self) -> Result<Line, BackupError> {
        let mut text = Vec::new();
        let mut limited = (&mut self.lines).take(LINE_BYTES_MAX);
        limited
            .read_until(b'\n', &mut text)
            .map_err(at(&self.path))?;
        self.line += 1;
        if text.last() != Some(&b'\n') {
            return Err(self.invalid("it breaks off"));
        }
        self.digest.update(&text);
        serde_json::from_slice(&text).map_err(|source| BackupError::Line {
            path: self.path.clone(),
            line: self.line,
            source,
        })
    }

    fn invalid(&self, reason: &'static str) -> BackupError {
        BackupError::Invalid {
            path: self.path.clone(),
            reason,
        }
    }
}

impl CommitLine {
    fn of(commit: RawCommit) -> Self {
        let payload = match String::from_utf8(commit.payload.into()) {
            Ok(text) => Payload::Text(text),
            Err(error) => Payload::Base64 {
                base64: STANDARD.encode(error.as_bytes()),
            },
        };
        Self {
            position: commit.position,
            stream: commit.stream,
            command: commit.command,
            chain: commit.chain,
            trace: commit.trace,
            payload,
        }
    }

    fn raw(self) -> Option<RawCommit> {
        let payload = match self.payload {
            Payload::Text(text) => text.into_bytes(),
            Payload::Base64 { base64 } => STANDARD.decode(base64).ok()?,
        };
        Some(RawCommit {
            position: self.position,
            stream: self.stream,
            command: self.command,
            chain: self.chain,
            trace: self.trace,
            payload: Bytes::from(payload),
        })
    }
}

fn digest(context: &Context) -> Sha256 {
    let digest = context.clone().finish();
    Sha256(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(position: u64, payload: &'static [u8]) -> RawCommit {
        RawCommit {
            position: Position(position),
            stream: "t.assignment.a".to_owned(),
            command: "c".to_owned(),
            chain: "d".to_owned(),
            trace: String::new(),
            payload: Bytes::from_static(payload),
        }
    }

    fn all(path: &Path) -> Result<Vec<RawCommit>, BackupError> {
        let mut reader = Reader::open(path)?;
        let mut commits = Vec::new();
        while let Some(item) = reader.read()? {
            if let Item::Commit(commit) = item {
                commits.push(commit);
            }
        }
        Ok(commits)
    }

    #[test]
    fn a_backup_is_read_as_it_was_written_or_not_at_all() {
        let path = std::env::temp_dir().join(format!("ledgerline-backup-{}", std::process::id()));
        let commits = vec![
            commit(1, b"{\"a\":\"\\u00e4\"}"),
            commit(2, b"\xff\x00no text"),
        ];
        let mut writer =
            Writer::create(&path, Timestamp::UNIX_EPOCH, Position(2)).expect("writable");
        for commit in commits.clone() {
            writer.add(Item::Commit(commit)).expect("writable");
        }
        assert!(!path.exists(), "it is there when it is whole");
        writer.finish().expect("writable");
        assert_eq!(all(&path).expect("whole"), commits);
        let whole = fs::read(&path).expect("readable");
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 0x10;
            fs::write(&path, &damaged).expect("writable");
            // Some bits of gzip mean nothing: where there is no error, nothing was changed.
            assert!(
                all(&path).map_or(true, |read| read == commits),
                "byte {byte}"
            );
            fs::write(&path, &whole[..byte]).expect("writable");
            assert!(all(&path).is_err(), "cut off at {byte}");
        }
        fs::remove_file(&path).expect("ours");
    }
}
