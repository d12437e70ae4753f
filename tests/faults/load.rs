//! Clients that work under whatever happens: each call has a key, is sent until its outcome is known,
//! and is written down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::Timestamp;
use serde_json::{Value, json};

use crate::checker::{Call, Entry, Outcome, feed_findings, findings};
use crate::support::http::Answer;
use crate::support::{Api, Dice, TestResult, Up, nats, now, until};

/// How long a client waits for one answer before it counts as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A pause before the same call is sent again to a program that is away.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What all clients of one load share.
pub(crate) struct Load {
    started: Instant,
    stop: AtomicBool,
    /// Calls that are sent and not answered now.
    pub(crate) in_flight: AtomicUsize,
    /// Calls that have their outcome.
    pub(crate) resolved: AtomicU64,
    /// Answers that never came: of which call, and when it was given up.
    pub(crate) lost: Mutex<Vec<(String, Timestamp)>>,
    /// Where clients find the program now.
    base: Mutex<String>,
}

impl Load {
    pub(crate) fn on(base: &str) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            stop: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            resolved: AtomicU64::new(0),
            lost: Mutex::default(),
            base: Mutex::new(base.to_owned()),
        })
    }

    /// Lets the clients go on, also with calls that are not resolved yet, at another address.
    pub(crate) fn goes_on_at(&self, base: &str) {
        base.clone_into(
            &mut self
                .base
                .lock()
                .expect("no client fails while it holds the address"),
        );
    }

    /// Lets every client end with the call that it is at.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// A client that goes on until the load is stopped. Gives its calls.
    pub(crate) async fn client(
        self: Arc<Self>,
        api: Api,
        name: usize,
        ids: Arc<Vec<String>>,
        mut dice: Dice,
    ) -> TestResult<Vec<Call>> {
        let mut calls = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let id = &ids[dice.below(ids.len() as u64) as usize];
            let (verb, body) = some_command(&mut dice);
            let path = match verb {
                "" => "/v1/assignments".to_owned(),
                verb => format!("/v1/assignments/{id}/{verb}"),
            };
            let body = if verb.is_empty() {
                with_id(body, id)
            } else {
                body
            };
            let key = format!("client-{name}-{}", calls.len());
            let began = self.now();
            let outcome = self.resolve(&api, &path, &body, &key).await?;
            self.resolved.fetch_add(1, Ordering::SeqCst);
            calls.push(Call {
                key,
                id: id.clone(),
                began,
                ended: self.now(),
                outcome,
            });
        }
        Ok(calls)
    }

    /// Sends a call until its outcome is known.
    async fn resolve(&self, api: &Api, path: &str, body: &Value, key: &str) -> TestResult<Outcome> {
        let began = Instant::now();
        loop {
            let base = self.base.lock().map(|base| base.clone());
            let api = api.at(&base.map_err(|_| anyhow::anyhow!("a client failed"))?);
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            let headers = [("Idempotency-Key", key)];
            let sent = api.post_with(path, body, &headers);
            let answer = tokio::time::timeout(ANSWER_WITHIN, sent).await;
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            match answer {
                Ok(Ok(answer)) => match outcome(&answer)? {
                    Outcome::Unknown => {}
                    known => return Ok(known),
                },
                Ok(Err(_)) | Err(_) => {
                    let mut lost = self
                        .lost
                        .lock()
                        .map_err(|_| anyhow::anyhow!("a client failed"))?;
                    lost.push((key.to_owned(), now()));
                }
            }
            anyhow::ensure!(
                began.elapsed() < 3 * ANSWER_WITHIN,
                "call {key} is never answered"
            );
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// What an answer says. A server that is starting, stopping or cut off says 503.
fn outcome(answer: &Answer) -> TestResult<Outcome> {
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

fn some_command(dice: &mut Dice) -> (&'static str, Value) {
    let person = ["anne", "ben", "carl", "dora"][dice.below(4) as usize];
    match dice.below(10) {
        0 | 1 => ("", json!({"title": "T", "kind": "k", "group": "g"})),
        2 => ("assign", json!({"assignee": person})),
        3 => ("start", json!({"assignee": person})),
        4 => ("requeue", json!({})),
        5 => ("hold", json!({"reason": person})),
        6 => ("resume", json!({})),
        7 => ("complete", json!({"outcome": person})),
        8 => ("reopen", json!({})),
        _ => ("note", json!({"text": person})),
    }
}

fn with_id(mut body: Value, id: &str) -> Value {
    body["id"] = json!(id);
    body
}

/// How many answers were lost behind their commit: the kill came between append and answer.
pub(crate) async fn cut_behind_the_append(
    up: &Up,
    load: &Load,
    calls: &[Call],
) -> TestResult<usize> {
    let stored = nats::read_all(&up.endpoints.nats, "JOURNAL").await?;
    let mut committed = HashMap::new();
    for commit in &stored {
        let at: Timestamp = commit.json()?["at"].as_str().unwrap_or_default().parse()?;
        committed.insert(commit.header("Nats-Msg-Id").to_owned(), at);
    }
    let commands: HashMap<_, _> = calls
        .iter()
        .filter_map(|call| match &call.outcome {
            Outcome::Done { command, .. } => Some((&call.key, command)),
            Outcome::Nothing | Outcome::Unknown => None,
        })
        .collect();
    let lost = load
        .lost
        .lock()
        .map_err(|_| anyhow::anyhow!("a client failed"))?;
    let mut first = HashMap::new();
    for (key, at) in lost.iter() {
        first.entry(key).or_insert(at);
    }
    let behind = first.iter().filter(|(key, lost_at)| {
        let command = commands
            .get(*key)
            .and_then(|command| committed.get(*command));
        command.is_some_and(|at| at < **lost_at)
    });
    Ok(behind.count())
}

/// Compares everything that the clients were told with the journal, the feed and the read models.
pub(crate) async fn check(up: &Up, calls: &[Call]) -> TestResult {
    let stored = nats::read_all(&up.endpoints.nats, "JOURNAL").await?;
    let journal = stored
        .iter()
        .map(Entry::of)
        .collect::<TestResult<Vec<_>>>()?;
    let found = findings(calls, &journal);
    anyhow::ensure!(
        found.is_empty(),
        "{} findings: {:#?}",
        found.len(),
        &found[..found.len().min(5)]
    );
    let head = journal.last().map_or(0, |entry| entry.position);
    let api = up.api("default", "admin")?;
    let ends = journal
        .last()
        .map(|entry| format!("{head}.{}", entry.events.len() - 1));
    until("the feed and the read side are at the head", async || {
        let positions = api.get("/v1/positions").await?.is(200).json()?;
        let there = positions["feed"].as_str() == ends.as_deref() && positions["read_side"] == head;
        Ok(there.then_some(()))
    })
    .await?;
    let feed = nats::read_all(&up.endpoints.nats_feed, "FEED")
        .await
        .context("read the feed")?;
    let found = feed_findings(&journal, &feed);
    anyhow::ensure!(found.is_empty(), "{found:#?}");
    up.verify()
}
