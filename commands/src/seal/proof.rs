//! The proof that one commit is in one seal.
//!
//! A document for somebody who has the seal's public key and nothing else of ours: it has the commit
//! as it stands in the journal, the way from it to the root of its seal's tree, and the seal.

use domain::{Position, Sha256};
use serde::{Deserialize, Serialize};

use super::key::SignatureFault;
use super::{PublicKeys, RawCommit, Seal, tree};

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The commit.
    pub commit: ProvenCommit,
    /// The hashes beside the way from it to the root, from the leaf upwards.
    pub path: Vec<Sha256>,
    /// The seal.
    pub seal: Seal,
}

/// A commit as it stands in the journal, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenCommit {
    /// Where it stands.
    pub position: Position,
    /// `<tenant>.<category>.<id>`.
    pub stream: String,
    /// The id of the command, as it stands beside the payload; empty where it was drawn for this once.
    pub command: String,
    /// The chain's value at it.
    pub chain: String,
    /// The W3C `traceparent` of the request; empty where there was none.
    pub trace: String,
    /// The payload, byte for byte.
    pub payload: String,
}

/// Why there is no proof, or why one proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The range of the seal is not what it was when it was sealed.
    #[error(
        "positions `{first}` to `{last}` are not what seal `{seal}` says: nothing can be proved from them"
    )]
    Changed {
        /// The seal's number.
        seal: u64,
        /// Its first position.
        first: Position,
        /// Its last position.
        last: Position,
    },
    /// The payload is no text.
    #[error("what stands at `{0}` is no commit")]
    NoCommit(Position),
    /// The seal is of other positions.
    #[error("the seal is of other positions")]
    NotCovered,
    /// The path does not lead to the root.
    #[error("the commit is not the one that was sealed")]
    OtherCommit,
    /// The signature does not hold.
    #[error("the seal proves nothing: {0}")]
    Signature(SignatureFault),
}

impl Proof {
    /// Proves what stands at `position`, which `seal` covers, from everything that stands in the seal's
    /// range, in order.
    ///
    /// # Errors
    /// When the range is not what was sealed.
    pub fn make(seal: Seal, range: &[RawCommit], position: Position) -> Result<Self, ProofFault> {
        let fingerprints: Vec<Sha256> = range.iter().map(tree::fingerprint).collect();
        let index = position
            .0
            .checked_sub(seal.first.0)
            .map(|index| index as usize);
        let found =
            index.and_then(|index| Some((range.get(index)?, tree::path(&fingerprints, index)?)));
        match found {
            Some((commit, path)) if tree::root(&fingerprints) == seal.root => Ok(Self {
                commit: ProvenCommit::of(commit)?,
                path,
                seal,
            }),
            Some(_) | None => Err(ProofFault::Changed {
                seal: seal.number,
                first: seal.first,
                last: seal.last,
            }),
        }
    }

    /// Checks everything that the document says.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self, keys: &PublicKeys) -> Result<(), ProofFault> {
        let Self { commit, path, seal } = self;
        if !seal.covers(commit.position) {
            return Err(ProofFault::NotCovered);
        }
        keys.check(seal).map_err(ProofFault::Signature)?;
        let fingerprint = tree::fingerprint(&commit.raw());
        let index = commit.position.0 - seal.first.0;
        let leaves = seal.last.0 - seal.first.0 + 1;
        if tree::leads(&fingerprint, index, leaves, path, &seal.root) {
            Ok(())
        } else {
            Err(ProofFault::OtherCommit)
        }
    }
}

impl ProvenCommit {
    fn of(commit: &RawCommit) -> Result<Self, ProofFault> {
        let payload = str::from_utf8(&commit.payload);
        let payload = payload.map_err(|_| ProofFault::NoCommit(commit.position))?;
        Ok(Self {
            position: commit.position,
            stream: commit.stream.clone(),
            command: commit.command.clone(),
            chain: commit.chain.clone(),
            trace: commit.trace.clone(),
            payload: payload.to_owned(),
        })
    }

    fn raw(&self) -> RawCommit {
        RawCommit {
            position: self.position,
            stream: self.stream.clone(),
            command: self.command.clone(),
            chain: self.chain.clone(),
            trace: self.trace.clone(),
            payload: self.payload.clone().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, keys};
    use super::*;

    #[test]
    fn every_sealed_commit_can_be_proved_and_no_altered_proof_holds() {
        let history = History::of(40, 16);
        let (_, public) = keys("k1");
        for position in (1..=32).map(Position) {
            let proof = history.proof(position).expect("it is sealed");
            assert_eq!(proof.check(&public), Ok(()));
            let written = serde_json::to_string(&proof).expect("it is plain data");
            assert_eq!(
                serde_json::from_str::<Proof>(&written).ok(),
                Some(proof.clone())
            );
            let mut edited = proof.clone();
            edited.commit.payload.push(' ');
            assert_eq!(edited.check(&public), Err(ProofFault::OtherCommit));
            let mut moved = proof.clone();
            moved.commit.position = Position(position.0 % 16 + 1 + (position.0 - 1) / 16 * 16);
            assert_eq!(moved.check(&public), Err(ProofFault::OtherCommit));
            let mut other_root = proof;
            other_root.seal.root = Sha256([1; 32]);
            assert_eq!(
                other_root.check(&public),
                Err(ProofFault::Signature(SignatureFault::Wrong))
            );
        }
    }

    #[test]
    fn nothing_is_proved_from_a_range_that_was_changed() {
        let mut history = History::of(16, 16);
        history.commits[3].trace.push('x');
        let refused = history.proof(Position(9));
        assert!(
            matches!(refused, Err(ProofFault::Changed { seal: 1, .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_key_that_nobody_knows_proves_nothing() {
        let proof = History::of(16, 16)
            .proof(Position(1))
            .expect("it is sealed");
        let (_, other) = keys("k2");
        let fault = ProofFault::Signature(SignatureFault::UnknownKey);
        assert_eq!(proof.check(&other), Err(fault));
    }
}
