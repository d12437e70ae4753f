//! The keys that sign and check tokens, or seals: Ed25519, one folder each, two PEM files a key.
//!
//! `<kid>.private.pem` (PKCS#8, mode 0600) signs; every `<kid>.public.pem` (SPKI) in the folder
//! checks. A key is retired by taking its public file away; a new one is added by putting it there.
//! A production server needs only public files: tokens come from elsewhere then.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use domain::Token;
use pem::{EncodeConfig, LineEnding, Pem};

const PUBLIC: &str = ".public.pem";
const PRIVATE: &str = ".private.pem";

/// How many keys a folder may hold: far more than a rotation needs, few enough to read at once.
const KEYS_MAX: usize = 100;

/// One key's name and PEM text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The `kid` of its tokens.
    pub kid: String,
    /// The file's text.
    pub pem: String,
}

/// How many bytes a secret of the process has: beyond guessing.
const SECRET_BYTES: usize = 32;

/// A secret that only this process knows, and that ends with it.
///
/// # Errors
/// When the machine has no randomness.
pub fn fresh_secret() -> Result<[u8; SECRET_BYTES], KeyError> {
    let mut secret = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| KeyError::Generate)?;
    Ok(secret)
}

/// What went wrong with the key folder.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or the folder could not be read or written.
    #[error("key folder: use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The name before `.public.pem` cannot be a `kid`.
    #[error(
        "key folder: `{0}` is not named `<kid>.public.pem`, with a kid of letters, digits, `_` and `-`"
    )]
    Name(PathBuf),
    /// There is no key that could sign.
    #[error("key folder: no `<kid>.private.pem` in `{0}`")]
    NoPrivateKey(PathBuf),
    /// More keys than the limit.
    #[error("key folder: more than `{KEYS_MAX}` keys in `{0}`")]
    TooMany(PathBuf),
    /// The machine has no randomness.
    #[error("key folder: make a key")]
    Generate,
}

/// Makes a first key in `folder` if no public key is there.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn ensure(folder: &Path, kid: &Token) -> Result<(), KeyError> {
    fs::create_dir_all(folder).map_err(file(folder))?;
    if public_keys(folder)?.is_empty() {
        add(folder, kid)?;
    }
    Ok(())
}

/// Makes a key in `folder` if none there can sign.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn ensure_signing(folder: &Path, kid: &Token) -> Result<(), KeyError> {
    fs::create_dir_all(folder).map_err(file(folder))?;
    match signing_key(folder) {
        Err(KeyError::NoPrivateKey(_)) => add(folder, kid),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Puts public keys into `folder`, beside those that are there.
///
/// # Errors
/// When a name is none, or the folder cannot be written.
pub fn import(folder: &Path, keys: &[KeyFile]) -> Result<(), KeyError> {
    fs::create_dir_all(folder).map_err(file(folder))?;
    for key in keys {
        let path = folder.join(format!("{}{PUBLIC}", key.kid));
        Token::new(&key.kid).map_err(|_invalid| KeyError::Name(path.clone()))?;
        fs::write(&path, &key.pem).map_err(file(&path))?;
    }
    Ok(())
}

/// Makes a key in `folder`, beside those that are there. It signs from now on if its name comes last.
///
/// # Errors
/// When the folder cannot be written.
pub fn add(folder: &Path, kid: &Token) -> Result<(), KeyError> {
    let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
        .map_err(|_unspecified| KeyError::Generate)?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref())
        .map_err(|_rejected| KeyError::Generate)?;
    let public: PublicKeyX509Der<'_> = pair
        .public_key()
        .as_der()
        .map_err(|_unspecified| KeyError::Generate)?;
    // The public file comes last: a start that was cut short begins anew.
    write(
        &folder.join(format!("{kid}{PRIVATE}")),
        "PRIVATE KEY",
        private.as_ref(),
        0o600,
    )?;
    write(
        &folder.join(format!("{kid}{PUBLIC}")),
        "PUBLIC KEY",
        public.as_ref(),
        0o644,
    )
}

/// Every key that checks tokens, by name.
///
/// # Errors
/// When the folder cannot be read or a file has no proper name.
pub fn public_keys(folder: &Path) -> Result<Vec<KeyFile>, KeyError> {
    keys(folder, PUBLIC)
}

/// The key that signs: the last by name.
///
/// # Errors
/// When the folder cannot be read or has no private key.
pub fn signing_key(folder: &Path) -> Result<KeyFile, KeyError> {
    keys(folder, PRIVATE)?
        .pop()
        .ok_or_else(|| KeyError::NoPrivateKey(folder.to_owned()))
}

fn keys(folder: &Path, suffix: &str) -> Result<Vec<KeyFile>, KeyError> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder).map_err(file(folder))? {
        let path = entry.map_err(file(folder))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some(kid) = name.strip_suffix(suffix) else {
            continue;
        };
        let kid = Token::new(kid).map_err(|_invalid| KeyError::Name(path.clone()))?;
        if keys.len() == KEYS_MAX {
            return Err(KeyError::TooMany(folder.to_owned()));
        }
        let pem = fs::read_to_string(&path).map_err(file(&path))?;
        keys.push(KeyFile {
            kid: kid.to_string(),
            pem,
        });
    }
    keys.sort_by(|a, b| a.kid.cmp(&b.kid));
    Ok(keys)
}

fn write(path: &Path, tag: &str, der: &[u8], mode: u32) -> Result<(), KeyError> {
    let text = pem::encode_config(
        &Pem::new(tag, der),
        EncodeConfig::new().set_line_ending(LineEnding::LF),
    );
    let mut options = fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path);
    opened
        .and_then(|mut out| {
            out.write_all(text.as_bytes())?;
            out.sync_all()
        })
        .map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_key_and_the_second_keeps_it() {
        let folder = std::env::temp_dir().join(format!("ledgerline-keys-{}", std::process::id()));
        let kid = Token::new("first").expect("a token");
        ensure(&folder, &kid).expect("writable");
        let public = public_keys(&folder).expect("readable");
        assert_eq!(public.len(), 1);
        assert!(public[0].pem.starts_with("-----BEGIN PUBLIC KEY-----"));
        ensure(&folder, &Token::new("second").expect("a token")).expect("writable");
        assert_eq!(signing_key(&folder).expect("one key").kid, "first");
        fs::write(folder.join("..evil.public.pem"), "").expect("writable");
        assert!(matches!(public_keys(&folder), Err(KeyError::Name(_))));
        fs::remove_dir_all(&folder).expect("ours");
    }
}
