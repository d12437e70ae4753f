//! A sealed history for the tests of this module.

use std::collections::HashMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use domain::{Chain, CommandId, Position, Sha256, Timestamp, Token};
use serde_json::json;
use uuid::Uuid;

use super::proof::{Proof, ProofFault};
use super::verify::{Evidence, Report, Verifier};
use super::{PublicKeys, RawCommit, Seal, SealKey, tree};
use crate::chain;

/// A journal and its seals.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) commits: Vec<RawCommit>,
    pub(crate) seals: Vec<Seal>,
}

/// The key with this id, which is the same in every test.
pub(crate) fn keys(id: &str) -> (SealKey, PublicKeys) {
    let id = Token::new(id).expect("a plain word");
    let mut seed = [7; 32];
    seed[..id.as_str().len()].copy_from_slice(id.as_str().as_bytes());
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any seed will do");
    let public = pair.public_key().as_ref().to_vec();
    let private = pair.to_pkcs8v1().expect("it has a private half");
    let key = SealKey::from_pkcs8(id.clone(), private.as_ref()).expect("it is one");
    (key, PublicKeys::new([(id, public)]))
}

impl History {
    /// `count` commits on some streams, sealed `of_seal` at a time as far as that goes.
    pub(crate) fn of(count: usize, of_seal: usize) -> Self {
        let mut history = Self {
            commits: Vec::new(),
            seals: Vec::new(),
        };
        let mut tails: HashMap<String, (Chain, u64)> = HashMap::new();
        for number in 0..count {
            // Streams of different lengths, none in step with the seals.
            let stream = format!("t.assignment.{}", number * number % 7);
            let (previous, version) = tails.get(&stream).copied().unwrap_or_default();
            // Some of each kind: ids that can come again, and ids that were drawn.
            let is_drawn = number % 3 == 2;
            let command = match is_drawn {
                true => Uuid::from_u128(number as u128 + 1 + (7 << 76)),
                false => Uuid::from_u128(number as u128 + 1),
            };
            let command = CommandId(command);
            assert_eq!(command.is_drawn(), is_drawn);
            let command = command.to_string();
            let payload = json!({
                "commit": command, "at": "2026-01-02T03:04:05Z", "actor": {"principal": "ann"},
                "request": "00".repeat(16), "version": version,
                "events": [{"type": "noted", "v": 1, "data": {"text": number.to_string()}}],
            });
            let payload = bytes::Bytes::from(payload.to_string());
            let chain = chain::extend(previous, &payload);
            tails.insert(stream.clone(), (chain, version + 1));
            history.commits.push(RawCommit {
                position: Position(number as u64 + 1),
                stream,
                command: if is_drawn { String::new() } else { command },
                chain: chain.to_string(),
                trace: String::new(),
                payload,
            });
        }
        let (key, _) = keys("k1");
        for range in history.commits.chunks_exact(of_seal) {
            let fingerprints: Vec<Sha256> = range.iter().map(tree::fingerprint).collect();
            let seal = Seal::make(
                history.seals.last(),
                &fingerprints,
                Timestamp::UNIX_EPOCH,
                &key,
            );
            history.seals.push(seal);
        }
        history
    }

    /// Computes every chain anew, as one would who knows how to.
    pub(crate) fn rechained(mut self) -> Self {
        let mut tails: HashMap<String, Chain> = HashMap::new();
        for commit in &mut self.commits {
            let tail = tails.entry(commit.stream.clone()).or_default();
            *tail = chain::extend(*tail, &commit.payload);
            commit.chain = tail.to_string();
        }
        self
    }

    pub(crate) fn proof(&self, position: Position) -> Result<Proof, ProofFault> {
        let mut seals = self.seals.iter();
        let seal = seals
            .find(|seal| seal.covers(position))
            .expect("it is sealed");
        let range = seal.first.0 as usize - 1..seal.last.0 as usize;
        Proof::make(seal.clone(), &self.commits[range], position)
    }

    /// The whole history with its seals, and those that were kept elsewhere.
    pub(crate) fn verified(&self, outside: &[Seal]) -> Report {
        let mut verifier = Verifier::new(Evidence {
            seals: self.seals.clone(),
            outside: outside.to_vec(),
            keys: keys("k1").1,
            ..Evidence::default()
        });
        for commit in &self.commits {
            verifier.take(commit);
        }
        let head = self
            .commits
            .last()
            .map_or(Position::START, |commit| commit.position);
        verifier.finish(head)
    }
}
