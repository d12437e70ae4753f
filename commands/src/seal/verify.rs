//! Verification: a journal against its own chains, its seals, and seals that were kept elsewhere.
//!
//! It takes the messages as they are stored, one after the other, so it works on a server, a file or a
//! vector alike. Memory: a line for each stream, the seals, and one seal's range.
//!
//! What is found, and by what:
//! - in a sealed range, every difference, at its very position, by root and marks;
//! - behind the last seal, what breaks a chain, a stream's version, or the row of positions. A history
//!   that was cut off behind the last seal, or whose last commits on a stream were taken out and the
//!   rest moved up, looks like one that never went further;
//! - seals that were cut off, only by seals that were kept elsewhere.

mod seals;

use std::collections::HashMap;

use domain::{Chain, Commit, Position, Sha256, StreamId};
use sha2::Digest as _;

use super::key::SignatureFault;
use super::{PublicKeys, RawCommit, Seal, tree};
use crate::chain;

/// How many differences are told one by one: whoever has more has lost more than a commit.
pub const FINDINGS_MAX: usize = 100;

/// What a journal is compared with.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The seals that are kept beside it, all of them.
    pub seals: Vec<Seal>,
    /// The numbers of those that could not be read, and why not.
    pub unreadable: Vec<(u64, String)>,
    /// Seals that were kept elsewhere, in the order of their numbers; not necessarily all.
    pub outside: Vec<Seal>,
    /// Who may have signed them.
    pub keys: PublicKeys,
}

/// What was compared, and what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where the journal ends.
    pub head: Position,
    /// How many messages stand in it.
    pub commits: u64,
    /// On how many streams.
    pub streams: u64,
    /// How many seals there are.
    pub seals: u64,
    /// Up to where they reach; what stands behind it is checked by its chains only.
    pub sealed_to: Position,
    /// The hash over every commit's fingerprint: copies of one journal have the same.
    pub digest: Sha256,
    /// How many differences there are.
    pub differing: u64,
    /// The first of them, by position.
    pub findings: Vec<Finding>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where; nothing where it is a seal that is wrong, and not the journal.
    pub position: Option<Position>,
    /// On which stream, where that can be told.
    pub stream: Option<String>,
    /// Of which seal, where it has to do with one.
    pub seal: Option<u64>,
    /// What.
    pub difference: Difference,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Nothing stands there, up to and with `last`.
    #[error("nothing stands there, up to `{last}`")]
    Missing {
        /// The last position without a message.
        last: Position,
    },
    /// It stands behind a later position, or there are two.
    #[error("it stands behind `{behind}`")]
    Order {
        /// Which one came before it.
        behind: Position,
    },
    /// Whatever stands there is no commit.
    #[error("what stands there is no commit: {reason}")]
    NoCommit {
        /// Why not.
        reason: String,
    },
    /// Payload and chain do not follow from the commit before.
    #[error("its chain does not follow from its payload and the commit before it on its stream")]
    Chain,
    /// The stream has lost or gained events before it.
    #[error("its stream has `{expected}` events before it, and it says `{found}`")]
    Version {
        /// How many there are.
        expected: u64,
        /// How many it says.
        found: u64,
    },
    /// Another commit was sealed at this position.
    #[error("it is not what was sealed at this position")]
    Altered,
    /// The range is not the one that was sealed, though each commit looks as if.
    #[error("the range up to `{last}` is not what was sealed")]
    Range {
        /// The last position of the range.
        last: Position,
    },
    /// The journal ends before the seals do.
    #[error("the journal ends here, and it was sealed up to `{last}`")]
    Truncated {
        /// How far it was sealed.
        last: Position,
    },
    /// A seal stands where another one should.
    #[error("seal `{expected}` should stand in its place")]
    SealOrder {
        /// The number that should.
        expected: u64,
    },
    /// Whatever stands there is no seal.
    #[error("what stands in its place is no seal: {reason}")]
    NoSeal {
        /// Why not.
        reason: String,
    },
    /// A seal that its key has not signed.
    #[error("{0}")]
    SealSignature(SignatureFault),
    /// A seal that does not name the one before it.
    #[error("it is not linked to the seal before it")]
    SealLink,
    /// A seal that does not begin behind the one before it, or has other marks than positions.
    #[error("its range is not the one behind the seal before it")]
    SealRange,
    /// The seal that was kept elsewhere is another one.
    #[error("it is not the seal of this number that was kept elsewhere")]
    SealDiffers,
    /// The seal that was kept elsewhere is the only one left.
    #[error("it was kept elsewhere and is gone here")]
    SealGone,
}

