//! The commands on assignments: each becomes one `POST` with an idempotency key, so that a lost
//! answer is asked for again without a second effect.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{Id, Label};
use crate::cli::client::query::Moment;
use crate::cli::client::{self, Answer};
use crate::cli::{Console, show};

const REQUEST_EXAMPLES: &str = "\
Examples:
  ledgerline assignment request --title 'Replace the pump' --kind repair --group workshop
  ledgerline assignment request --title 'Check the roof' --kind inspection --group north \\
    --assignee anne --priority 2 --label site=north --effort-minutes 90 --key ticket-4711";
const ASSIGN_EXAMPLES: &str = "\
Examples:
  ledgerline assignment assign 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b anne
  ledgerline assignment assign 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b anne --group north";
const REQUEUE_EXAMPLES: &str = "\
Examples:
  ledgerline assignment requeue 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --group south";
const START_EXAMPLES: &str = "\
Examples:
  ledgerline assignment start 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";
const NOTE_EXAMPLES: &str = "\
Examples:
  ledgerline assignment note 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b 'The seal is worn as well'";
const HOLD_EXAMPLES: &str = "\
Examples:
  ledgerline assignment hold 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b 'Waits for the spare part'";
const RESUME_EXAMPLES: &str = "\
Examples:
  ledgerline assignment resume 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";
const COMPLETE_EXAMPLES: &str = "\
Examples:
  ledgerline assignment complete 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b 'Pump replaced'
  ledgerline assignment complete 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b 'Pump replaced' --expected-version 4";
const CLOSE_EXAMPLES: &str = "\
Examples:
  ledgerline assignment close 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b";
const REOPEN_EXAMPLES: &str = "\
Examples:
  ledgerline assignment reopen 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --reason 'It leaks again'";
const CANCEL_EXAMPLES: &str = "\
Examples:
  ledgerline assignment cancel 018f7a3e-6d2c-5b1a-9e3f-0c4d5e6f7a8b --reason 'No longer needed'";

