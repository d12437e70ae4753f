//! `verify`: whether the read models are what the journal says, row by row.

use clap::Args;
use projections::verify::{DifferenceKind, ModelReport, Report};
use serde::Serialize;

use super::failure::Failure;
use super::out::{Out, Unit, cell, clean, rendered};
use super::{Console, endpoints};
use crate::compose::{Addresses, Compared};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline verify
  ledgerline verify -o json
  ledgerline verify --nats nats://user:secret@nats:4222 --database postgres://user:secret@db/ledgerline";

/// Against which servers.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Address of NATS, instead of the one of the `up` that runs on the data folder
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS",
        hide_env_values = true,
        requires = "database"
    )]
    nats: Option<String>,
    /// Address of the database, instead of the one of the `up` that runs on the data folder
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_DATABASE",
        hide_env_values = true,
        requires = "nats"
    )]
    database: Option<String>,
}

pub(super) async fn run(args: &VerifyArgs, console: &Console) -> anyhow::Result<()> {
    let addresses = match (&args.nats, &args.database) {
        (Some(nats), Some(database)) => Addresses::named(nats, None, None, database),
        _ => Addresses::of_endpoints(&endpoints::read(&console.global.data_dir)?),
    };
    let compared = Compared::open(&addresses).await?;
    let bar = console.out.progress("verifying", Unit::Items, None);
    let report = projections::verify(&compared.journal, &compared.pool).await?;
    bar.finish_and_clear();
    let shown = Shown::of(&report);
    console
        .out
        .document(&shown, |shown| shown.table(&console.out))?;
    if report.is_clean() {
        return Ok(());
    }
    Err(Failure::Differences(shown.differing).into())
}

/// The report in the words of the output.
#[derive(Debug, Serialize)]
struct Shown {
    clean: bool,
    rows: u64,
    differing: u64,
    models: Vec<ShownModel>,
}

#[derive(Debug, Serialize)]
struct ShownModel {
    name: &'static str,
    position: u64,
    rows: u64,
    differing: u64,
    error: Option<String>,
    /// The first of them.
    differences: Vec<ShownDifference>,
}

#[derive(Debug, Serialize)]
struct ShownDifference {
    key: String,
    /// `missing`, `extra`, or the columns that differ.
    difference: String,
}

impl Shown {
    fn of(report: &Report) -> Self {
        let models: Vec<ShownModel> = report.models.iter().map(ShownModel::of).collect();
        Self {
            clean: report.is_clean(),
            rows: models.iter().map(|model| model.rows).sum(),
            differing: models.iter().map(|model| model.differing).sum(),
            models,
        }
    }

    fn table(&self, out: &Out) -> String {
        let mut table = out.new_table(&["model", "position", "rows", "differing", "error"]);
        for model in &self.models {
            let numbers = [model.position, model.rows, model.differing];
            let numbers = numbers.iter().map(|number| cell(number.to_string()));
            let error = cell(model.error.as_deref().unwrap_or_default());
            table.add_row([cell(model.name)].into_iter().chain(numbers).chain([error]));
        }
        let mut text = rendered(&table);
        for model in &self.models {
            for ShownDifference { key, difference } in &model.differences {
                let line = format!("\n {} `{}`: {}", model.name, clean(key), clean(difference));
                text.push_str(&line);
            }
        }
        text
    }
}

impl ShownModel {
    fn of(model: &ModelReport) -> Self {
        let differences = model.differences.iter().map(|difference| ShownDifference {
            key: difference.key.clone(),
            difference: match &difference.kind {
                DifferenceKind::Missing => "missing".to_owned(),
                DifferenceKind::Extra => "extra".to_owned(),
                DifferenceKind::Columns(columns) => columns.join(", "),
                DifferenceKind::Unreadable(reason) => format!("unreadable: {reason}"),
            },
        });
        Self {
            name: model.name,
            position: model.position.0,
            rows: model.rows,
            differing: model.differing,
            error: model.error.clone(),
            differences: differences.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Position;
    use projections::verify::Difference;

    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    #[test]
    fn every_difference_is_shown_with_its_row() {
        let report = Report {
            models: vec![ModelReport {
                name: "assignment",
                position: Position(12),
                rows: 7,
                differing: 2,
                differences: vec![
                    Difference {
                        key: "default/a1".to_owned(),
                        kind: DifferenceKind::Missing,
                    },
                    Difference {
                        key: "default/a2".to_owned(),
                        kind: DifferenceKind::Columns(vec!["status", "since"]),
                    },
                ],
                error: None,
            }],
        };
        let shown = Shown::of(&report);
        assert!(!shown.clean);
        let (out, _) = captured(Format::Table);
        let text = shown.table(&out);
        let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        assert_eq!(
            lines[1..],
            [
                "assignment `default/a1`: missing",
                "assignment `default/a2`: status, since"
            ]
        );
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["assignment", "12", "7", "2"]
        );
    }
}
