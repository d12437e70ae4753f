//! What a schedule is, on the command line: the fields of the body that the API takes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use domain::job::Priority;
use serde_json::{Map, Value, json};

use crate::cli::client::query::Moment;
use crate::cli::label::Label;

/// What is enqueued, and when. A file has the whole; what is given beside it takes its place.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Schedule")]
pub(super) struct SpecArgs {
    /// A file with the schedule as JSON, as the API takes it
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// By a cron line: minute, hour, day, month, day of the week; perhaps seconds in front
    #[arg(long, value_name = "LINE", conflicts_with_all = ["every", "at"])]
    cron: Option<String>,
    /// In whose time the cron line is; UTC if not given
    #[arg(long, value_name = "ZONE", requires = "cron")]
    time_zone: Option<String>,
    /// Every so often, as `15m` or `1h 30m`
    #[arg(long, value_name = "DURATION", value_parser = milliseconds, conflicts_with = "at")]
    every: Option<u64>,
    /// One of the times of `--every`; 1970 if not given
    #[arg(long, value_name = "TIME", requires = "every")]
    anchor: Option<Moment>,
    /// Once, at this time
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// Only on business days: what becomes of a time on another day
    #[arg(long, value_name = "HOW", value_parser = ["skip", "before", "after"])]
    business_days: Option<String>,
    /// A date that is no business day; may be given several times
    #[arg(long, value_name = "DATE", requires = "business_days")]
    holiday: Vec<String>,
    /// A day of the week that is no business day; Saturday and Sunday if none is given
    #[arg(long, value_name = "DAY", requires = "business_days")]
    weekend: Vec<String>,
    /// What becomes of a time while the job of an earlier one runs
    #[arg(long, value_name = "HOW", value_parser = ["allow", "skip", "queue", "cancel_running"])]
    overlap: Option<String>,
    /// How many of the times that were missed are made up for: `none`, `last`, or a number
    #[arg(long, value_name = "none|last|N", value_parser = catch_up)]
    catch_up: Option<Value>,
    /// Each job is ready up to so much later, as `30s`
    #[arg(long, value_name = "DURATION", value_parser = milliseconds)]
    jitter: Option<u64>,
    /// Nothing is due before
    #[arg(long, value_name = "TIME")]
    starts_at: Option<Moment>,
    /// Nothing is due from then on
    #[arg(long, value_name = "TIME")]
    ends_at: Option<Moment>,
    /// After so many failures in a row it pauses itself
    #[arg(long, value_name = "N")]
    failures_max: Option<u32>,
    /// The end of a run tells what changed since the last result
    #[arg(long)]
    compare_previous: bool,
    /// In which queue its jobs wait
    #[arg(long)]
    queue: Option<String>,
    /// By which a worker knows what to do
    #[arg(long)]
    kind: Option<String>,
    /// What the worker needs, as JSON
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    payload: Option<Value>,
    /// What comes first in the queue
    #[arg(long)]
    priority: Option<Priority>,
    /// How long one attempt may run
    #[arg(long, value_name = "SECONDS")]
    timeout_s: Option<u32>,
    /// After how many failed attempts a job is dead
    #[arg(long, value_name = "N")]
    attempts_max: Option<u32>,
    /// A label of its jobs; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
}

/// Any JSON.
fn json_text(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// A duration in whole milliseconds.
fn milliseconds(text: &str) -> Result<u64, &'static str> {
    let duration = text.parse::<jiff::SignedDuration>().ok();
    let milliseconds = duration.and_then(|duration| u64::try_from(duration.as_millis()).ok());
    milliseconds.ok_or("must be a duration, as `15m` or `1h 30m`")
}

fn catch_up(text: &str) -> Result<Value, &'static str> {
    match text {
        "none" | "last" => Ok(json!({"type": text})),
        _ => {
            let at_most = text.parse::<u32>();
            let at_most = at_most.map_err(|_| "must be `none`, `last` or a number")?;
            Ok(json!({"type": "all", "at_most": at_most}))
        }
    }
}

impl SpecArgs {
    /// Whether anything is said of it.
    pub(super) fn is_given(&self) -> bool {
        let recurs = self.cron.is_some() || self.every.is_some() || self.at.is_some();
        recurs || self.from_file.is_some()
    }

    /// The body of the request; `placeholders` stand where nothing is said.
    pub(super) fn body(&self, placeholders: Value) -> anyhow::Result<Map<String, Value>> {
        let mut body = object(placeholders)?;
        if let Some(path) = &self.from_file {
            body.extend(read(path)?);
        }
        let job = object(body.remove("job").unwrap_or_else(|| json!({})))?;
        let job = with(job, self.job())?;
        let mut body = with(body, self.fields())?;
        body.insert("job".to_owned(), Value::Object(job));
        Ok(body)
    }

