//! `restore`: an empty data folder, or an empty NATS, from a backup.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Console;
use super::failure::Failure;
use crate::compose::backup::{self, Occupied};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline restore /mnt/elsewhere/ledgerline.backup
  ledgerline restore today.backup --data-dir /srv/ledgerline --force
  ledgerline restore today.backup --nats nats://user:secret@nats:4222

Exit code 3 where a journal is there already, 7 when the backup differs from its chains or seals.
`ledgerline up` folds the read models from the journal when it starts.";

/// What is restored where.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Address of an empty NATS with a user of the journal's account, instead of the data folder
    #[arg(long, value_name = "URL", conflicts_with = "force")]
    nats: Option<String>,
    /// Put a journal that is in the data folder aside, as `nats.replaced-<time>`, and remove its read models
    #[arg(long)]
    force: bool,
    /// Restore a backup that differs from its chains or seals all the same
    #[arg(long)]
    as_is: bool,
}

pub(super) async fn run(args: &RestoreArgs, console: &Console) -> anyhow::Result<()> {
    let began = Instant::now();
    let judged = backup::judge(&args.file)?;
    let report = &judged.report;
    if report.differing > 0 && !args.as_is {
        for finding in &report.findings {
            let position = finding.position.map(|position| position.to_string());
            let place = position.as_deref().unwrap_or("seals");
            console
                .out
                .remark(&format!("{place}: {}", finding.difference));
        }
        return Err(Failure::Differences(report.differing).into());
    }
    let restored = match &args.nats {
        Some(nats) => backup::restore_on(nats, &args.file, &judged).await,
        None => {
            let suffix = console
                .clock
                .now()
                .strftime("replaced-%Y%m%dT%H%M%S")
                .to_string();
            let suffix = args.force.then_some(suffix.as_str());
            let data_dir = &console.global.data_dir;
            backup::restore_embedded(data_dir, &args.file, &judged, suffix).await
        }
    };
    restored.map_err(|error| match error.downcast::<Occupied>() {
        Ok(occupied) => Failure::Occupied(occupied.to_string()).into(),
        Err(error) => error,
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let shown = json!({
        "position": report.head, "seals": report.seals, "sealed_to": report.sealed_to,
        "digest": report.digest, "seconds": seconds,
    });
    console.out.document(&shown, |_| {
        let (head, seals) = (report.head, report.seals);
        format!("restored to position {head}, with {seals} seals, in {seconds:.1} s; checked")
    })?;
    Ok(())
}
