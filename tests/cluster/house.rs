//! The cluster with a Postgres and keys, on which processes of the service run as in production.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::Token;
use ledgerline_check::{Call, Outcome};
use reqwest::Method;
use serde_json::{Value, json};

use crate::load::check;
use crate::network::Network;
use crate::record::{self, Recorder};
use crate::servers::{FEED, LEDGER, SYSTEM, Servers};
use crate::support::http::Answer;
use crate::support::postgres::Postgres;
use crate::support::program::{Folder, run, text};
use crate::support::serve::Serve;
use crate::support::service::Service;
use crate::support::{Api, TestResult, say, until};
use crate::times::EverySecond;

/// Schedules that fire while servers are away.
pub(crate) const SCHEDULES: usize = 3;

/// What the service needs, and its first process.
pub(crate) struct House {
    // In the order in which they end: the processes first.
    pub(crate) first: Serve,
    pub(crate) servers: Servers,
    postgres: Postgres,
    folder: Arc<Folder>,
    one: (String, String),
}

impl House {
    /// Starts everything; the first process has every role, and knows the servers `members`.
    pub(crate) async fn start(
        name: &str,
        network: Option<Network>,
        members: &[usize],
    ) -> TestResult<Self> {
        let folder = Folder::new(name)?;
        let servers = Servers::start(Arc::clone(&folder), network).await?;
        let postgres = Postgres::start(name).await?;
        let key = Token::new("first").context("a token")?;
        infra::keys::ensure(&folder.data().join("keys"), &key)?;
        let migrated = run(&folder.data(), &["migrate", "--database", &postgres.url()])?;
        let said = || text(&migrated.stderr);
        anyhow::ensure!(migrated.status.success(), "migrate: {}", said());
        let one = (servers.url(LEDGER, &[0]), servers.url(FEED, &[0]));
        let roles = "api,projector,reactor";
        let first = process(
            &folder,
            &servers,
            &postgres,
            "first",
            &["--roles", roles, "--replicas", "3"],
            members,
        )?;
        Ok(Self {
            first,
            servers,
            postgres,
            folder,
            one,
        })
    }

    /// Another process, which knows the servers `members`. It is not told how many copies there are: they
    /// stay as the first one made them, and it reads to the leader's end as well.
    pub(crate) fn process(&self, name: &str, roles: &str, members: &[usize]) -> TestResult<Serve> {
        let Self {
            folder,
            servers,
            postgres,
            ..
        } = self;
        process(
            folder,
            servers,
            postgres,
            name,
            &["--roles", roles],
            members,
        )
    }

    /// Waits until everything that follows the journal has come behind a job that is enqueued now: the
    /// read side, the feed, and the dispatcher, which hands the job out.
    pub(crate) async fn follows(&self, recorder: &Recorder, key: &str) -> TestResult {
        let api = self.client("default", "admin")?;
        let began = recorder.now();
        let body = json!({"queue": key, "kind": "noop"});
        let headers = [("Idempotency-Key", key)];
        let (id, position) = until("a job is enqueued", async || {
            let sent = api.post_with("/v1/jobs", &body, &headers);
            let Ok(answer) = sent.await else {
                return Ok(None);
            };
            let outcome = record::outcome(&answer)?;
            let Outcome::Done { position, .. } = outcome else {
                return Ok(None);
            };
            let id = answer.receipt()?.id;
            recorder.add(record::write("admin", "job", &id, key), began, outcome);
            Ok(Some((id, position)))
        })
        .await?;
        until("the read side and the feed follow", async || {
            let Ok(answer) = api.get("/v1/positions").await else {
                return Ok(None);
            };
            if answer.status != 200 {
                return Ok(None);
            }
            let positions = answer.json()?;
            let feed = positions["feed"].as_str().unwrap_or_default();
            let feed = feed.split('.').next().and_then(|feed| feed.parse().ok());
            let there = positions["read_side"].as_u64() >= Some(position) && feed >= Some(position);
            Ok(there.then_some(()))
        })
        .await?;
        let claim =
            json!({"queues": [key], "worker": "w", "jobs_max": 1, "lease_s": 300, "wait_ms": 500});
        until("the dispatcher hands the job out", async || {
            let answer = api.post("/v1/jobs/claim", &claim).await?;
            if answer.status == 503 {
                return Ok(None);
            }
            let claimed = answer.is(200).json()?;
            Ok((claimed["jobs"][0]["id"] == json!(id)).then_some(()))
        })
        .await
    }
}

impl House {
    /// Judges what clients were told when everything is over: nothing is lost, doubled or invented, each
    /// server has the same, each time of `schedules` was fired once, and every commit is sealed.
    pub(crate) async fn is_whole(
        &self,
        recorder: &Recorder,
        schedules: &EverySecond,
    ) -> TestResult {
        let api = self.client("default", "admin")?;
        let seen = schedules.end(self, &api, recorder).await?;
        say(&format!("{} times of schedules fired", seen.count()));
        check(self, recorder).await?;
        self.is_sealed().await?;
        self.servers.agree().await
    }

