//! `audit new-key`: a key that signs seals from the next one on. Needs no server, only the folder.

use std::path::PathBuf;

use clap::Args;

use super::Console;
use crate::compose;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline audit new-key
  ledgerline audit new-key --keys /srv/ledgerline/keys/seals

Keep the older public keys: their seals are checked with them. The older private keys may be deleted.";

/// Where.
#[derive(Debug, Args)]
pub(super) struct NewKeyArgs {
    /// Folder of the keys of seals; `keys/seals` in the data folder unless told
    #[arg(long, value_name = "FOLDER", env = "LEDGERLINE_SEAL_KEYS")]
    keys: Option<PathBuf>,
}

pub(super) fn run(args: &NewKeyArgs, console: &Console) -> anyhow::Result<()> {
    let keys = super::key_folder(args.keys.as_ref(), console);
    let name = compose::new_seal_key(&keys, console.clock.now())?;
    console.out.line(name.as_str())?;
    Ok(())
}