/// A verification under way.
#[derive(Debug)]
pub struct Verifier {
    seals: std::iter::Peekable<std::vec::IntoIter<Seal>>,
    /// What stands in the range of the next seal, by its place in it.
    range: Vec<Option<(Sha256, String)>>,
    tails: HashMap<String, Tail>,
    reached: Position,
    digest: sha2::Sha256,
    report: Report,
}

/// How a stream ends, so far.
#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    chain: Chain,
    /// None behind something that could not be read.
    version: Option<u64>,
}

impl Verifier {
    /// Judges the seals, and begins before the first commit.
    #[must_use]
    pub fn new(evidence: Evidence) -> Self {
        let (seals, findings) = seals::judged(evidence);
        let mut verifier = Self {
            range: Vec::new(),
            tails: HashMap::new(),
            reached: Position::START,
            digest: sha2::Sha256::new(),
            report: Report {
                head: Position::START,
                commits: 0,
                streams: 0,
                seals: seals.len() as u64,
                sealed_to: seals.last().map_or(Position::START, |seal| seal.last),
                digest: Sha256::default(),
                differing: 0,
                findings: Vec::new(),
            },
            seals: seals.into_iter().peekable(),
        };
        for finding in findings {
            verifier.found(finding);
        }
        verifier
    }

    /// Takes what is stored next.
    pub fn take(&mut self, commit: &RawCommit) {
        let position = commit.position;
        let fingerprint = tree::fingerprint(commit);
        self.report.commits += 1;
        self.digest.update(fingerprint.0);
        if position <= self.reached {
            let behind = self.reached;
            return self.found_at(commit, Difference::Order { behind });
        }
        if position > self.reached.next() {
            self.missing(Position(position.0 - 1));
        }
        self.reached = position;
        self.follow(commit);
        self.collect(commit, fingerprint);
    }

    /// Ends where the journal says that it ends.
    #[must_use]
    pub fn finish(mut self, head: Position) -> Report {
        if head > self.reached {
            self.missing(head);
        }
        self.report.head = self.reached.max(head);
        self.report.digest = Sha256(self.digest.clone().finalize().into());
        self.report.streams = self.tails.len() as u64;
        if self
            .seals
            .peek()
            .is_some_and(|seal| seal.first <= self.reached)
        {
            self.close();
        }
        if let Some(seal) = self.seals.peek() {
            let seal = seal.number;
            self.truncated(seal);
        }
        let by_position = |finding: &Finding| (finding.position, finding.seal);
        self.report.findings.sort_by_key(by_position);
        self.report
    }

    /// Chain and version of the commit's stream.
    fn follow(&mut self, commit: &RawCommit) {
        let tail = self.tails.get(&commit.stream).copied();
        let tail = tail.unwrap_or(Tail {
            chain: Chain::default(),
            version: Some(0),
        });
        let next = match decoded(commit) {
            Err(reason) => {
                self.found_at(commit, Difference::NoCommit { reason });
                Tail {
                    chain: commit.chain.parse().unwrap_or(tail.chain),
                    version: None,
                }
            }
            Ok(read) => {
                // By its text: other digits for the same bytes are an edit too.
                if chain::extend(tail.chain, &commit.payload).to_string() != commit.chain {
                    self.found_at(commit, Difference::Chain);
                }
                let found = read.payload.version;
                if let Some(expected) = tail.version.filter(|expected| *expected != found) {
                    self.found_at(commit, Difference::Version { expected, found });
                }
                Tail {
                    chain: read.chain,
                    version: Some(read.version_after()),
                }
            }
        };
        self.tails.insert(commit.stream.clone(), next);
    }

