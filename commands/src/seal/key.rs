//! Keys of seals: Ed25519, as for tokens, in a folder of their own.
//!
//! A seal names its key. A key is retired by adding a newer one: its public half has to stay, since
//! the seals that it has signed are to be checked for ever; its private half should go.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use domain::{Signature, Token};

use super::Seal;

/// A key that signs seals.
#[derive(Debug)]
pub struct SealKey {
    id: Token,
    pair: Ed25519KeyPair,
}

/// The keys that seals are checked with, by their ids.
#[derive(Debug, Clone, Default)]
pub struct PublicKeys {
    by_id: BTreeMap<Token, Vec<u8>>,
}

/// Not the PKCS#8 form of an Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("seal key is not the PKCS#8 form of an Ed25519 key")]
pub struct InvalidKey;

/// Why a signature proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is no such key.
    #[error("its key is not known")]
    UnknownKey,
    /// The key has not signed this.
    #[error("its signature is not of its key")]
    Wrong,
}

impl SealKey {
    /// The key with this id, from its private half.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn from_pkcs8(id: Token, der: &[u8]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| InvalidKey)?;
        Ok(Self { id, pair })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Token {
        &self.id
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Signature {
        let signature = self.pair.sign(text);
        let bytes = signature.as_ref().try_into();
        Signature(bytes.expect("an Ed25519 signature has 64 bytes"))
    }
}

impl PublicKeys {
    /// These keys, each with its SPKI form.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (Token, Vec<u8>)>) -> Self {
        Self {
            by_id: keys.into_iter().collect(),
        }
    }

    /// Checks the signature of a seal.
    ///
    /// # Errors
    /// When its key is not known or has not signed it.
    pub fn check(&self, seal: &Seal) -> Result<(), SignatureFault> {
        let key = self
            .by_id
            .get(&seal.key)
            .ok_or(SignatureFault::UnknownKey)?;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(seal.text().as_bytes(), &seal.signature.0)
            .map_err(|_| SignatureFault::Wrong)
    }
}
