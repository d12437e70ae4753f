//! The chain: a value that binds each commit to everything before it on its stream.

use domain::Chain;

/// The chain's value behind `previous` and a commit with `payload`: BLAKE3 of both, one after the other.
#[must_use]
pub fn extend(previous: Chain, payload: &[u8]) -> Chain {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&previous.0).update(payload);
    Chain(*hasher.finalize().as_bytes())
}
