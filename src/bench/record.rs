//! The record: the newest figure of each name, with where it comes from.
//!
//! A JSON file of runs, each with its build, machine, servers, options and figures. A figure that is
//! measured again moves to the new run and is gone from the older one; a run without figures goes. So a
//! run of one subject replaces its own figures alone, and each figure keeps its own origin.
//!
//! Beside it stand the peers, as `benches/peers/run --record` wrote them.

use std::fs;
use std::path::{Path, PathBuf};

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::Figure;
use super::origin::{Build, Machine, Servers};

/// The form of the file. Another number is another form, which this program does not know.
const SCHEMA: u32 = 1;

/// How many digits of a figure are kept: far more than mean something, and few enough that they are the
/// same after they were read and written again.
const DIGITS: usize = 6;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("{doing} record `{}`", .path.display())]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is something else.
    #[error("`{}` is no record of benchmarks", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error(
        "record `{}` has schema `{found}`, this program knows `{SCHEMA}`: name another file, or use \
         the program that wrote it", .path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        found: u32,
    },
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    schema: u32,
    /// The oldest first; none is without figures.
    pub runs: Vec<Run>,
    /// What others did with the same jobs.
    #[serde(default)]
    pub peers: Vec<Peer>,
}

/// One run of the bench, with those of its figures that are the newest of their name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// When it began.
    pub at: Timestamp,
    /// What was measured.
    pub build: Build,
    /// On what.
    pub machine: Machine,
    /// Above what.
    pub servers: Servers,
    /// How.
    pub options: Asked,
    /// What the machine did before; none where that is not known.
    pub load_before: Option<f64>,
    /// What came of it.
    pub figures: Vec<Figure>,
}

/// How a run was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Less of everything.
    pub quick: bool,
    /// Events in the journal before what depends on them.
    pub events: u64,
    /// How long the load lasted, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
    /// Commands a second, where a rate was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<usize>,
}

/// What a peer did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// When.
    pub at: Timestamp,
    /// Who, on what, with which settings.
    pub peer: String,
    /// `single`, one job a request, or `bulk`.
    pub mode: String,
    /// How many jobs.
    pub jobs: u64,
    /// Jobs a second.
    pub per_second: u64,
}

/// A record that a run writes its figures to, as they become known.
#[derive(Debug, Clone)]
pub struct Recording {
    path: PathBuf,
    record: Record,
}

impl Record {
    /// One without figures.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            schema: SCHEMA,
            runs: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the file cannot be read, is none, or has another schema.
    pub fn read(path: &Path) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let path = path.to_owned();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(source) => {
                return Err(Error::Io {
                    doing: "read",
                    path,
                    source,
                });
            }
        };
        match serde_json::from_slice(&text) {
            Ok(Head { schema: SCHEMA }) => {}
            Ok(Head { schema: found }) => return Err(Error::Schema { path, found }),
            Err(source) => return Err(Error::Form { path, source }),
        }
        serde_json::from_slice(&text).map_err(|source| Error::Form { path, source })
    }

    /// Adds a figure to `run`, which may have some already, and takes the older one of its name away.
    fn put(&mut self, run: &Run, figure: &Figure) {
        for run in &mut self.runs {
            run.figures.retain(|older| older.name != figure.name);
        }
        let same = |known: &&mut Run| known.at == run.at && known.build == run.build;
        let figure = shortened(figure);
        match self.runs.iter_mut().find(same) {
            Some(known) => known.figures.push(figure),
            None => self.runs.push(Run {
                figures: vec![figure],
                ..run.clone()
            }),
        }
        self.runs.retain(|run| !run.figures.is_empty());
    }

    fn write(&self, path: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(self).expect("a record is JSON");
        text.push('\n');
        let beside = path.with_extension("new");
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
        written.map_err(|source| Error::Io {
            doing: "write",
            path: path.to_owned(),
            source,
        })
    }
}

impl Recording {
    /// Opens the record, or begins one. It is written at once: that it cannot be should be known before
    /// anything is measured.
    ///
    /// # Errors
    /// When the file cannot be read or written, is no record, or has another schema.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let record = match Record::read(path) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Record::empty()
            }
            read => read?,
        };
        record.write(path)?;
        Ok(Self {
            path: path.to_owned(),
            record,
        })
    }

    /// Writes the figure of `run`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn put(&mut self, run: &Run, figure: &Figure) -> Result<(), Error> {
        self.record.put(run, figure);
        self.record.write(&self.path)
    }
}

/// The figure with [`DIGITS`] digits.
fn shortened(figure: &Figure) -> Figure {
    let short = |value: f64| {
        let text = format!("{value:.*e}", DIGITS - 1);
        text.parse().expect("a number that was just written")
    };
    Figure {
        value: short(figure.value),
        ceiling: short(figure.ceiling),
        ratio: short(figure.ratio),
        spread: short(figure.spread),
        ceiling_spread: short(figure.ceiling_spread),
        ..figure.clone()
    }
}

#[cfg(test)]
pub(super) mod tests;
