//! Counting: what became of every event, and the summary that accounts for all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use comfy_table::Table;
use serde::Serialize;

use super::rejects::Reject;
use super::settle::Reply;
use crate::cli::client::problem::Problem;
use crate::cli::out::{cell, rendered};
use crate::import::plan::EventPlace;

/// Places shown for each reason; all of them stand in the rejects file.
const PLACES_SHOWN_MAX: usize = 3;

/// Counts that add up to the number of events.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub(super) cases: u64,
    pub(super) recorded: u64,
    pub(super) already_there: u64,
    pub(super) unchanged: u64,
    rejected: BTreeMap<String, Reason>,
    /// Commands sent, each counted once, however often it was repeated.
    pub(super) commands: u64,
    /// The highest position of a receipt.
    pub(super) position: Option<u64>,
    /// Bytes of the file.
    pub(super) bytes: u64,
}

/// How often something was the reason, and where first.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
struct Reason {
    count: u64,
    first: Vec<Reject>,
}

/// What became of one event that was sent.
#[derive(Debug, PartialEq)]
pub(super) enum Fate<'a> {
    /// At least one of its commands brought something new.
    Recorded,
    /// All of it was recorded by an earlier run.
    AlreadyThere,
    /// The server found nothing to change.
    Unchanged,
    /// One of its commands was refused.
    Rejected(&'a Problem),
}

/// What became of an event whose commands were answered so. `head` is where the journal ended before
/// the import: a receipt at or before it is that of an earlier run.
pub(super) fn fate(replies: &[Reply], head: u64) -> Fate<'_> {
    let mut fate = Fate::Unchanged;
    for reply in replies {
        match reply {
            Reply::Problem(problem) => return Fate::Rejected(problem),
            Reply::Receipt(receipt) if receipt.unchanged => {}
            Reply::Receipt(receipt) if receipt.position > head => fate = Fate::Recorded,
            Reply::Receipt(_) if fate == Fate::Unchanged => fate = Fate::AlreadyThere,
            Reply::Receipt(_) => {}
        }
    }
    fate
}

/// The line of the rejects file for an event that the server refused.
pub(super) fn refused(place: &EventPlace, problem: &Problem) -> Reject {
    let detail = problem.detail.as_ref().unwrap_or(&problem.title);
    let fields = problem
        .errors
        .iter()
        .map(|error| format!("; {}: {}", error.pointer, error.rule));
    Reject {
        place: place.clone(),
        reason: problem.code().to_owned(),
        detail: [detail.clone()].into_iter().chain(fields).collect(),
    }
}

impl Tally {
    /// Counts an event that became nothing.
    pub(super) fn reject(&mut self, line: &Reject) {
        let reason = self.rejected.entry(line.reason.clone()).or_default();
        reason.count += 1;
        if reason.first.len() < PLACES_SHOWN_MAX {
            reason.first.push(line.clone());
        }
    }

    /// How many events became nothing.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected.values().map(|reason| reason.count).sum()
    }

    /// Adds what another one has counted.
    pub(super) fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.recorded += other.recorded;
        self.already_there += other.already_there;
        self.unchanged += other.unchanged;
        self.commands += other.commands;
        self.position = self.position.max(other.position);
        self.bytes = self.bytes.max(other.bytes);
        for (name, reason) in other.rejected {
            let own = self.rejected.entry(name).or_default();
            own.count += reason.count;
            let room = PLACES_SHOWN_MAX.saturating_sub(own.first.len());
            own.first.extend(reason.first.into_iter().take(room));
        }
    }
}

/// What an import came to.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    file: String,
    dry_run: bool,
    cases: u64,
    /// The sum of the next four.
    events: u64,
    recorded: u64,
    already_there: u64,
    unchanged: u64,
    rejected: u64,
    rejected_by_reason: BTreeMap<String, Reason>,
    rejects_file: Option<String>,
    commands: u64,
    position: Option<u64>,
    bytes: u64,
    seconds: f64,
}

impl Summary {
    pub(super) fn new(
        file: &Path,
        dry_run: bool,
        tally: &Tally,
        took: Duration,
        rejects_file: Option<&Path>,
    ) -> Self {
        let rejected = tally.rejected();
        Self {
            file: file.display().to_string(),
            dry_run,
            cases: tally.cases,
            events: tally.recorded + tally.already_there + tally.unchanged + rejected,
            recorded: tally.recorded,
            already_there: tally.already_there,
            unchanged: tally.unchanged,
            rejected,
            rejected_by_reason: tally.rejected.clone(),
            rejects_file: rejects_file.map(|path| path.display().to_string()),
            commands: tally.commands,
            position: tally.position,
            bytes: tally.bytes,
            seconds: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
        }
    }

