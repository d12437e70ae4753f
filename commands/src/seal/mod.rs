//! Seals: signed statements about ranges of the journal, by which any later change of it is found.
//!
//! The chain of each stream binds a commit to those before it, and whoever can write the journal can
//! also compute the chain anew. A seal holds what stands at a range of positions against that: the
//! root of a Merkle tree over it, signed, and linked to the seal before.
//!
//! - [`tree`]: what is hashed of a commit, the root over many, and the way from one to the root.
//! - [`key`]: who signs, and by which key that is checked.
//! - [`sealer`]: the task that makes seals.
//! - [`verify`]: compares a journal with its chains and its seals, and says where it differs.
//! - [`proof`]: that one commit is in one seal, for somebody who trusts nothing but the seal's key.
//!
//! Everything but the sealer is pure. What a seal cannot say: that a commit was right to be written,
//! and anything at all of what stands behind the last one.

pub mod key;
pub mod proof;
pub mod sealer;
#[cfg(test)]
pub(crate) mod testing;
pub mod tree;
pub mod verify;

use bytes::Bytes;
use domain::{Position, Sha256, Signature, Timestamp, Token};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

pub use self::key::{InvalidKey, PublicKeys, SealKey};

use crate::journal::{BoxError, ReadError};

/// The most commits that one seal may be of: 11 bytes each for the marks, so 110 KB.
pub const COMMITS_MAX: usize = 10_000;

/// One message of the journal as it stands there, whatever that is. Absent headers are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCommit {
    /// Where it stands.
    pub position: Position,
    /// `<tenant>.<category>.<id>`, as in its subject.
    pub stream: String,
    /// The id of the command, as it stands beside the payload; empty where it was drawn for this once.
    pub command: String,
    /// The chain's value at it.
    pub chain: String,
    /// The W3C `traceparent` of the request.
    pub trace: String,
    /// The payload.
    pub payload: Bytes,
}

/// One seal. `signature` is over [`Seal::text`], which every other field is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// From 1, without gaps.
    pub number: u64,
    /// The first position that it is of: the one behind the last of the seal before.
    pub first: Position,
    /// The last one.
    pub last: Position,
    /// The root of the tree over the range.
    pub root: Sha256,
    /// The first four bytes of each commit's fingerprint. The root says *that* a range was changed;
    /// these say *where*.
    pub marks: Vec<u32>,
    /// The hash of the seal before; zeros before the first.
    pub previous: Sha256,
    /// When it was made.
    pub at: Timestamp,
    /// Whose signature it is.
    pub key: Token,
    /// By that key.
    pub signature: Signature,
}

/// The journal as it is stored, as far as it goes now.
pub trait RawJournal: Send + Sync + 'static {
    /// What stands behind `after`, up to and with `to`, in order; what is missing is passed over, and
    /// the stream ends where nothing comes any more.
    fn read_raw(
        &self,
        after: Position,
        to: Position,
    ) -> BoxStream<'static, Result<RawCommit, ReadError>>;

    /// Where the last commit stands.
    fn raw_head(&self) -> BoxFuture<'_, Result<Position, ReadError>>;
}

/// The journal as it is stored, while it grows.
pub trait RawTail: Send + Sync + 'static {
    /// What stands behind `after`, and then whatever comes, in order and for ever; what is missing is
    /// passed over.
    fn follow_raw(&self, after: Position) -> BoxStream<'static, RawCommit>;

    /// Where the last commit stands.
    fn raw_end(&self) -> BoxFuture<'_, Result<Position, ReadError>>;
}

/// Where seals are kept.
pub trait Seals: Send + Sync + 'static {
    /// Writes a seal behind the one before it.
    fn append(&self, seal: Seal) -> BoxFuture<'_, Result<(), AppendSealError>>;

    /// The last seal.
    fn last(&self) -> BoxFuture<'_, Result<Option<Seal>, ReadError>>;

    /// The seals behind the one with the number `after`, to the present end.
    fn read(&self, after: u64) -> BoxStream<'_, Result<Seal, ReadError>>;
}

/// Whoever signs seals.
pub trait SealKeys: Send + Sync + 'static {
    /// The key that signs now.
    ///
    /// # Errors
    /// When there is none that can be used.
    fn signing(&self) -> Result<SealKey, BoxError>;
}

/// Why a seal was not written.
#[derive(Debug, thiserror::Error)]
pub enum AppendSealError {
    /// Another sealer was first: the seals do not end where this one begins.
    #[error("append a seal: another one has come first")]
    Overtaken,
    /// It cannot be told whether it was written: look at the last one.
    #[error("append a seal: no answer")]
    Unavailable(#[source] BoxError),
}

impl Seal {
    /// What is signed, and hashed for the next seal: one line a field.
    #[must_use]
    pub fn text(&self) -> String {
        let marks: Vec<String> = self.marks.iter().map(u32::to_string).collect();
        format!(
            "ledgerline seal 1\nnumber {}\nfirst {}\nlast {}\nroot {}\nmarks {}\nprevious {}\nat {}\nkey {}\n",
            self.number,
            self.first,
            self.last,
            self.root,
            marks.join(","),
            self.previous,
            self.at,
            self.key,
        )
    }

    /// By which the next seal is linked to this one.
    #[must_use]
    pub fn hash(&self) -> Sha256 {
        tree::sha256(self.text().as_bytes())
    }

    /// Seals the commits that have these fingerprints and stand behind `previous`.
    #[must_use]
    pub fn make(
        previous: Option<&Self>,
        fingerprints: &[Sha256],
        at: Timestamp,
        key: &SealKey,
    ) -> Self {
        let before = previous.map_or(Position::START, |seal| seal.last);
        let mut seal = Self {
            number: previous.map_or(1, |seal| seal.number + 1),
            first: before.next(),
            last: Position(before.0 + fingerprints.len() as u64),
            root: tree::root(fingerprints),
            marks: fingerprints.iter().map(tree::mark).collect(),
            previous: previous.map(Self::hash).unwrap_or_default(),
            at,
            key: key.id().clone(),
            signature: Signature([0; 64]),
        };
        seal.signature = key.sign(seal.text().as_bytes());
        seal
    }

    /// Whether `position` is in its range.
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        (self.first..=self.last).contains(&position)
    }
}
