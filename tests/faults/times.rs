//! Schedules that are due every second, and what the journal says of their times: which were fired, and
//! with which jobs.

use std::collections::BTreeMap;

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use domain::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::record::{self, Recorder};
use crate::support::nats::{self, Stored};
use crate::support::service::Service;
use crate::support::{Api, TestResult, until};

/// Schedules that are all due at the same moment, every second.
pub(crate) struct EverySecond(Vec<String>);

/// What the journal says of one schedule's times.
#[derive(Debug, Default)]
struct Times {
    /// Each with its job and how late it was decided on, in the order of the journal.
    fired: Vec<(Timestamp, String, SignedDuration)>,
    skipped: usize,
}

/// What the journal says of schedules, and of jobs.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    schedules: BTreeMap<String, Times>,
    /// When each job was enqueued, every time that it was.
    jobs: BTreeMap<String, Vec<Timestamp>>,
}

impl EverySecond {
    /// Creates so many.
    pub(crate) async fn create(api: &Api, recorder: &Recorder, count: usize) -> TestResult<Self> {
        let mut schedules = Vec::new();
        for number in 0..count {
            let body = json!({
                "name": format!("every second, {number}"),
                "job": {"queue": "faults", "kind": "noop"},
                "recurrence": {"type": "every", "interval_ms": 1_000},
                "catch_up": {"type": "all", "at_most": 100},
            });
            let began = recorder.now();
            let created = api.post("/v1/schedules", &body).await?.is(201);
            let id = created.receipt()?.id;
            let asked = record::write("admin", "schedule", &id, &id);
            recorder.add(asked, began, record::outcome(&created)?);
            schedules.push(id);
        }
        Ok(Self(schedules))
    }

    /// Waits until each of them has fired so many times.
    pub(crate) async fn fired(&self, service: &impl Service, times: usize) -> TestResult<Seen> {
        until("every schedule has fired", async || {
            // Its server may be on its way up.
            let Ok(seen) = Seen::in_the_journal(service).await else {
                return Ok(None);
            };
            let has_fired = |id: &String| {
                let schedule = seen.schedules.get(id);
                schedule.is_some_and(|schedule| schedule.fired.len() >= times)
            };
            Ok(self.0.iter().all(has_fired).then_some(seen))
        })
        .await
    }

    /// Pauses them, waits until every fire has its job, and fails unless each of their times was fired
    /// once and has one job.
    pub(crate) async fn end(
        &self,
        service: &impl Service,
        api: &Api,
        recorder: &Recorder,
    ) -> TestResult<Seen> {
        for id in &self.0 {
            let path = format!("/v1/schedules/{id}/pause");
            let began = recorder.now();
            let paused = api.post(&path, &json!({})).await?.is(200);
            let asked = record::write("admin", "schedule", id, &format!("pause {id}"));
            recorder.add(asked, began, record::outcome(&paused)?);
        }
        let seen = until("every fire has its job", async || {
            let seen = Seen::in_the_journal(service).await?;
            Ok(seen.is_settled().then_some(seen))
        })
        .await?;
        seen.check(&self.0)?;
        Ok(seen)
    }
}

impl Seen {
    async fn in_the_journal(service: &impl Service) -> TestResult<Self> {
        let client = nats::connect(service.nats()).await?;
        let journal = jetstream::new(client).get_stream("JOURNAL").await?;
        let subjects = ["journal.default.schedule.*", "journal.default.job.*"];
        let config = OrderedConfig {
            filter_subjects: subjects.map(str::to_owned).to_vec(),
            ..OrderedConfig::default()
        };
        let mut seen = Self::default();
        for commit in nats::read(&journal, config).await? {
            seen.take(&commit)?;
        }
        Ok(seen)
    }

    fn take(&mut self, commit: &Stored) -> TestResult {
        let mut tokens = commit.subject.split('.').skip(2);
        let (category, id) = (tokens.next(), tokens.next().context("an id")?.to_owned());
        if !matches!(category, Some("schedule" | "job")) {
            return Ok(());
        }
        let payload = commit.json()?;
        let at = time(&payload["at"])?;
        for event in payload["events"].as_array().context("events")? {
            match (category, event["type"].as_str()) {
                (Some("job"), Some("enqueued")) => {
                    self.jobs.entry(id.clone()).or_default().push(at);
                }
                (Some("schedule"), Some("fired")) => {
                    let due = time(&event["data"]["due"])?;
                    let job = event["data"]["job"].as_str().context("a job")?.to_owned();
                    let times = self.schedules.entry(id.clone()).or_default();
                    times.fired.push((due, job, at.duration_since(due)));
                }
                (Some("schedule"), Some("skipped")) => {
                    self.schedules.entry(id.clone()).or_default().skipped += 1;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// How many times were fired.
    pub(crate) fn count(&self) -> usize {
        self.schedules.values().map(|times| times.fired.len()).sum()
    }

    fn is_settled(&self) -> bool {
        let fired = self.schedules.values().flat_map(|times| &times.fired);
        fired
            .into_iter()
            .all(|(_, job, _)| self.jobs.contains_key(job))
    }

    /// How late a time was fired at most, and its job enqueued, of those that are.
    pub(crate) fn lateness(&self) -> TestResult<(SignedDuration, SignedDuration)> {
        let fired = || self.schedules.values().flat_map(|times| &times.fired);
        let enqueued = fired().filter_map(|(due, job, _)| {
            let at = self.jobs.get(job)?.first()?;
            Some(at.duration_since(*due))
        });
        Ok((
            fired().map(|(_, _, late)| *late).max().context("some")?,
            enqueued.max().context("some")?,
        ))
    }

    fn check(&self, schedules: &[String]) -> TestResult {
        for id in schedules {
            let times = self.schedules.get(id).context("it has fired")?;
            anyhow::ensure!(times.skipped == 0, "{id} has skipped something");
            let dues: Vec<Timestamp> = times.fired.iter().map(|(due, _, _)| *due).collect();
            let second = SignedDuration::from_secs(1);
            let gap = dues
                .windows(2)
                .find(|pair| pair[1].duration_since(pair[0]) != second);
            anyhow::ensure!(
                gap.is_none(),
                "{id}: not every second once, in order: {gap:?}"
            );
            for (due, job, _) in &times.fired {
                let enqueued = self.jobs.get(job).map_or(0, Vec::len);
                anyhow::ensure!(enqueued == 1, "{id} at {due}: {enqueued} jobs {job}");
            }
        }
        Ok(())
    }
}

fn time(value: &Value) -> TestResult<Timestamp> {
    Ok(value.as_str().context("a time")?.parse()?)
}