    fn job(&self) -> Value {
        let labels: Map<_, _> = self
            .label
            .iter()
            .map(|label| (label.key.clone(), label.value.clone().into()))
            .collect();
        json!({
            "queue": self.queue, "kind": self.kind, "payload": self.payload,
            "priority": self.priority, "timeout_s": self.timeout_s,
            "attempts_max": self.attempts_max,
            "labels": (!labels.is_empty()).then_some(labels),
        })
    }

    fn fields(&self) -> Value {
        let text = |time: &Option<Moment>| time.map(|time| time.to_string());
        let business_days = self.business_days.as_ref().map(|otherwise| {
            let mut days = json!({"otherwise": otherwise, "holidays": self.holiday});
            if !self.weekend.is_empty() {
                days["weekend"] = json!(self.weekend);
            }
            days
        });
        json!({
            "name": self.name, "recurrence": self.recurrence(), "business_days": business_days,
            "jitter_ms": self.jitter, "overlap": self.overlap, "catch_up": self.catch_up,
            "starts_at": text(&self.starts_at), "ends_at": text(&self.ends_at),
            "failures_max": self.failures_max,
            "compare_previous": self.compare_previous.then_some(true),
        })
    }

    fn recurrence(&self) -> Option<Value> {
        if let Some(line) = &self.cron {
            let zone = self.time_zone.as_deref().unwrap_or("UTC");
            return Some(json!({"type": "cron", "line": line, "time_zone": zone}));
        }
        if let Some(interval_ms) = self.every {
            let mut every = json!({"type": "every", "interval_ms": interval_ms});
            if let Some(anchor) = self.anchor {
                every["anchor"] = json!(anchor.to_string());
            }
            return Some(every);
        }
        let at = self.at?;
        Some(json!({"type": "once", "at": at.to_string()}))
    }
}

fn read(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("read `{}`", path.display()))?;
    let body = serde_json::from_str(&text);
    body.with_context(|| format!("read `{}` as the JSON of a schedule", path.display()))
}

fn object(value: Value) -> anyhow::Result<Map<String, Value>> {
    match value {
        Value::Object(object) => Ok(object),
        _ => anyhow::bail!("read the schedule: `job` must be an object"),
    }
}

/// `fields` with all of `more` that is said.
fn with(mut fields: Map<String, Value>, more: Value) -> anyhow::Result<Map<String, Value>> {
    let more = object(more)?.into_iter();
    fields.extend(more.filter(|(_, value)| !value.is_null()));
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        spec: SpecArgs,
    }

    fn body(line: &[&str]) -> Value {
        let line = ["schedule"].iter().chain(line);
        let only = Only::try_parse_from(line).expect("a line");
        Value::Object(only.spec.body(json!({})).expect("a body"))
    }

    #[test]
    fn a_schedule_has_the_fields_that_were_given_and_no_others() {
        let cron = [
            "--name",
            "n",
            "--cron",
            "0 7 * * *",
            "--queue",
            "q",
            "--kind",
            "k",
            "--catch-up",
            "3",
            "--business-days",
            "after",
            "--holiday",
            "2026-12-25",
            "--jitter",
            "30s",
        ];
        assert_eq!(
            body(&cron),
            json!({
                "name": "n", "job": {"queue": "q", "kind": "k"}, "jitter_ms": 30_000,
                "recurrence": {"type": "cron", "line": "0 7 * * *", "time_zone": "UTC"},
                "catch_up": {"type": "all", "at_most": 3},
                "business_days": {"otherwise": "after", "holidays": ["2026-12-25"]},
            })
        );
        assert_eq!(
            body(&["--every", "1h 30m"])["recurrence"],
            json!({"type": "every", "interval_ms": 5_400_000})
        );
        assert_eq!(
            body(&["--at", "2026-03-01"])["recurrence"],
            json!({"type": "once", "at": "2026-03-01T00:00:00Z"})
        );
    }

    #[test]
    fn two_recurrences_are_one_too_many() {
        for two in [
            ["--every", "1m", "--at", "2026-03-01"],
            ["--cron", "* * * * *", "--every", "1m"],
        ] {
            let line = ["schedule"].iter().chain(&two);
            assert!(Only::try_parse_from(line).is_err(), "{two:?}");
        }
    }
}