    /// Puts the commit into the range of its seal.
    fn collect(&mut self, commit: &RawCommit, fingerprint: Sha256) {
        let position = commit.position;
        while self.seals.peek().is_some_and(|seal| seal.last < position) {
            self.close();
        }
        let Some(seal) = self.seals.peek().filter(|seal| seal.covers(position)) else {
            return;
        };
        let index = (position.0 - seal.first.0) as usize;
        if self.range.len() <= index {
            self.range.resize(index + 1, None);
        }
        self.range[index] = Some((fingerprint, commit.stream.clone()));
        if seal.last == position {
            self.close();
        }
    }

    /// Compares what was collected with its seal.
    fn close(&mut self) {
        let range = std::mem::take(&mut self.range);
        let Some(seal) = self.seals.next() else {
            return;
        };
        let found_before = self.report.differing;
        let all: Option<Vec<Sha256>> = range.iter().map(|there| Some(there.as_ref()?.0)).collect();
        let all = all.filter(|all| all.len() == seal.marks.len());
        if all.as_ref().is_some_and(|all| tree::root(all) == seal.root) {
            return;
        }
        for (index, (there, mark)) in range.iter().zip(&seal.marks).enumerate() {
            let Some((fingerprint, stream)) = there else {
                continue;
            };
            let position = Position(seal.first.0 + index as u64);
            if tree::mark(fingerprint) != *mark && !self.knows(position) {
                self.found(Finding {
                    position: Some(position),
                    stream: Some(stream.clone()),
                    seal: Some(seal.number),
                    difference: Difference::Altered,
                });
            }
        }
        let is_explained = self.report.differing > found_before || self.knows_any_of(&seal);
        if self.reached >= seal.last && !is_explained {
            self.found(Finding {
                position: Some(seal.first),
                stream: None,
                seal: Some(seal.number),
                difference: Difference::Range { last: seal.last },
            });
        } else if self.reached < seal.last {
            self.truncated(seal.number);
        }
    }

    fn truncated(&mut self, seal: u64) {
        // All seals behind this one are of positions that are not there either.
        self.seals = Vec::new().into_iter().peekable();
        self.found(Finding {
            position: Some(self.reached.next()),
            stream: None,
            seal: Some(seal),
            difference: Difference::Truncated {
                last: self.report.sealed_to,
            },
        });
    }

    fn missing(&mut self, last: Position) {
        self.found(Finding {
            position: Some(self.reached.next()),
            stream: None,
            seal: None,
            difference: Difference::Missing { last },
        });
    }

    fn found_at(&mut self, commit: &RawCommit, difference: Difference) {
        self.found(Finding {
            position: Some(commit.position),
            stream: Some(commit.stream.clone()),
            seal: None,
            difference,
        });
    }

    fn found(&mut self, finding: Finding) {
        self.report.differing += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        }
    }

    fn knows(&self, position: Position) -> bool {
        let mut findings = self.report.findings.iter();
        findings.any(|finding| finding.position == Some(position))
    }

    fn knows_any_of(&self, seal: &Seal) -> bool {
        let positions = self
            .report
            .findings
            .iter()
            .filter_map(|finding| finding.position);
        positions.into_iter().any(|position| seal.covers(position))
    }
}

fn decoded(raw: &RawCommit) -> Result<Commit, String> {
    let stream: StreamId = raw
        .stream
        .parse()
        .map_err(|error| format!("its stream {error}"))?;
    let chain: Chain = raw
        .chain
        .parse()
        .map_err(|error| format!("its chain {error}"))?;
    let commit = Commit::decode(raw.position, stream, chain, None, &raw.payload);
    let commit = commit.map_err(|error| format!("its payload is none: {error}"))?;
    let is_unnamed = raw.command.is_empty() && commit.id().is_drawn();
    if !is_unnamed && commit.id().to_string() != raw.command {
        return Err(format!(
            "its command is `{}` outside and `{}` inside",
            raw.command,
            commit.id()
        ));
    }
    Ok(commit)
}

#[cfg(test)]
mod tests;
