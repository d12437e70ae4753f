//! The journal and its seals as an auditor sees them: what is stored, read and nothing else. No
//! stream is made and no setting mended here, so it also works on a copy, and with a user who may
//! only read.

use std::path::Path;

use anyhow::Context as _;
use commands::ReadError;
use commands::seal::proof::Proof;
use commands::seal::verify::{Evidence, Report, Verifier};
use commands::seal::{PublicKeys, RawCommit, RawJournal as _, Seal, Seals as _};
use domain::Position;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use infra::nats::{self, JetStreamRawJournal, JetStreamSeals};

/// A connection to a journal and its seals.
pub struct Audit {
    journal: JetStreamRawJournal,
    seals: JetStreamSeals,
}

impl Audit {
    /// Connects to NATS as a user of the journal's account.
    ///
    /// # Errors
    /// When no server takes the connection.
    pub async fn open(nats: &str) -> anyhow::Result<Self> {
        Ok(Self::on(nats::connect(nats, "ledgerline-audit").await?))
    }

    /// The same on a connection.
    #[must_use]
    pub fn on(client: nats::Client) -> Self {
        Self {
            journal: JetStreamRawJournal::new(client.clone(), nats::journal::Settings::default()),
            seals: JetStreamSeals::of(client),
        }
    }

    /// Compares the journal with its chains, its seals, and the seals in `against`; `moved` is told
    /// how far it is, of how far.
    ///
    /// # Errors
    /// When something cannot be read; what differs is no error.
    pub async fn verify(
        &self,
        keys: &Path,
        against: Option<&Path>,
        moved: impl Fn(Position, Position),
    ) -> anyhow::Result<Report> {
        let mut evidence = self.evidence(infra::seals::public_keys(keys)?).await?;
        if let Some(against) = against {
            evidence.outside = infra::seals::read_files(against)?;
        }
        let head = self.head().await?;
        let mut verifier = Verifier::new(evidence);
        let mut commits = self.commits(head);
        while let Some(commit) = commits.try_next().await? {
            verifier.take(&commit);
            moved(commit.position, head);
        }
        Ok(verifier.finish(head))
    }

    /// The seals, and who may have signed them. To be asked for before the journal's head: what they are
    /// of then stands in the journal.
    ///
    /// # Errors
    /// When the seals cannot be read; what stands there and is none is no error.
    pub async fn evidence(&self, keys: PublicKeys) -> anyhow::Result<Evidence> {
        let mut evidence = Evidence {
            keys,
            ..Evidence::default()
        };
        let mut seals = self.seals.read(0);
        while let Some(seal) = seals.next().await {
            match seal {
                Ok(seal) => evidence.seals.push(seal),
                Err(ReadError::Unreadable { position, reason }) => {
                    evidence.unreadable.push((position.0, reason));
                }
                Err(error @ ReadError::Unavailable(_)) => return Err(error.into()),
            }
        }
        Ok(evidence)
    }

    /// Where the journal ends.
    ///
    /// # Errors
    /// When NATS does not answer.
    pub async fn head(&self) -> anyhow::Result<Position> {
        Ok(self.journal.raw_head().await?)
    }

    /// Everything that stands in the journal up to `head`.
    #[must_use]
    pub fn commits(&self, head: Position) -> BoxStream<'static, Result<RawCommit, ReadError>> {
        self.journal.read_raw(Position::START, head)
    }

    /// Every seal.
    #[must_use]
    pub fn seals(&self) -> BoxStream<'_, Result<Seal, ReadError>> {
        self.seals.read(0)
    }

    /// The proof that what stands at `position` was sealed; none where it is not sealed yet.
    ///
    /// # Errors
    /// When something cannot be read, or was changed.
    pub async fn prove(&self, position: Position) -> anyhow::Result<Option<Proof>> {
        let mut seals = self.seals.read(0);
        while let Some(seal) = seals.try_next().await? {
            if seal.covers(position) {
                let before = Position(seal.first.0 - 1);
                let range = self.journal.read_raw(before, seal.last);
                let range: Vec<RawCommit> = range.try_collect().await?;
                let proof = Proof::make(seal, &range, position).context("prove a commit")?;
                return Ok(Some(proof));
            }
        }
        Ok(None)
    }
}
