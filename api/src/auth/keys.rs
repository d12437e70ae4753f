//! The keys that tokens are checked with, and the one that signs them.
//!
//! A key is found by its `kid` as an exact string in a map in memory: a `kid` is never a path, never
//! an address, and nothing is fetched for it.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey};

/// The public keys that are in force, by `kid`. A key that is not among them was never, or is no
/// longer, trusted.
#[derive(Clone, Default)]
pub struct Keys(HashMap<Box<str>, DecodingKey>);

/// The private key that mints tokens.
#[derive(Clone)]
pub struct SigningKey {
    pub(super) kid: String,
    pub(super) key: EncodingKey,
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("key `{kid}` is no Ed25519 key in PEM")]
pub struct KeyError {
    /// Which key.
    pub kid: String,
    #[source]
    source: jsonwebtoken::errors::Error,
}

impl Keys {
    /// Keys from pairs of `kid` and SPKI PEM text.
    ///
    /// # Errors
    /// When a text is no Ed25519 public key.
    pub fn from_public_pems<K, P>(pems: impl IntoIterator<Item = (K, P)>) -> Result<Self, KeyError>
    where
        K: Into<String>,
        P: AsRef<[u8]>,
    {
        let key = |(kid, pem): (K, P)| {
            let kid = kid.into();
            match DecodingKey::from_ed_pem(pem.as_ref()) {
                Ok(key) => Ok((kid.into_boxed_str(), key)),
                Err(source) => Err(KeyError { kid, source }),
            }
        };
        pems.into_iter()
            .map(key)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there is no key, so that no token can pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, kid: &str) -> Option<&DecodingKey> {
        self.0.get(kid)
    }
}

impl SigningKey {
    /// A key from its `kid` and PKCS#8 PEM text.
    ///
    /// # Errors
    /// When the text is no Ed25519 private key.
    pub fn from_private_pem(
        kid: impl Into<String>,
        pem: impl AsRef<[u8]>,
    ) -> Result<Self, KeyError> {
        let kid = kid.into();
        match EncodingKey::from_ed_pem(pem.as_ref()) {
            Ok(key) => Ok(Self { kid, key }),
            Err(source) => Err(KeyError { kid, source }),
        }
    }
}

/// Names only: not even a public key belongs in a log.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
