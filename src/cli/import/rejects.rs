//! The file of events that could not be taken: one JSON object a line, with reason and place.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use serde::Serialize;

use crate::import::plan::{EventPlace, RejectLine};

/// An event that could not be taken: by the planner, or by the server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Reject {
    /// Where it stands.
    #[serde(flatten)]
    pub(super) place: EventPlace,
    /// The sort of reason, to count by.
    pub(super) reason: String,
    /// The reason in words.
    pub(super) detail: String,
}

impl From<RejectLine> for Reject {
    fn from(line: RejectLine) -> Self {
        Self {
            place: line.place,
            reason: line.reason.to_owned(),
            detail: line.detail,
        }
    }
}

/// Written to by every lane.
pub(super) struct Rejects {
    path: PathBuf,
    file: Mutex<Option<BufWriter<File>>>,
}

impl Rejects {
    /// Begins the file that was asked for. Without one, a file named after the log is begun with
    /// the first reject; an earlier one of that name is emptied now, since it is of another run.
    pub(super) fn at(asked: Option<PathBuf>, log: &Path) -> anyhow::Result<Self> {
        let named = asked.is_some();
        let path = asked.unwrap_or_else(|| {
            let name = log.file_name().unwrap_or_default().to_string_lossy();
            PathBuf::from(format!("{name}.rejects.ndjson"))
        });
        let file = if named || path.exists() {
            Some(create(&path)?)
        } else {
            None
        };
        Ok(Self {
            path,
            file: Mutex::new(file),
        })
    }

    pub(super) fn write(&self, line: &Reject) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line).context("write a reject")?;
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => none.insert(create(&self.path)?),
        };
        file.write_all(&text)
            .with_context(|| format!("write `{}`", self.path.display()))
    }

    /// Writes out what is still in memory.
    pub(super) fn finish(&self) -> anyhow::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *file {
            Some(file) => file
                .flush()
                .with_context(|| format!("write `{}`", self.path.display())),
            None => Ok(()),
        }
    }

    /// Where it is, if it is.
    pub(super) fn path(&self) -> Option<&Path> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.is_some().then_some(self.path.as_path())
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("create `{}`", path.display()))?;
    Ok(BufWriter::new(file))
}
