//! Clients that work under whatever happens: each call has a key, is sent until its outcome is known,
//! and is written down.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use domain::Timestamp;
use ledgerline_check::history::{Asked, Op};
use ledgerline_check::{Commit, Outcome};
use serde_json::{Value, json};

use crate::feed_checker::feed_findings;
use crate::record::{self, Recorder, outcome};
use crate::support::http::{Answer, any_body};
use crate::support::service::Service;
use crate::support::{Api, Dice, TestResult, fresh_id, nats, now, until};

/// How long a client waits for one answer before it counts as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A pause before the same call is sent again to a program that is away.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What all clients of one load share.
pub(crate) struct Load {
    /// What they were told.
    pub(crate) recorder: Recorder,
    stop: AtomicBool,
    /// Calls that are sent and not answered now.
    pub(crate) in_flight: AtomicUsize,
    /// Calls that have their outcome.
    pub(crate) resolved: AtomicU64,
    /// Those of them that were acknowledged: their commit stands.
    pub(crate) acknowledged: AtomicU64,
    /// Answers that never came: of which call, and when it was given up.
    pub(crate) lost: Mutex<Vec<(String, Timestamp)>>,
    /// How often each reason was given why a call cannot be answered now.
    pub(crate) reasons: Mutex<BTreeMap<String, usize>>,
    /// Where clients find the program now.
    base: Mutex<String>,
}

impl Load {
    pub(crate) fn on(base: &str) -> Arc<Self> {
        Arc::new(Self {
            recorder: Recorder::start(),
            stop: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            resolved: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            lost: Mutex::default(),
            reasons: Mutex::default(),
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

    /// A client that goes on until the load is stopped, and looks at every tenth thing that it did.
    pub(crate) async fn client(
        self: Arc<Self>,
        api: Api,
        name: usize,
        ids: Arc<Vec<String>>,
        mut dice: Dice,
    ) -> TestResult {
        let mut calls = 0;
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
            let key = format!("client-{name}-{calls}");
            let client = format!("client-{name}");
            calls += 1;
            let began = self.recorder.now();
            let outcome = self.resolve(&api, &path, &body, &key).await?;
            self.resolved.fetch_add(1, Ordering::SeqCst);
            if matches!(outcome, Outcome::Done { .. }) {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            let seen = match &outcome {
                Outcome::Done { position, .. } if calls % 10 == 0 => Some(*position),
                _ => None,
            };
            let asked = record::write(&client, "assignment", id, &key);
            self.recorder.add(asked.clone(), began, outcome);
            if let Some(position) = seen {
                self.look(&api, id, asked, position).await?;
            }
        }
        Ok(())
    }

    /// Requests one more assignment, until it is acknowledged: its id, and where it stands.
    pub(crate) async fn one_more(&self, api: &Api) -> TestResult<(String, u64)> {
        let id = fresh_id();
        let body = with_id(any_body(), &id);
        let began = self.recorder.now();
        let outcome = self.resolve(api, "/v1/assignments", &body, &id).await?;
        let position = match &outcome {
            Outcome::Done { position, .. } => Some(*position),
            Outcome::Nothing | Outcome::Seen { .. } | Outcome::Unknown => None,
        };
        let asked = record::write("one-more", "assignment", &id, &id);
        self.recorder.add(asked, began, outcome);
        Ok((id, position.context("a new assignment has a commit")?))
    }

    /// Asks for an aggregate as it is at `position` or later; a query that is not answered tells nothing.
    async fn look(&self, api: &Api, id: &str, asked: Asked, position: u64) -> TestResult {
        let base = self.base.lock().map(|base| base.clone());
        let api = api.at(&base.map_err(|_| anyhow::anyhow!("a client failed"))?);
        let began = self.recorder.now();
        let path = format!("/v1/assignments/{id}");
        let sent = api.get_at(&path, position);
        let Ok(Ok(answer)) = tokio::time::timeout(ANSWER_WITHIN, sent).await else {
            return Ok(());
        };
        if answer.status != 200 {
            anyhow::ensure!([503, 504].contains(&answer.status), "{}", answer.text());
            return Ok(());
        }
        let asked = Asked {
            op: Op::Read,
            key: format!("{} seen", asked.key),
            min_position: Some(position),
            ..asked
        };
        let outcome = Outcome::Seen {
            position: answer.position()?,
            version: answer.json()?["version"].as_u64().context("a version")?,
        };
        self.recorder.add(asked, began, outcome);
        Ok(())
    }

    /// Notes the reason that an answer gives.
    fn was_told(&self, answer: &Answer) -> TestResult {
        let reason = answer.json()?["detail"].as_str().map(ToOwned::to_owned);
        let reason = reason.with_context(|| format!("no reason: {}", answer.text()))?;
        let reasons = self.reasons.lock();
        let mut reasons = reasons.map_err(|_| anyhow::anyhow!("a client failed"))?;
        *reasons.entry(reason).or_default() += 1;
        Ok(())
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
                    Outcome::Unknown => self.was_told(&answer)?,
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
    service: &impl Service,
    load: &Load,
) -> TestResult<usize> {
    let calls = load.recorder.history().calls;
    let stored = nats::read_all(service.nats(), "JOURNAL").await?;
    let mut committed = HashMap::new();
    for commit in &stored {
        let commit = commit.json()?;
        let text = |name: &str| commit[name].as_str().unwrap_or_default().to_owned();
        committed.insert(text("commit"), text("at").parse::<Timestamp>()?);
    }
    let commands: HashMap<_, _> = calls
        .iter()
        .filter_map(|call| match &call.outcome {
            Outcome::Done { command, .. } => Some((&call.asked.key, command)),
            Outcome::Nothing | Outcome::Seen { .. } | Outcome::Unknown => None,
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
pub(crate) async fn check(service: &impl Service, recorder: &Recorder) -> TestResult {
    let messages = recorder.judge(service).await?;
    let journal = messages.iter().map(Commit::of);
    let journal = journal.collect::<TestResult<Vec<_>>>()?;
    let head = journal.last().map_or(0, |entry| entry.position);
    let api = service.client("default", "admin")?;
    let ends = journal
        .last()
        .map(|entry| format!("{head}.{}", entry.events.len() - 1));
    until("the feed and the read side are at the head", async || {
        let positions = api.get("/v1/positions").await?.is(200).json()?;
        let there = positions["feed"].as_str() == ends.as_deref() && positions["read_side"] == head;
        Ok(there.then_some(()))
    })
    .await?;
    let feed = nats::read_all(service.nats_feed(), "FEED")
        .await
        .context("read the feed")?;
    let found = feed_findings(&journal, &feed);
    anyhow::ensure!(found.is_empty(), "{found:#?}");
    service.verified()
}
