//! `ledgerline doctor`: everything the service depends on, and what to do about each finding.

use clap::Args;
use serde_json::json;

use super::Console;
use super::failure::Failure;
use super::out::Format;
use crate::compose::doctor::{self, Finding, Verdict};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline doctor
  ledgerline doctor -o json
  ledgerline doctor --nats nats://user:secret@nats:4222 --database postgres://user:secret@db/ledgerline --keys keys

Exit code 1 when a check has failed; a warning does not fail.";

/// What `doctor` takes.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    of: doctor::Target,
}

pub(super) async fn run(args: DoctorArgs, console: &Console) -> anyhow::Result<()> {
    let findings = doctor::doctor(&console.global.data_dir, &args.of).await?;
    match console.global.output {
        Format::Json => console.out.json(&json!({ "checks": findings }))?,
        Format::Table => {
            let row = |f: &Finding| {
                [
                    f.check.to_owned(),
                    f.verdict.to_string(),
                    f.found.clone(),
                    f.advice.clone(),
                ]
            };
            let rows: Vec<_> = findings.iter().map(row).collect();
            console
                .out
                .table(["check", "verdict", "found", "what to do"], rows)?;
        }
    }
    let failed = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Failed)
        .count();
    if failed > 0 {
        return Err(Failure::Checks { failed }.into());
    }
    Ok(())
}
