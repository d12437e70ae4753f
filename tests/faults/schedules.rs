//! Schedules under load, and under kills of everything: each of their times is fired once and has one
//! job, and without a fault none is late. Judged by the raw journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use domain::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::load::Load;
use crate::support::nats::{self, Stored};
use crate::support::{Api, Dice, TestResult, Up, fresh_id, say, until};

const SCHEDULES: usize = 50;
const CLIENTS: usize = 4;
const FAULTS: usize = 5;

/// How many times of each schedule are fired before the first fault.
const TIMES: usize = 8;

/// How late a time may be fired, and its job be enqueued, on a machine that does other things besides;
/// `ledgerline bench schedules` measures it on one that does not.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(20);

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_time_is_fired_once_and_has_one_job_whatever_is_killed() -> TestResult {
    let mut dice = Dice::thrown();
    let mut up = Up::start("schedules")?;
    let listen = up.listen().to_owned();
    let load = Load::on(&up.endpoints.http);
    let ids: Arc<Vec<String>> = Arc::new((0..100).map(|_| fresh_id()).collect());
    let clients = (0..CLIENTS).map(|name| {
        let api = up.api("default", "member")?;
        let dice = Dice::of(dice.below(u64::MAX));
        Ok(tokio::spawn(Arc::clone(&load).client(
            api,
            name,
            Arc::clone(&ids),
            dice,
        )))
    });
    let clients = clients.collect::<TestResult<Vec<_>>>()?;
    let api = up.api("default", "admin")?;
    let schedules = create(&api).await?;
    let seen = fired(&up, &schedules, TIMES).await?;
    let late = seen.lateness()?;
    for fault in 1..=FAULTS {
        match dice.below(3) {
            0 => up.kill_server("nats-server"),
            1 => up.kill_server("postgres"),
            _ => up = Up::on_address(up.kill()?, &listen)?,
        }
        fired(&up, &schedules, TIMES + 2 * fault).await?;
    }
    load.stop();
    for client in clients {
        client.await??;
    }
    let api = up.api("default", "admin")?;
    for id in &schedules {
        let path = format!("/v1/schedules/{id}/pause");
        api.post(&path, &json!({})).await?.is(200);
    }
    let seen = settled(&up).await?;
    let count: usize = seen.schedules.values().map(|times| times.fired.len()).sum();
    say(&format!(
        "{SCHEDULES} schedules fired {count} times, {FAULTS} faults; without one, under load, fired {:?} late at most, \
         with its job in the journal {:?}",
        late.0, late.1
    ));
    seen.check(&schedules)?;
    anyhow::ensure!(late.0 < LATE_MAX && late.1 < LATE_MAX, "late: {late:?}");
    up.verify()
}

/// Waits until every fire has its job.
pub(crate) async fn settled(up: &Up) -> TestResult<Seen> {
    until("every fire has its job", async || {
        let seen = Seen::in_the_journal(up).await?;
        Ok(seen.is_settled().then_some(seen))
    })
    .await
}

/// Schedules that are all due at the same moment, every second.
async fn create(api: &Api) -> TestResult<Vec<String>> {
    let mut schedules = Vec::new();
    for number in 0..SCHEDULES {
        let body = json!({
            "name": format!("every second, {number}"),
            "job": {"queue": "faults", "kind": "noop"},
            "recurrence": {"type": "every", "interval_ms": 1_000},
            "catch_up": {"type": "all", "at_most": 100},
        });
        let created = api.post("/v1/schedules", &body).await?.is(201).receipt()?;
        schedules.push(created.id);
    }
    Ok(schedules)
}

/// Waits until each of them has fired so many times.
async fn fired(up: &Up, schedules: &[String], times: usize) -> TestResult<Seen> {
    until("every schedule has fired", async || {
        // Its server may be on its way up.
        let Ok(seen) = Seen::in_the_journal(up).await else {
            return Ok(None);
        };
        let has_fired = |id: &String| {
            let schedule = seen.schedules.get(id);
            schedule.is_some_and(|schedule| schedule.fired.len() >= times)
        };
        Ok(schedules.iter().all(has_fired).then_some(seen))
    })
    .await
}

impl Seen {
    async fn in_the_journal(up: &Up) -> TestResult<Self> {
        let client = nats::connect(&up.endpoints.nats).await?;
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

    fn is_settled(&self) -> bool {
        let fired = self.schedules.values().flat_map(|times| &times.fired);
        fired
            .into_iter()
            .all(|(_, job, _)| self.jobs.contains_key(job))
    }

    /// How late a time was fired at most, and its job enqueued, of those that are.
    fn lateness(&self) -> TestResult<(SignedDuration, SignedDuration)> {
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
