//! `audit verify`: the stored journal against its chains and seals.

use std::path::PathBuf;

use clap::Args;
use commands::seal::verify::{Finding, Report};
use serde::Serialize;

use super::super::failure::Failure;
use super::super::out::{Out, Unit, cell, clean, rendered};
use super::{Console, Source};
use crate::compose;

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline audit verify
  ledgerline audit verify --against /mnt/elsewhere/seals.ndjson
  ledgerline audit verify -o json --nats nats://user:secret@nats:4222 --keys /mnt/elsewhere/keys

Exit code 7 when anything differs. Commits behind the last seal are checked by their chains only.";

/// What is compared with what.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    source: Source,
    /// Seals that were kept elsewhere: a file of `audit seals -o json`, or a folder of such files; the
    /// `seals` of the data folder unless told
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Folder of the public keys of seals; `keys/seals` in the data folder unless told
    #[arg(long, value_name = "FOLDER", env = "LEDGERLINE_SEAL_KEYS")]
    keys: Option<PathBuf>,
}

pub(super) async fn run(args: &VerifyArgs, console: &Console) -> anyhow::Result<()> {
    let data_dir = &console.global.data_dir;
    let keys = super::key_folder(args.keys.as_ref(), console);
    let own = data_dir.join(compose::DATA_FILES);
    let own = (args.source.nats.is_none() && own.is_dir()).then_some(own);
    let against = args.against.clone().or(own);
    let audit = args.source.open(console).await?;
    let bar = console.out.progress("verifying", Unit::Items, None);
    let report = audit
        .verify(&keys, against.as_deref(), |position, head| {
            bar.set_length(head.0);
            bar.set_position(position.0);
        })
        .await?;
    bar.finish_and_clear();
    let shown = Shown::of(&report);
    console
        .out
        .document(&shown, |shown| shown.text(&console.out))?;
    if report.differing == 0 {
        return Ok(());
    }
    Err(Failure::Differences(report.differing).into())
}

/// The report in the words of the output.
#[derive(Debug, Serialize)]
struct Shown {
    clean: bool,
    head: u64,
    commits: u64,
    streams: u64,
    seals: u64,
    sealed_to: u64,
    /// Commits behind the last seal, of which only the chains were checked.
    unsealed: u64,
    /// Over everything: copies of one journal have the same.
    digest: String,
    differing: u64,
    /// The first of them.
    differences: Vec<ShownFinding>,
}

#[derive(Debug, Serialize)]
struct ShownFinding {
    position: Option<u64>,
    stream: Option<String>,
    seal: Option<u64>,
    difference: String,
}

impl Shown {
    fn of(report: &Report) -> Self {
        Self {
            clean: report.differing == 0,
            head: report.head.0,
            commits: report.commits,
            streams: report.streams,
            seals: report.seals,
            sealed_to: report.sealed_to.0,
            unsealed: report.head.0.saturating_sub(report.sealed_to.0),
            digest: report.digest.to_string(),
            differing: report.differing,
            differences: report.findings.iter().map(ShownFinding::of).collect(),
        }
    }

    fn text(&self, out: &Out) -> String {
        let mut table = out.new_table(&["commits", "streams", "seals", "sealed to", "differing"]);
        let row = [
            self.commits,
            self.streams,
            self.seals,
            self.sealed_to,
            self.differing,
        ];
        table.add_row(row.map(|number| cell(number.to_string())));
        let mut text = rendered(&table);
        for finding in &self.differences {
            text.push_str(&format!("\n {}", finding.text()));
        }
        if self.unsealed > 0 {
            let behind = format!(
                "\n{} commits stand behind the last seal: they were checked by their chains only",
                self.unsealed
            );
            text.push_str(&behind);
        }
        text
    }
}

impl ShownFinding {
    fn of(finding: &Finding) -> Self {
        Self {
            position: finding.position.map(|position| position.0),
            stream: finding.stream.clone(),
            seal: finding.seal,
            difference: finding.difference.to_string(),
        }
    }

    fn text(&self) -> String {
        let position = self.position.map(|position| format!("position {position}"));
        let stream = self
            .stream
            .as_ref()
            .map(|stream| format!("`{}`", clean(stream)));
        let seal = self.seal.map(|seal| format!("seal {seal}"));
        let place: Vec<String> = [position, stream, seal].into_iter().flatten().collect();
        format!("{}: {}", place.join(", "), clean(&self.difference))
    }
}

#[cfg(test)]
mod tests {
    use commands::seal::verify::Difference;
    use domain::Position;

    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    #[test]
    fn every_difference_is_told_with_its_place_and_what_only_the_chain_vouches_for() {
        let report = Report {
            head: Position(12),
            commits: 12,
            streams: 3,
            seals: 1,
            sealed_to: Position(10),
            digest: domain::Sha256::default(),
            differing: 1,
            findings: vec![Finding {
                position: Some(Position(7)),
                stream: Some("default.assignment.a".to_owned()),
                seal: Some(1),
                difference: Difference::Altered,
            }],
        };
        let (out, _) = captured(Format::Table);
        let text = Shown::of(&report).text(&out);
        let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        let row: Vec<&str> = lines[0].split_whitespace().collect();
        assert_eq!(row, ["12", "3", "1", "10", "1"]);
        assert_eq!(
            lines[1..],
            [
                "position 7, `default.assignment.a`, seal 1: it is not what was sealed at this position",
                "2 commits stand behind the last seal: they were checked by their chains only"
            ]
        );
    }
}
