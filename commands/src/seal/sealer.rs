//! The sealer: makes seals, as long as it is in office.
//!
//! It follows the journal, and seals when there are enough commits or the first of them has waited long
//! enough. Its checkpoint is the last seal: a new sealer reads on behind it. Two that both believe to be
//! in office make no seal twice, because a seal is taken only as the one behind the last.
//!
//! It seals what stands there, whether that is a commit or not; only over a missing position it does
//! not go: that history is lost, and no seal shall say otherwise.

use std::sync::Arc;
use std::time::Duration;

use domain::{Position, Sha256};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::{AppendSealError, COMMITS_MAX, RawCommit, RawTail, Seal, SealKeys, Seals, tree};
use crate::Clock;
use crate::journal::{BoxError, ReadError};
use crate::office::Office;

/// How often it is measured how far the seals are behind the journal.
const MEASURED_EVERY: Duration = Duration::from_secs(5);

/// The first and the longest wait after an error; each is twice the one before.
const RETRY_MS: (u64, u64) = (250, 30_000);

/// When a seal is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Commits of one seal, up to [`COMMITS_MAX`].
    pub commits_max: usize,
    /// How long a commit waits for its seal.
    pub wait_max: Duration,
}

/// What the sealer works with.
#[derive(Clone)]
pub struct Parts {
    /// What is sealed.
    pub journal: Arc<dyn RawTail>,
    /// Where the seals go.
    pub seals: Arc<dyn Seals>,
    /// Who signs them.
    pub keys: Arc<dyn SealKeys>,
    /// Who may.
    pub office: Arc<dyn Office>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The one who makes seals.
pub struct Sealer {
    parts: Parts,
    settings: Settings,
}

/// Why a term ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the office was lost")]
    Lost,
    #[error("another has sealed")]
    Overtaken,
    #[error("enter the office")]
    Enter(#[source] BoxError),
    #[error("find the last seal")]
    Read(#[from] ReadError),
    #[error("the journal ended")]
    NoMoreCommits,
    #[error(
        "nothing stands at `{missing}` of the journal, though something stands at `{found}`: history is lost, and nothing behind it is sealed"
    )]
    Gap { missing: Position, found: Position },
    #[error("find the key that signs seals")]
    Key(#[source] BoxError),
    #[error("keep the seal")]
    Keep(#[source] BoxError),
}

/// What was read and is not sealed yet.
struct Term<'a> {
    sealer: &'a Sealer,
    last: Option<Seal>,
    fingerprints: Vec<Sha256>,
    /// Since when the first of them waits.
    since: Instant,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            commits_max: 1_000,
            wait_max: Duration::from_secs(60),
        }
    }
}

impl Sealer {
    /// A sealer over these parts.
    #[must_use]
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let commits_max = settings.commits_max.clamp(1, COMMITS_MAX);
        Self {
            parts,
            settings: Settings {
                commits_max,
                ..settings
            },
        }
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut retry_ms = RETRY_MS.0;
        let mut sealed = 0;
        loop {
            let (ended, sealed_now) = self.term().await;
            if sealed_now > sealed {
                retry_ms = RETRY_MS.0;
                sealed = sealed_now;
            }
            match ended {
                Ended::Lost | Ended::Overtaken => {
                    tracing::info!(reason = %ended, "sealing stops here")
                }
                Ended::Gap { .. } => {
                    tracing::error!(error = %ended, "the journal cannot be sealed")
                }
                Ended::Enter(_)
                | Ended::Read(_)
                | Ended::NoMoreCommits
                | Ended::Key(_)
                | Ended::Keep(_) => {
                    tracing::warn!(
                        error = &ended as &dyn std::error::Error,
                        "sealing begins again"
                    );
                }
            }
            tokio::time::sleep(Duration::from_millis(retry_ms)).await;
            retry_ms = (retry_ms * 2).min(RETRY_MS.1);
        }
    }

    /// One stay in office; why it ended, and how far the journal was sealed then.
    async fn term(&self) -> (Ended, u64) {
        let office = match self.parts.office.enter().await {
            Ok(office) => office,
            Err(error) => return (Ended::Enter(error), 0),
        };
        let last = match self.parts.seals.last().await {
            Ok(last) => last,
            Err(error) => return (error.into(), 0),
        };
        let mut term = Term {
            sealer: self,
            last,
            fingerprints: Vec::new(),
            since: Instant::now(),
        };
        let ended = tokio::select! {
            ended = term.seal_all() => ended,
            () = office.lost.cancelled() => Ended::Lost,
        };
        (ended, term.sealed().0)
    }
}

impl Term<'_> {
    async fn seal_all(&mut self) -> Ended {
        let mut commits = self.sealer.parts.journal.follow_raw(self.read());
        let mut measured = tokio::time::interval(MEASURED_EVERY);
        loop {
            let due = self.since + self.sealer.settings.wait_max;
            let done = tokio::select! {
                commit = commits.next() => match commit {
                    Some(commit) => self.take(&commit).await,
                    None => Err(Ended::NoMoreCommits),
                },
                () = tokio::time::sleep_until(due), if !self.fingerprints.is_empty() => self.seal().await,
                _ = measured.tick() => {
                    self.measure().await;
                    Ok(())
                }
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    async fn take(&mut self, commit: &RawCommit) -> Result<(), Ended> {
        let missing = self.read().next();
        if commit.position != missing {
            let found = commit.position;
            return Err(Ended::Gap { missing, found });
        }
        if self.fingerprints.is_empty() {
            self.since = Instant::now();
        }
        self.fingerprints.push(tree::fingerprint(commit));
        if self.fingerprints.len() == self.sealer.settings.commits_max {
            self.seal().await?;
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    async fn measure(&self) {
        // One that does not answer now is measured the next time.
        if let Ok(end) = self.sealer.parts.journal.raw_end().await {
            let unsealed = end.0.saturating_sub(self.sealed().0);
            metrics::gauge!("ledgerline_unsealed_commits").set(unsealed as f64);
        }
    }

    async fn seal(&mut self) -> Result<(), Ended> {
        let Parts {
            seals, keys, clock, ..
        } = &self.sealer.parts;
        let key = keys.signing().map_err(Ended::Key)?;
        let seal = Seal::make(self.last.as_ref(), &self.fingerprints, clock.now(), &key);
        match seals.append(seal.clone()).await {
            Ok(()) => {}
            Err(AppendSealError::Overtaken) => return Err(Ended::Overtaken),
            Err(error @ AppendSealError::Unavailable(_)) => return Err(Ended::Keep(error.into())),
        }
        tracing::debug!(number = seal.number, last = seal.last.0, "sealed");
        self.fingerprints.clear();
        self.last = Some(seal);
        Ok(())
    }

    fn sealed(&self) -> Position {
        self.last.as_ref().map_or(Position::START, |seal| seal.last)
    }

    fn read(&self) -> Position {
        Position(self.sealed().0 + self.fingerprints.len() as u64)
    }
}

#[cfg(test)]
mod tests;