    /// What `doctor` finds: of each check, how it is and what was found.
    pub(crate) fn examined(&self) -> TestResult<BTreeMap<String, (String, String)>> {
        let all = [0, 1, 2];
        let keys = self.folder.data().join("keys");
        let arguments = [
            ["--nats", &self.servers.url(LEDGER, &all)],
            ["--nats-feed", &self.servers.url(FEED, &all)],
            ["--nats-system", &self.servers.url(SYSTEM, &all)],
            ["--database", &self.postgres.url()],
            ["--keys", &keys.to_string_lossy()],
        ];
        let arguments = [&["doctor", "-o", "json"], arguments.as_flattened()].concat();
        let examined = run(&self.folder.data(), &arguments)?;
        let said: Value =
            serde_json::from_slice(&examined.stdout).with_context(|| text(&examined.stderr))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let checks = said["checks"]
            .as_array()
            .context("there are checks")?
            .iter();
        let found = checks.map(|check| {
            let found = (text(&check["verdict"]), text(&check["found"]));
            (text(&check["check"]), found)
        });
        Ok(found.collect())
    }

    /// Waits until every commit is sealed, and fails where `audit verify` finds anything.
    async fn is_sealed(&self) -> TestResult {
        let verify = ["audit", "verify", "-o", "json", "--nats", &self.one.0];
        until("every commit is sealed", async || {
            let verified = run(&self.folder.data(), &verify)?;
            let said = || format!("{}{}", text(&verified.stdout), text(&verified.stderr));
            anyhow::ensure!(verified.status.code() == Some(0), "audit: {}", said());
            let report: Value = serde_json::from_slice(&verified.stdout).with_context(said)?;
            Ok((report["unsealed"] == 0).then_some(()))
        })
        .await
    }
}

/// Whether a process says that it is ready, and which of its checks fail.
pub(crate) async fn readiness(api: &Api) -> TestResult<(bool, Value)> {
    let answer = Answer::read(api.bare(Method::GET, "/health/ready").send().await?).await?;
    let said = answer.json()?;
    let is_ready = answer.status == 200;
    let wanted = if is_ready {
        (200, "ok")
    } else {
        (503, "failed")
    };
    let fits = (answer.status, said["status"].as_str()) == (wanted.0, Some(wanted.1));
    anyhow::ensure!(fits, "{} {said}", answer.status);
    Ok((is_ready, said["failing"].clone()))
}

impl Service for House {
    /// One server that has come back has what all have.
    fn nats(&self) -> &str {
        &self.one.0
    }

    fn nats_feed(&self) -> &str {
        &self.one.1
    }

    fn client(&self, tenant: &str, roles: &str) -> TestResult<Api> {
        let data = self.folder.data();
        let whom = ["token", "--subject", "tester", "--tenant", tenant];
        let token = run(&data, &[&whom[..], &["--role", roles]].concat())?;
        anyhow::ensure!(token.status.success(), "no token: {}", text(&token.stderr));
        Api::new(&self.first.base, text(&token.stdout).trim())
    }

    fn verified(&self) -> TestResult {
        let (data, database) = (self.folder.data(), self.postgres.url());
        let servers = ["--nats", &self.one.0, "--database", &database];
        let verified = run(&data, &[&["verify"], &servers[..]].concat())?;
        let said = || format!("{}{}", text(&verified.stdout), text(&verified.stderr));
        anyhow::ensure!(verified.status.code() == Some(0), "verify: {}", said());
        Ok(())
    }

    fn name(&self) -> String {
        format!("cluster-{}", std::process::id())
    }
}

fn process(
    folder: &Folder,
    servers: &Servers,
    postgres: &Postgres,
    name: &str,
    own: &[&str],
    members: &[usize],
) -> TestResult<Serve> {
    let arguments = [
        ["--nats", &servers.url(LEDGER, members)],
        ["--nats-feed", &servers.url(FEED, members)],
        ["--nats-system", &servers.url(SYSTEM, members)],
        ["--database", &postgres.url()],
        ["--seal-commits", "100"],
        ["--seal-wait", "1"],
    ];
    let arguments = [own, arguments.as_flattened()].concat();
    Serve::start(folder, name, &arguments)
}

/// How often a test does what `variable` may ask more of.
pub(crate) fn times(variable: &str, default: usize) -> usize {
    let asked = std::env::var(variable).ok();
    asked
        .and_then(|asked| asked.parse().ok())
        .unwrap_or(default)
}

/// From each of `faults` on, the longest time in which nothing was acknowledged, up to the next fault.
pub(crate) fn pauses(calls: &[Call], faults: &[u64]) -> Vec<Duration> {
    let mut acknowledged: Vec<u64> = calls
        .iter()
        .filter(|call| matches!(call.outcome, Outcome::Done { .. }))
        .filter_map(|call| call.ended)
        .collect();
    acknowledged.sort_unstable();
    let ends = faults.iter().skip(1).copied().chain([u64::MAX]);
    let pauses = faults.iter().zip(ends).map(|(fault, end)| {
        let within = acknowledged.iter().filter(|at| (*fault..end).contains(at));
        let all: Vec<u64> = std::iter::once(fault).chain(within).copied().collect();
        let pauses = all.windows(2).map(|pair| pair[1] - pair[0]);
        Duration::from_nanos(pauses.max().unwrap_or_default())
    });
    pauses.collect()
}

/// The least, the median and the most of some times.
pub(crate) fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let (Some(least), Some(most)) = (times.first(), times.last()) else {
        return "none".to_owned();
    };
    let median = times[times.len() / 2];
    format!("{least:.1?} / {median:.1?} / {most:.1?} (least / median / most)")
}
