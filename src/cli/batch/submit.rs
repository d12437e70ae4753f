//! `batch submit`: opens a batch, streams its jobs, and says how many there are.
//!
//! Invariant: the batch is closed only when every line became a job. A run that broke off, or whose lines
//! were refused, is made again with its `--key`: what is there already is not enqueued twice.

use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use domain::job::Priority;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::cli::client::lines::{Ends, Lines};
use crate::cli::client::problem::Problem;
use crate::cli::client::{Client, Order};
use crate::cli::failure::Failure;
use crate::cli::label::Label;
use crate::cli::{Console, show};

pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline batch submit mails.ndjson --queue mail --kind send --name 'invoices of May'
  ledgerline batch submit mails.ndjson --queue mail --kind send --on-complete '{\"queue\":\"reports\",\"kind\":\"summary\"}'
  generate-jobs | ledgerline batch submit - --key nightly-2026-05-31";

/// Lines that wait for the server to take them.
const WAITING_MAX: usize = 1_000;

/// Jobs that belong together.
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// File with a job as JSON on each line, as `job enqueue` sends it; `-` for standard input
    file: PathBuf,
    /// The queue of jobs that do not say theirs
    #[arg(long)]
    queue: Option<String>,
    /// The kind of jobs that do not say theirs
    #[arg(long)]
    kind: Option<String>,
    /// The priority of jobs that do not say theirs
    #[arg(long)]
    priority: Option<Priority>,
    /// After how many failures jobs are dead that do not say it
    #[arg(long, value_name = "N")]
    attempts_max: Option<u32>,
    /// What people call the batch
    #[arg(long)]
    name: Option<String>,
    /// A label of the batch; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// The job that follows when all have ended, as JSON
    #[arg(long, value_name = "JSON", value_parser = object)]
    on_complete: Option<Map<String, Value>>,
    /// Id of the batch, a UUID; one made from the key if not given
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    /// Idempotency key; a fresh one if not given
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// One line of the answer.
#[derive(Deserialize)]
struct AnswerLine {
    line: u64,
    status: u16,
    #[serde(default)]
    problem: Option<Problem>,
}

/// What came of the lines.
#[derive(Default)]
struct Outcome {
    enqueued: u64,
    refused: u64,
    first_problem: Option<Problem>,
}

/// A JSON object.
fn object(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_str(text)
}

pub(super) async fn run(args: &SubmitArgs, console: &Console) -> anyhow::Result<()> {
    let client = console.client()?;
    let fresh = || format!("cli-{}", console.clock.fresh_id());
    let key = args.key.clone().unwrap_or_else(fresh);
    let opened = post(&client, &["v1", "batches"], &key, &args.opening()).await?;
    let id = show::text(&opened, "/id");
    let outcome = send(&client, &id, &format!("{key}:jobs"), args, console)
        .await
        .with_context(|| format!("send the jobs of batch `{id}`; go on with `--key {key}`"))?;
    if let Some(problem) = outcome.first_problem {
        let (enqueued, refused) = (outcome.enqueued, outcome.refused);
        let problem = Failure::Problem(Box::new(problem));
        return Err(anyhow::Error::new(problem).context(format!(
            "batch `{id}` is open: `{enqueued}` jobs are enqueued and `{refused}` lines refused; mend \
             them and go on with `--key {key}`"
        )));
    }
    let jobs = outcome.enqueued;
    let path = ["v1", "batches", &id, "close"];
    let closed = post(
        &client,
        &path,
        &format!("{key}:close"),
        &json!({"jobs": jobs}),
    )
    .await?;
    let done = json!({"id": id, "jobs": jobs, "position": closed["position"]});
    console
        .out
        .document(&done, |done| show::fields(console.out.new_table(&[]), done))?;
    Ok(())
}

async fn post(client: &Client, path: &[&str], key: &str, body: &Value) -> anyhow::Result<Value> {
    let order = Order {
        body,
        key: Some(key),
        expected_version: None,
    };
    Ok(client.post(path, &order).await?.body)
}