    /// That every event read is in the summary.
    pub(super) fn check(&self, events_read: u64) -> anyhow::Result<()> {
        let counted = self.events;
        ensure!(
            counted == events_read,
            "account for the events: `{events_read}` were read and `{counted}` counted; this is a mistake in the program"
        );
        Ok(())
    }

    pub(super) fn table(&self, mut table: Table) -> String {
        let recorded = if self.dry_run {
            "would be recorded"
        } else {
            "recorded"
        };
        let counts = [
            ("cases", self.cases),
            ("events", self.events),
            (recorded, self.recorded),
            ("already there", self.already_there),
            ("unchanged", self.unchanged),
            ("rejected", self.rejected),
        ];
        for (name, count) in counts {
            table.add_row([cell(name), cell(count.to_string())]);
        }
        for (name, reason) in &self.rejected_by_reason {
            let first = reason.first.first().map(place).unwrap_or_default();
            table.add_row([
                cell(format!("  {name}")),
                cell(reason.count.to_string()),
                cell(first),
            ]);
        }
        table.add_row([cell("commands sent"), cell(self.commands.to_string())]);
        if let Some(position) = self.position {
            table.add_row([cell("position"), cell(position.to_string())]);
        }
        if let Some(file) = &self.rejects_file {
            table.add_row([cell("rejects file"), cell(file)]);
        }
        table.add_row([cell("seconds"), cell(format!("{:.1}", self.seconds))]);
        rendered(&table)
    }
}

fn place(line: &Reject) -> String {
    let case = line.place.case.as_deref().unwrap_or("?");
    let (event, at) = (line.place.event, line.place.line);
    format!(
        "first: case `{case}`, event {event}, line {at}: {}",
        line.detail
    )
}

#[cfg(test)]
mod tests {
    use super::super::settle::ReceiptPart;
    use super::*;
    use crate::cli::out::Format;
    use crate::cli::out::tests::captured;

    fn receipt(position: u64, unchanged: bool) -> Reply {
        Reply::Receipt(ReceiptPart {
            position,
            unchanged,
        })
    }

    fn problem() -> Problem {
        let body =
            br#"{"type":"https://ledgerline.dev/problems/ended","title":"assignment has ended"}"#;
        Problem::from_answer(409, body)
    }

    fn place_of(event: u32) -> EventPlace {
        EventPlace {
            case: Some("c1".to_owned()),
            event,
            line: 7,
            byte: 300,
        }
    }

    #[test]
    fn an_event_is_what_the_most_telling_of_its_commands_came_to() {
        let head = 10;
        assert_eq!(fate(&[receipt(11, false)], head), Fate::Recorded);
        assert_eq!(fate(&[receipt(10, false)], head), Fate::AlreadyThere);
        assert_eq!(fate(&[receipt(12, true)], head), Fate::Unchanged);
        assert_eq!(
            fate(&[receipt(9, false), receipt(11, false)], head),
            Fate::Recorded
        );
        assert_eq!(
            fate(&[receipt(11, false), receipt(9, false)], head),
            Fate::Recorded
        );
        assert_eq!(
            fate(&[receipt(9, false), receipt(9, true)], head),
            Fate::AlreadyThere
        );
        let refused = Reply::Problem(Box::new(problem()));
        assert!(matches!(
            fate(&[receipt(11, false), refused], head),
            Fate::Rejected(_)
        ));
    }

    #[test]
    fn the_summary_accounts_for_every_event_or_says_that_it_does_not() {
        let mut tally = Tally {
            recorded: 3,
            already_there: 2,
            unchanged: 1,
            ..Tally::default()
        };
        for event in 0..5 {
            tally.reject(&refused(&place_of(event), &problem()));
        }
        let mut whole = Tally {
            cases: 2,
            ..Tally::default()
        };
        whole.add(tally);
        let summary = Summary::new(
            Path::new("log.xes"),
            false,
            &whole,
            Duration::from_millis(1_234),
            None,
        );
        assert!(summary.check(11).is_ok());
        assert!(summary.check(12).is_err());
        let json = serde_json::to_value(&summary).expect("plain data");
        assert_eq!(json["rejected_by_reason"]["ended"]["count"], 5);
        let first = json["rejected_by_reason"]["ended"]["first"]
            .as_array()
            .expect("places");
        assert_eq!(first.len(), PLACES_SHOWN_MAX);
        let sum: u64 = ["recorded", "already_there", "unchanged", "rejected"]
            .iter()
            .map(|name| json[name].as_u64().expect("a count"))
            .sum();
        assert_eq!(json["events"], sum);
        let (out, _) = captured(Format::Table);
        let text = summary.table(out.new_table(&[]));
        assert!(
            text.contains("first: case `c1`, event 0, line 7: assignment has ended"),
            "{text}"
        );
    }
}