#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// Ask a group for work
    #[command(after_help = REQUEST_EXAMPLES)]
    Request(Box<Request>),
    /// Give it to somebody
    #[command(after_help = ASSIGN_EXAMPLES)]
    Assign {
        #[command(flatten)]
        target: Target,
        /// Who gets it
        assignee: String,
        /// In this group, if not in the one it is in
        #[arg(long)]
        group: Option<String>,
    },
    /// Put it into a group's queue
    #[command(after_help = REQUEUE_EXAMPLES)]
    Requeue {
        #[command(flatten)]
        target: Target,
        /// Into this group's queue, if not its own
        #[arg(long)]
        group: Option<String>,
    },
    /// Begin to work on it, taking it over where it was somebody else's
    #[command(after_help = START_EXAMPLES)]
    Start {
        #[command(flatten)]
        target: Target,
        /// Who works on it, if not the caller
        #[arg(long, value_name = "PERSON")]
        assignee: Option<String>,
        /// In this group, if not in the one it is in
        #[arg(long)]
        group: Option<String>,
    },
    /// Write something down
    #[command(after_help = NOTE_EXAMPLES)]
    Note {
        #[command(flatten)]
        target: Target,
        /// What to write down
        text: String,
    },
    /// Let it wait
    #[command(after_help = HOLD_EXAMPLES)]
    Hold {
        #[command(flatten)]
        target: Target,
        /// What it waits for
        reason: String,
    },
    /// Go on where it was put on hold
    #[command(after_help = RESUME_EXAMPLES)]
    Resume {
        #[command(flatten)]
        target: Target,
    },
    /// Say that the work is done
    #[command(after_help = COMPLETE_EXAMPLES)]
    Complete {
        #[command(flatten)]
        target: Target,
        /// What came of it
        outcome: String,
    },
    /// Confirm the end of what was completed
    #[command(after_help = CLOSE_EXAMPLES)]
    Close {
        #[command(flatten)]
        target: Target,
    },
    /// Take an ended assignment up again
    #[command(after_help = REOPEN_EXAMPLES)]
    Reopen {
        #[command(flatten)]
        target: Target,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// End it undone
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel {
        #[command(flatten)]
        target: Target,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Which assignment, and how.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Id of the assignment
    id: Id,
    #[command(flatten)]
    how: How,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Command options")]
struct How {
    /// Idempotency key: the same command under the same key has one effect; a fresh one if not given
    #[arg(long)]
    key: Option<String>,
    /// Refuse unless the assignment has this version
    #[arg(long, value_name = "VERSION")]
    expected_version: Option<u64>,
    /// When it happened, if earlier than now
    #[arg(long, value_name = "TIME")]
    occurred_at: Option<Moment>,
    /// Who did it, if not the caller; for operators and administrators
    #[arg(long, value_name = "PERSON")]
    on_behalf_of: Option<String>,
}

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Request {
    /// What it is called
    #[arg(long)]
    title: String,
    /// What is to be done
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The sort of work
    #[arg(long)]
    kind: String,
    /// Whose queue it waits in
    #[arg(long)]
    group: String,
    /// Who asks for it, if not the caller
    #[arg(long, value_name = "PERSON")]
    requester: Option<String>,
    /// To whom it is given at once
    #[arg(long, value_name = "PERSON")]
    assignee: Option<String>,
    /// From 1, the most pressing, to 5; 3 if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    priority: Option<u8>,
    /// A label; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// When it may begin
    #[arg(long, value_name = "TIME", requires = "window_end")]
    window_start: Option<Moment>,
    /// When it must have ended
    #[arg(long, value_name = "TIME", requires = "window_start")]
    window_end: Option<Moment>,
    /// How much work it is thought to be
    #[arg(long, value_name = "MINUTES")]
    effort_minutes: Option<u32>,
    /// Its name in another system
    #[arg(long, value_name = "NAME")]
    external_ref: Option<String>,
    /// Its id, a UUID; a fresh one if not given
    #[arg(long, value_name = "UUID")]
    id: Option<uuid::Uuid>,
    #[command(flatten)]
    how: How,
}

/// What goes over the wire.
#[derive(Debug, Clone, PartialEq)]
struct Wire<'a> {
    path: Vec<&'a str>,
    body: Value,
}

pub(super) async fn run(order: &Order, console: &Console) -> anyhow::Result<()> {
    let how = order.how();
    let fresh;
    let key = match &how.key {
        Some(key) => key,
        None => {
            fresh = format!("cli-{}", console.clock.fresh_id());
            &fresh
        }
    };
    let Wire { path, body } = order.wire();
    let sent = client::Order {
        body: &body,
        key: Some(key),
        expected_version: how.expected_version,
    };
    let Answer { body, .. } = console.client()?.post(&path, &sent).await?;
    console.out.document(&body, |receipt| {
        show::fields(console.out.new_table(&[]), receipt)
    })?;
    Ok(())
}

impl Order {
    fn how(&self) -> &How {
        match self {
            Self::Request(request) => &request.how,
            Self::Assign { target, .. }
            | Self::Requeue { target, .. }
            | Self::Start { target, .. }
            | Self::Note { target, .. }
            | Self::Hold { target, .. }
            | Self::Resume { target }
            | Self::Complete { target, .. }
            | Self::Close { target }
            | Self::Reopen { target, .. }
            | Self::Cancel { target, .. } => &target.how,
        }
    }

    fn wire(&self) -> Wire<'_> {
        let mut body = Body::default();
        let (target, verb) = match self {
            Self::Request(request) => {
                request.fill(&mut body);
                body.how(&request.how);
                return Wire {
                    path: vec!["v1", "assignments"],
                    body: body.0.into(),
                };
            }
            Self::Assign {
                target,
                assignee,
                group,
            } => {
                body.set("assignee", Some(assignee));
                body.set("group", group.as_ref());
                (target, "assign")
            }
            Self::Requeue { target, group } => {
                body.set("group", group.as_ref());
                (target, "requeue")
            }
            Self::Start {
                target,
                assignee,
                group,
            } => {
                body.set("assignee", assignee.as_ref());
                body.set("group", group.as_ref());
                (target, "start")
            }
            Self::Note { target, text } => {
                body.set("text", Some(text));
                (target, "note")
            }
            Self::Hold { target, reason } => {
                body.set("reason", Some(reason));
                (target, "hold")
            }
            Self::Resume { target } => (target, "resume"),
            Self::Complete { target, outcome } => {
                body.set("outcome", Some(outcome));
                (target, "complete")
            }
            Self::Close { target } => (target, "close"),
            Self::Reopen { target, reason } => {
                body.set("reason", reason.as_ref());
                (target, "reopen")
            }
            Self::Cancel { target, reason } => {
                body.set("reason", reason.as_ref());
                (target, "cancel")
            }
        };
        body.how(&target.how);
        let path = vec!["v1", "assignments", target.id.as_str(), verb];
        Wire {
            path,
            body: body.0.into(),
        }
    }
}