/// Sends the lines as they are read, and takes in the answers as they come.
async fn send(
    client: &Client,
    id: &str,
    key: &str,
    args: &SubmitArgs,
    console: &Console,
) -> anyhow::Result<Outcome> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let reading = read(&args.file, args.defaults(), sender)?;
    let lines = stream::unfold(receiver, |mut receiver| async {
        let line = receiver.recv().await?;
        Some((Ok::<_, Infallible>(line), receiver))
    });
    let path = ["v1", "batches", id, "jobs"];
    let response = client.post_lines(&path, Some(key), lines).await?;
    let mut answer = response.bytes_stream();
    let mut answered = Lines::ended_by(Ends::LineFeed);
    let mut outcome = Outcome::default();
    while let Some(chunk) = answer.next().await {
        let chunk = chunk.map_err(|error| client.unreachable(&error))?;
        for line in answered.push(&chunk)? {
            outcome.take(&line, console)?;
        }
    }
    let sent = reading.await.context("read the jobs")??;
    let answered = outcome.enqueued + outcome.refused;
    anyhow::ensure!(
        answered == sent || outcome.refused > 0,
        "read the answer: `{answered}` of `{sent}` lines are answered"
    );
    Ok(outcome)
}

/// Reads the lines of `file` into `lines`, with `defaults` in them, in a task that counts them.
fn read(
    file: &Path,
    defaults: Map<String, Value>,
    lines: mpsc::Sender<Vec<u8>>,
) -> anyhow::Result<JoinHandle<anyhow::Result<u64>>> {
    let input: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let opened = File::open(file);
        Box::new(opened.with_context(|| format!("open `{}`", file.display()))?)
    };
    Ok(tokio::task::spawn_blocking(move || {
        let mut number = 0;
        for line in BufReader::new(input).lines() {
            let line = line.context("read a line")?;
            if line.trim().is_empty() {
                continue;
            }
            number += 1;
            let job = with_defaults(&line, &defaults);
            let job = job.with_context(|| format!("read job `{number}`"))?;
            if lines.blocking_send(job).is_err() {
                break;
            }
        }
        Ok(number)
    }))
}

/// The line as it is sent: whatever it does not say itself from `defaults`.
fn with_defaults(line: &str, defaults: &Map<String, Value>) -> serde_json::Result<Vec<u8>> {
    let own: Map<String, Value> = serde_json::from_str(line)?;
    let mut job = defaults.clone();
    job.extend(own);
    let mut text = serde_json::to_vec(&job)?;
    text.push(b'\n');
    Ok(text)
}

impl SubmitArgs {
    fn opening(&self) -> Value {
        let labels = self.label.iter();
        let labels: Map<_, _> = labels
            .map(|label| (label.key.clone(), label.value.clone().into()))
            .collect();
        json!({
            "id": self.id, "name": self.name, "on_complete": self.on_complete, "labels": labels,
        })
    }

    fn defaults(&self) -> Map<String, Value> {
        let all = [
            ("queue", json!(self.queue)),
            ("kind", json!(self.kind)),
            ("priority", json!(self.priority)),
            ("attempts_max", json!(self.attempts_max)),
        ];
        let said = all.into_iter().filter(|(_, value)| !value.is_null());
        said.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Outcome {
    fn take(&mut self, line: &[u8], console: &Console) -> anyhow::Result<()> {
        let answer: AnswerLine =
            serde_json::from_slice(line).context("read a line of the answer")?;
        match answer.problem {
            None => self.enqueued += 1,
            Some(problem) => {
                let problem = Problem {
                    status: answer.status,
                    ..problem
                };
                self.refused += 1;
                console
                    .out
                    .remark(&format!("line {}: {problem}", answer.line));
                self.first_problem.get_or_insert(problem);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_itself_what_it_says_and_has_the_rest_from_the_arguments() {
        let defaults = object(r#"{"queue":"mail","kind":"send"}"#).expect("an object");
        let line = with_defaults(r#"{"kind":"print","payload":7}"#, &defaults).expect("JSON");
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(
            line,
            json!({"queue": "mail", "kind": "print", "payload": 7})
        );
        assert!(with_defaults("[1]", &defaults).is_err());
    }
}
