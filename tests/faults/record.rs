//! Writes down what clients were told, and has it judged against the raw journal by `ledgerline-check`,
//! which shares no code with the program.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Mutex;
use std::time::Instant;

use ledgerline_check::history::{Asked, Op};
use ledgerline_check::{Call, Finding, History, Message, Outcome, journal, judge};

use crate::support::TestResult;
use crate::support::http::Answer;
use crate::support::nats::{self, Stored};
use crate::support::service::Service;

/// How many findings are shown; all of them can be had again from the saved files.
const SHOWN_MAX: usize = 5;

/// What all clients of one test write down.
#[derive(Debug)]
pub(crate) struct Recorder {
    started: Instant,
    calls: Mutex<Vec<Call>>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            calls: Mutex::default(),
        }
    }

    /// On the one clock of all clients.
    pub(crate) fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// A call that has just ended.
    pub(crate) fn add(&self, asked: Asked, began: u64, outcome: Outcome) {
        let call = Call {
            asked,
            began,
            ended: Some(self.now()),
            outcome,
        };
        let calls = self.calls.lock();
        calls.expect("no client fails while it writes").push(call);
    }

    pub(crate) fn history(&self) -> History {
        let calls = self.calls.lock();
        let mut calls = calls.expect("no client fails while it writes").clone();
        calls.sort_by_key(|call| call.began);
        History { calls }
    }

    /// Fails where anything is wrong, and then saves what it was judged by.
    pub(crate) async fn judge(&self, service: &impl Service) -> TestResult<Vec<Message>> {
        let messages = stored(service).await?;
        let history = self.history();
        let findings = judge::judge(&history, &messages);
        if findings.is_empty() {
            return Ok(messages);
        }
        let folder = std::env::temp_dir().join(format!("ledgerline-history-{}", service.name()));
        std::fs::create_dir_all(&folder)?;
        let file = |name: &str| TestResult::Ok(BufWriter::new(File::create(folder.join(name))?));
        history.write(file("history.ndjson")?)?;
        journal::write(&messages, file("journal.ndjson")?)?;
        let shown: Vec<_> = findings
            .iter()
            .take(SHOWN_MAX)
            .map(Finding::to_string)
            .collect();
        anyhow::bail!(
            "{} findings: {shown:#?}\njudge again: cargo run -p ledgerline-check -- --history {folder}/history.ndjson \
             --journal {folder}/journal.ndjson",
            findings.len(),
            folder = folder.display()
        )
    }
}

/// The raw journal.
pub(crate) async fn stored(service: &impl Service) -> TestResult<Vec<Message>> {
    let stored = nats::read_all(service.nats(), "JOURNAL").await?;
    Ok(stored.into_iter().map(message).collect())
}

fn message(stored: Stored) -> Message {
    let headers = stored.headers.iter();
    let headers: BTreeMap<_, _> = headers
        .filter_map(|(name, values)| Some((name.to_string(), values.first()?.to_string())))
        .collect();
    Message {
        sequence: stored.sequence,
        subject: stored.subject,
        headers,
        payload: stored.payload.to_vec(),
    }
}

/// A command on an aggregate of the tenant that tests use.
pub(crate) fn write(client: &str, category: &str, id: &str, key: &str) -> Asked {
    Asked {
        client: client.to_owned(),
        op: Op::Write,
        stream: format!("default.{category}.{id}"),
        key: key.to_owned(),
        min_position: None,
    }
}

/// What the answer to a command says. A server that is starting, stopping or cut off says 503.
pub(crate) fn outcome(answer: &Answer) -> TestResult<Outcome> {
    match answer.status {
        200 | 201 => {
            let receipt = answer.receipt()?;
            Ok(match receipt.unchanged {
                true => Outcome::Nothing,
                false => Outcome::Done {
                    command: receipt.command,
                    position: receipt.position,
                    version: receipt.version,
                    events: receipt.events,
                },
            })
        }
        404 | 409 => Ok(Outcome::Nothing),
        503 => Ok(Outcome::Unknown),
        _ => anyhow::bail!("unexpected: {} {}", answer.status, answer.text()),
    }
}