impl Request {
    fn fill(&self, body: &mut Body) {
        body.set("id", self.id.map(|id| id.to_string()));
        body.set("title", Some(&self.title));
        body.set("description", self.description.as_ref());
        body.set("kind", Some(&self.kind));
        body.set("group", Some(&self.group));
        body.set("requester", self.requester.as_ref());
        body.set("assignee", self.assignee.as_ref());
        body.set("priority", self.priority);
        body.set("effort_minutes", self.effort_minutes);
        body.set("external_ref", self.external_ref.as_ref());
        if !self.label.is_empty() {
            let labels = self
                .label
                .iter()
                .map(|label| (label.key.clone(), label.value.clone().into()));
            body.set("labels", Some(Value::Object(labels.collect())));
        }
        if let (Some(start), Some(end)) = (self.window_start, self.window_end) {
            let window = serde_json::json!({"start": start.to_string(), "end": end.to_string()});
            body.set("window", Some(window));
        }
    }
}

/// A JSON object of what was said.
#[derive(Debug, Default)]
struct Body(Map<String, Value>);

impl Body {
    fn set(&mut self, name: &str, value: Option<impl serde::Serialize>) {
        if let Some(value) = value {
            let value = serde_json::to_value(value).expect("texts, numbers and objects are JSON");
            self.0.insert(name.to_owned(), value);
        }
    }

    fn how(&mut self, how: &How) {
        self.set(
            "occurred_at",
            how.occurred_at.map(|moment| moment.to_string()),
        );
        self.set("on_behalf_of", how.on_behalf_of.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(subcommand)]
        order: Order,
    }

    fn wire(line: &[&str]) -> (String, Value) {
        let only = Only::try_parse_from([&["assignment"], line].concat()).expect("a command");
        let Wire { path, body } = only.order.wire();
        (path.join("/"), body)
    }

    #[test]
    fn each_command_goes_to_its_own_route_with_its_fields() {
        let at = |verb: &str| format!("v1/assignments/a1/{verb}");
        let cases: [(&[&str], &str, Value); 11] = [
            (
                &["assign", "a1", "anne", "--group", "g"],
                "assign",
                json!({"assignee": "anne", "group": "g"}),
            ),
            (&["requeue", "a1"], "requeue", json!({})),
            (&["start", "a1"], "start", json!({})),
            (
                &["start", "a1", "--assignee", "bo"],
                "start",
                json!({"assignee": "bo"}),
            ),
            (&["note", "a1", "seen"], "note", json!({"text": "seen"})),
            (&["hold", "a1", "part"], "hold", json!({"reason": "part"})),
            (&["resume", "a1"], "resume", json!({})),
            (
                &["complete", "a1", "done"],
                "complete",
                json!({"outcome": "done"}),
            ),
            (
                &["close", "a1", "--on-behalf-of", "bo"],
                "close",
                json!({"on_behalf_of": "bo"}),
            ),
            (
                &["reopen", "a1", "--reason", "again"],
                "reopen",
                json!({"reason": "again"}),
            ),
            (
                &["cancel", "a1", "--occurred-at", "2026-01-01"],
                "cancel",
                json!({"occurred_at": "2026-01-01T00:00:00Z"}),
            ),
        ];
        for (line, verb, body) in cases {
            assert_eq!(wire(line), (at(verb), body), "{line:?}");
        }
    }

    #[test]
    fn a_request_says_only_what_was_said() {
        let short = ["request", "--title", "t", "--kind", "k", "--group", "g"];
        assert_eq!(
            wire(&short),
            (
                "v1/assignments".to_owned(),
                json!({"title": "t", "kind": "k", "group": "g"})
            )
        );
        let long = [
            &short[..],
            &[
                "--label",
                "site=north",
                "--priority",
                "2",
                "--effort-minutes",
                "90",
            ],
            &["--window-start", "2026-01-01", "--window-end", "2026-01-02"],
        ];
        assert_eq!(
            wire(&long.concat()).1,
            json!({"title": "t", "kind": "k", "group": "g", "labels": {"site": "north"}, "priority": 2,
                "effort_minutes": 90,
                "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}})
        );
    }

    #[test]
    fn an_id_that_could_be_a_path_is_refused() {
        for bad in ["..", "a/b", "", "a b"] {
            assert!(
                Only::try_parse_from(["assignment", "close", bad]).is_err(),
                "{bad:?}"
            );
        }
    }
}
