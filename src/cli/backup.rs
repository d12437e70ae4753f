//! `backup`: the journal with its seals, in a file, while the service goes on.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::out::Unit;
use super::{Console, endpoints};
use crate::compose::{self, backup};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline backup /mnt/elsewhere/ledgerline.backup
  ledgerline backup today.backup --nats nats://user:secret@nats:4222 --keys keys/seals

Exit code 7 when the journal differs from its chains or seals; the file is written all the same.
Read models are not in it: they are folded from the journal again. Nor are private keys and tokens.";

/// What goes where.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where to write it; a file that is there is replaced when the new one is whole
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Address of NATS with a user of the journal's account, instead of the one of the `up` that runs on
    /// the data folder
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS",
        hide_env_values = true
    )]
    nats: Option<String>,
    /// Folder of the public keys of seals; `keys/seals` in the data folder unless told
    #[arg(long, value_name = "FOLDER", env = "LEDGERLINE_SEAL_KEYS")]
    keys: Option<PathBuf>,
}

pub(super) async fn run(args: &BackupArgs, console: &Console) -> anyhow::Result<()> {
    let data_dir = &console.global.data_dir;
    let nats = match &args.nats {
        Some(nats) => nats.clone(),
        None => endpoints::read(data_dir)?.nats,
    };
    let own = || compose::key_folder(&data_dir.join("keys"));
    let keys = args.keys.clone().unwrap_or_else(own);
    let began = Instant::now();
    let bar = console.out.progress("backing up", Unit::Items, None);
    let now = console.clock.now();
    let report = backup::backup(&nats, &keys, &args.file, now, |position, head| {
        bar.set_length(head.0);
        bar.set_position(position.0);
    })
    .await?;
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let shown = json!({
        "file": args.file, "position": report.head, "seals": report.seals,
        "sealed_to": report.sealed_to, "digest": report.digest, "differing": report.differing,
        "seconds": seconds,
    });
    console.out.document(&shown, |_| {
        let (head, seals) = (report.head, report.seals);
        format!("backed up to position {head}, with {seals} seals, in {seconds:.1} s")
    })?;
    if report.differing > 0 {
        return Err(Failure::Differences(report.differing).into());
    }
    Ok(())
}
