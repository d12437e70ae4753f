//! Everything that is wrong with a history, each with what and where.

mod calls;
mod jobs;
mod order;
mod schedules;

use std::collections::HashMap;
use std::fmt;

use crate::{Call, Commit, History, Message, Outcome};

/// The principals as which the program itself acts: their commits have no call.
pub const OWN: [&str; 2] = ["dispatcher", "reactor"];

/// What is said of a call whose commit is missing.
const LOST: &str = "was acknowledged and is lost";

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: the position in the journal, or the key of a call.
    pub place: Place,
    /// What.
    pub what: String,
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A commit.
    Position(u64),
    /// A call.
    Call(String),
    /// An aggregate.
    Stream(String),
}

/// Judges `journal` by itself and by what clients were told.
#[must_use]
pub fn judge(history: &History, journal: &[Message]) -> Vec<Finding> {
    let (commits, mut findings) = decoded(journal);
    findings.extend(by_themselves(&commits));
    findings.extend(calls::findings(history, &commits));
    findings
}

/// Judges `journal` by itself, where nobody has written down what clients were told.
#[must_use]
pub fn of_journal(journal: &[Message]) -> Vec<Finding> {
    let (commits, mut findings) = decoded(journal);
    findings.extend(by_themselves(&commits));
    findings
}

fn by_themselves(commits: &[Commit]) -> Vec<Finding> {
    let mut findings = order::findings(commits);
    findings.extend(jobs::findings(commits));
    findings.extend(schedules::findings(commits));
    findings
}

fn decoded(journal: &[Message]) -> (Vec<Commit>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut commits = Vec::new();
    for message in journal {
        match Commit::of(message) {
            Ok(commit) => commits.push(commit),
            Err(error) => findings.push(Finding::at(message.sequence, format!("{error:#}"))),
        }
    }
    (commits, findings)
}

/// The jobs that the journal has an end of, by how they ended.
#[must_use]
pub fn job_ends(journal: &[Message]) -> std::collections::BTreeMap<String, usize> {
    let commits = journal
        .iter()
        .filter_map(|message| Commit::of(message).ok());
    jobs::ends(commits)
}

impl Finding {
    /// Whether it is that something acknowledged is missing.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        self.what == LOST
    }

    fn at(position: u64, what: impl Into<String>) -> Self {
        Self {
            place: Place::Position(position),
            what: what.into(),
        }
    }

    fn of_call(call: &Call, what: impl Into<String>) -> Self {
        Self {
            place: Place::Call(call.asked.key.clone()),
            what: what.into(),
        }
    }

    fn of_stream(stream: &str, what: impl Into<String>) -> Self {
        Self {
            place: Place::Stream(stream.to_owned()),
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Position(position) => write!(f, "position {position}: {}", self.what),
            Place::Call(key) => write!(f, "call {key}: {}", self.what),
            Place::Stream(stream) => write!(f, "{stream}: {}", self.what),
        }
    }
}

/// The commits of each aggregate, in the order of the journal.
fn by_stream(commits: &[Commit]) -> HashMap<&str, Vec<&Commit>> {
    let mut streams: HashMap<&str, Vec<&Commit>> = HashMap::new();
    for commit in commits {
        streams.entry(&commit.stream).or_default().push(commit);
    }
    streams
}

/// Where the commit of a call stands, if it has one.
fn position(call: &Call) -> Option<u64> {
    match call.outcome {
        Outcome::Done { position, .. } => Some(position),
        Outcome::Nothing | Outcome::Seen { .. } | Outcome::Unknown => None,
    }
}
