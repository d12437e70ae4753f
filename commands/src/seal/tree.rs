//! The tree of a seal: RFC 9162's Merkle tree with SHA-256 over the commits of a range.
//!
//! A commit goes into it by its *fingerprint*, the SHA-256 of everything that this program reads of
//! its message: position (8 bytes, big-endian), and stream, command, chain, trace and payload, each
//! behind its length (4 bytes, big-endian). So a leaf is `SHA-256(0 ‖ fingerprint)` and a node
//! `SHA-256(1 ‖ left ‖ right)`. `scripts/check-proof` does the same without any code of ours.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof, RootHash};
use domain::Sha256;
use sha2::Digest as _;

use super::RawCommit;

type Tree = MemoryBackedTree<sha2::Sha256, [u8; 32]>;

/// The fingerprint of a commit.
#[must_use]
pub fn fingerprint(commit: &RawCommit) -> Sha256 {
    let mut hasher = sha2::Sha256::new();
    hasher.update(commit.position.0.to_be_bytes());
    for part in [
        commit.stream.as_bytes(),
        commit.command.as_bytes(),
        commit.chain.as_bytes(),
        commit.trace.as_bytes(),
        &commit.payload,
    ] {
        let length = u32::try_from(part.len()).expect("a message has at most 8 MiB");
        hasher.update(length.to_be_bytes());
        hasher.update(part);
    }
    Sha256(hasher.finalize().into())
}

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// The part of a fingerprint that a seal carries.
#[must_use]
pub fn mark(fingerprint: &Sha256) -> u32 {
    let [a, b, c, d, ..] = fingerprint.0;
    u32::from_be_bytes([a, b, c, d])
}

/// The root over all of them. Each node is made once, where the tree that proofs are made of makes the whole way
/// from each new leaf to the top: six times the work for a seal of a thousand.
#[must_use]
pub fn root(fingerprints: &[Sha256]) -> Sha256 {
    // The roots of whole trees, each of half as many leaves as the one before it, or fewer.
    let mut roots: Vec<(u64, Sha256)> = Vec::new();
    for fingerprint in fingerprints {
        let (mut leaves, mut right) = (1, hash_of(0, &[&fingerprint.0]));
        while let Some((_, left)) = roots.pop_if(|(before, _)| *before == leaves) {
            right = hash_of(1, &[&left.0, &right.0]);
            leaves *= 2;
        }
        roots.push((leaves, right));
    }
    let roots = roots.into_iter().rev().map(|(_, root)| root);
    let top = roots.reduce(|right, left| hash_of(1, &[&left.0, &right.0]));
    top.unwrap_or_else(|| sha256(b""))
}

fn hash_of(kind: u8, parts: &[&[u8]]) -> Sha256 {
    let mut hasher = sha2::Sha256::new_with_prefix([kind]);
    parts.iter().for_each(|part| hasher.update(part));
    Sha256(hasher.finalize().into())
}

/// The hashes beside the way from the leaf at `index` to the root, from the leaf upwards. None where
/// there is no such leaf.
#[must_use]
pub fn path(fingerprints: &[Sha256], index: usize) -> Option<Vec<Sha256>> {
    if index >= fingerprints.len() {
        return None;
    }
    let proof = of(fingerprints).prove_inclusion(index);
    let (hashes, _) = proof.as_bytes().as_chunks::<32>();
    Some(hashes.iter().copied().map(Sha256).collect())
}

/// Whether `path` leads from `fingerprint`, as leaf `index` of `leaves`, to `root`.
#[must_use]
pub fn leads(
    fingerprint: &Sha256,
    index: u64,
    leaves: u64,
    path: &[Sha256],
    root: &Sha256,
) -> bool {
    let bytes: Vec<u8> = path.iter().flat_map(|hash| hash.0).collect();
    let root = RootHash::<sha2::Sha256>::new(root.0.into(), leaves);
    InclusionProof::try_from_bytes(bytes)
        .is_ok_and(|proof| root.verify_inclusion(&fingerprint.0, index, &proof).is_ok())
}

fn of(fingerprints: &[Sha256]) -> Tree {
    let mut tree = Tree::new();
    for fingerprint in fingerprints {
        tree.push(fingerprint.0);
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprints(count: u8) -> Vec<Sha256> {
        (0..count).map(|number| Sha256([number; 32])).collect()
    }

    #[test]
    fn the_root_is_the_one_of_rfc_9162() {
        let leaf = |number: u8| sha256(&[&[0], &[number; 32][..]].concat());
        let node = |left: Sha256, right: Sha256| sha256(&[&[1], &left.0[..], &right.0].concat());
        assert_eq!(root(&fingerprints(1)), leaf(0));
        let five = node(
            node(node(leaf(0), leaf(1)), node(leaf(2), leaf(3))),
            leaf(4),
        );
        assert_eq!(root(&fingerprints(5)), five);
    }

    #[test]
    fn the_root_is_that_of_the_tree_that_proofs_are_made_of() {
        for count in 0..=130 {
            let all = fingerprints(count);
            let of_tree = Sha256((*of(&all).root().as_bytes()).into());
            assert_eq!(root(&all), of_tree, "of {count}");
        }
    }

    #[test]
    fn every_leaf_has_a_path_and_no_other_leaf_has_it() {
        for count in [1, 2, 3, 7, 8, 33] {
            let all = fingerprints(count);
            let top = root(&all);
            for index in 0..count {
                let path = path(&all, usize::from(index)).expect("it is there");
                let leaves = u64::from(count);
                for other in 0..count {
                    let found = leads(
                        &all[usize::from(other)],
                        u64::from(index),
                        leaves,
                        &path,
                        &top,
                    );
                    assert_eq!(found, other == index, "{other} at {index} of {count}");
                }
            }
        }
        assert_eq!(path(&fingerprints(3), 3), None);
    }

    #[test]
    fn the_parts_of_a_commit_cannot_flow_into_one_another() {
        let commit = |stream: &str, command: &str| RawCommit {
            position: domain::Position(1),
            stream: stream.to_owned(),
            command: command.to_owned(),
            chain: String::new(),
            trace: String::new(),
            payload: bytes::Bytes::new(),
        };
        assert_ne!(
            fingerprint(&commit("ab", "c")),
            fingerprint(&commit("a", "bc"))
        );
    }
}
