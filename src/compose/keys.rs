//! The keys of tokens: the first ones, the first token, and keeping up with the folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::auth::{Grant, Keys, Role, SigningKey, Verifier, mint};
use commands::Clock as _;
use domain::{Name, Tenant};
use infra::SystemClock;
use tokio_util::sync::CancellationToken;

use super::endpoints::write_private;
use super::seals;

/// The tenant of the first token.
const FIRST_TENANT: &str = "default";

/// The file of the first token, in the data folder.
const TOKEN_FILE: &str = "admin.token";

/// How long the first token is good for: it is made again at every start.
const FIRST_TOKEN_DAYS: i64 = 30;

/// How often the folder of keys is read again: a key that was taken away is trusted no longer than this.
const REREAD: Duration = Duration::from_secs(5);

/// Makes the first key if there is none, and an administrator's token with it.
pub(super) fn first_token(data_dir: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let now = SystemClock.now();
    infra::keys::ensure(folder, &seals::key_name(now)?)?;
    let file = infra::keys::signing_key(folder)?;
    let key = SigningKey::from_private_pem(file.kid, file.pem.as_bytes())?;
    let grant = Grant {
        principal: Name::new("admin").context("name the administrator")?,
        tenant: Tenant::new(FIRST_TENANT).context("name the first tenant")?,
        roles: vec![Role::Admin],
        not_before: now,
        expires_at: now + jiff::SignedDuration::from_hours(24 * FIRST_TOKEN_DAYS),
    };
    let path = data_dir.join(TOKEN_FILE);
    write_private(&path, mint(&key, &grant)?.as_bytes())?;
    Ok(path)
}

/// Every key of the folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Keys> {
    let files = infra::keys::public_keys(folder)?;
    Ok(Keys::from_public_pems(
        files.into_iter().map(|file| (file.kid, file.pem)),
    )?)
}

/// Lets `verifier` know of every change in the folder, until it is told to stop. A folder that cannot
/// be read changes nothing: the keys that are known stay in force.
pub(super) async fn follow(folder: PathBuf, verifier: Arc<Verifier>, stop: CancellationToken) {
    let mut known = infra::keys::public_keys(&folder).ok();
    while stop
        .run_until_cancelled(tokio::time::sleep(REREAD))
        .await
        .is_some()
    {
        let files = match infra::keys::public_keys(&folder) {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(%error, "keys of tokens not read again");
                continue;
            }
        };
        if known.as_ref() == Some(&files) {
            continue;
        }
        match Keys::from_public_pems(files.iter().map(|file| (file.kid.as_str(), &file.pem))) {
            Ok(keys) => {
                verifier.replace_keys(keys);
                known = Some(files);
                tracing::info!("keys of tokens have changed");
            }
            Err(error) => tracing::warn!(%error, "keys of tokens not read again"),
        }
    }
}
