//! Jobs from enqueue to completion with 16 workers: one by one, and in batches.
//!
//! Every change of a job is a durable commit, so one job is three: enqueued, started, completed. One
//! by one, the ceiling is three raw durable appends a job, with as many under way as there are
//! clients. In batches it is the raw group commit: atomic batches of 1,000 appends, one after the
//! other. Jobs are no-ops: a worker completes what it was handed at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use commands::Clock as _;
use infra::SystemClock;
use infra::ceilings::RawAppend;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::commands::raw_appends_a_second;
use super::http::{Answer, Connection, Rendered, Target};
use super::load::BATCH_COMMANDS_MAX;
use super::processes::Cpu;
use super::program::Positions;
use super::statistics::{median, milliseconds, percentile};
use super::{Bench, Figure, Measured};

/// Workers, and as many clients that enqueue.
const WORKERS: usize = 16;

/// Jobs that a worker of the batches claims at once, and completes at once.
const CLAIM_JOBS: usize = 1_000;

/// Commits of one job.
const COMMITS_PER_JOB: f64 = 3.0;

/// How long a worker waits for a job before it asks whether there will be one.
const WAIT_MS: u64 = 1_000;

/// Appends of one raw group.
const GROUP: usize = 1_000;

/// Groups of one round.
const GROUPS: usize = 20;

/// What a claim answers, as far as a no-op cares.
#[derive(Debug, Deserialize)]
struct Claimed {
    jobs: Vec<Job>,
}

/// A job as its worker has it.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    id: String,
    attempt: u32,
}

/// One round: a queue of its own, and who is where.
struct Round {
    target: Target,
    queue: String,
    jobs: usize,
    claimed: AtomicUsize,
    completed: AtomicUsize,
    /// When the answer to its enqueue came.
    enqueued: Mutex<HashMap<String, Instant>>,
    waits_ms: Mutex<Vec<f64>>,
    /// When the last one was completed.
    ended: watch::Sender<Option<Instant>>,
}

/// What came of a round.
struct Done {
    per_second: f64,
    /// The same until read side and feed have all of it as well.
    followed_per_second: f64,
    waits_ms: Vec<f64>,
}

/// Time on the processors, a round each; none of a program that somebody else runs.
#[derive(Default)]
struct Costs(Vec<Cpu>);

/// Each job with three requests of its own.
pub(super) async fn one_by_one(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    bench.progress.step("jobs one by one: warm-up");
    let jobs = bench.scale.jobs;
    round(bench, jobs / 4, 1).await?;
    let (mut values, mut ceilings, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=bench.scale.rounds {
        let rounds = bench.scale.rounds;
        bench
            .progress
            .step(&format!("jobs one by one: round {number} of {rounds}"));
        let appends = raw_appends_a_second(bench, jobs / 2, 2 * WORKERS).await?;
        ceilings.push(appends / COMMITS_PER_JOB);
        let done = round(bench, jobs, 1).await?;
        values.push(done.per_second);
        waits.extend(done.waits_ms);
    }
    let measured = Measured {
        name: "jobs_single",
        unit: "jobs/s",
        floor: 0.5,
        note: format!(
            "ceiling: three raw durable appends a job, {} at once; from enqueue to start p50 {:.2} ms, \
             p99 {:.2} ms",
            2 * WORKERS,
            percentile(&waits, 0.5),
            percentile(&waits, 0.99),
        ),
    };
    Ok(measured.rate(&values, &ceilings))
}

/// Enqueued in requests of up to 10,000, claimed and completed 1,000 at a time.
pub(super) async fn in_batches(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    bench.progress.step("jobs in batches: warm-up");
    let jobs = bench.scale.jobs_batched;
    round(bench, jobs / 4, CLAIM_JOBS).await?;
    let (mut values, mut ceilings, mut followed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut of_commits, mut of_jobs) = (Costs::default(), Costs::default());
    for number in 1..=bench.scale.rounds {
        let rounds = bench.scale.rounds;
        bench
            .progress
            .step(&format!("jobs in batches: round {number} of {rounds}"));
        Positions::settled(&bench.target).await?;
        let before = bench.program.cpu();
        ceilings.push(raw_group_appends_a_second(bench).await?);
        let between = bench.program.cpu();
        let done = round(bench, jobs, CLAIM_JOBS).await?;
        values.push(done.per_second);
        followed.push(done.followed_per_second);
        let after = bench.program.cpu();
        of_commits.add(before, between, GROUP * GROUPS);
        of_jobs.add(between, after, jobs);
    }
    let measured = Measured {
        name: "jobs_batched",
        unit: "jobs/s",
        floor: 0.2,
        note: format!(
            "ceiling: raw appends in atomic batches of {GROUP}; a job is three commits; {:.0} jobs/s until read side \
             and feed have all of it as well{}{}",
            median(&followed),
            of_jobs.told("a job"),
            of_commits.told("a raw append"),
        ),
    };
    Ok(measured.rate(&values, &ceilings))
}

/// So many jobs, enqueued and completed `size` at a time.
async fn round(bench: &Bench<'_>, jobs: usize, size: usize) -> anyhow::Result<Done> {
    let round = Arc::new(Round {
        target: bench.target.clone(),
        queue: format!("bench-{}", SystemClock.fresh_id()),
        jobs,
        claimed: AtomicUsize::new(0),
        completed: AtomicUsize::new(0),
        enqueued: Mutex::default(),
        waits_ms: Mutex::default(),
        ended: watch::Sender::default(),
    });
    Positions::settled(&bench.target).await?;
    let started = Instant::now();
    let followed = tokio::spawn(followed(Arc::clone(&round)));
    let mut tasks = JoinSet::new();
    for _ in 0..WORKERS {
        tasks.spawn(work(Arc::clone(&round), size));
    }
    if size == 1 {
        for client in 0..WORKERS {
            let share = jobs / WORKERS + usize::from(client < jobs % WORKERS);
            tasks.spawn(enqueue_singly(Arc::clone(&round), share));
        }
    } else {
        tasks.spawn(enqueue_in_batches(Arc::clone(&round)));
    }
    while let Some(task) = tasks.join_next().await {
        task.context("a client broke down")??;
    }
    // Workers that wait for a job that never comes do not count.
    let ended = *round.ended.borrow();
    let ended = ended.context("not every job was completed")?;
    let followed = followed.await.context("the one who follows broke down")??;
    let per_second = |until: Instant| jobs as f64 / (until - started).as_secs_f64();
    let waits_ms = round.waits_ms.lock();
    let waits_ms = std::mem::take(&mut *waits_ms.unwrap_or_else(PoisonError::into_inner));
    Ok(Done {
        per_second: per_second(ended),
        followed_per_second: per_second(followed),
        waits_ms,
    })
}

/// When read side and feed have everything of the round.
async fn followed(round: Arc<Round>) -> anyhow::Result<Instant> {
    round.ended.subscribe().wait_for(Option::is_some).await?;
    Positions::settled(&round.target).await?;
    Ok(Instant::now())
}

async fn enqueue_singly(round: Arc<Round>, share: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(&round.target).await?;
    for _ in 0..share {
        let id = SystemClock.fresh_id().to_string();
        let request = enqueue_one(&round.target, &round.queue, &id);
        connection.send(request).await?.succeeded()?;
        let enqueued = round.enqueued.lock();
        let mut enqueued = enqueued.unwrap_or_else(PoisonError::into_inner);
        enqueued.entry(id).or_insert_with(Instant::now);
    }
    Ok(())
}

async fn enqueue_in_batches(round: Arc<Round>) -> anyhow::Result<()> {
    let mut connection = Connection::open(&round.target).await?;
    let mut left = round.jobs;
    while left > 0 {
        let count = left.min(BATCH_COMMANDS_MAX);
        let line = |_| {
            let id = SystemClock.fresh_id().to_string();
            let data = json!({"id": id, "queue": round.queue, "kind": "noop", "payload": {"n": 1}});
            let line = json!({"command": "job.enqueue", "key": id, "data": data});
            format!("{line}\n")
        };
        let lines: String = (0..count).map(line).collect();
        let request = round.target.post_lines("/v1/commands", lines);
        let answer = connection.send(request).await?.succeeded()?;
        answer.every_line_succeeded(count)?;
        left -= count;
    }
    Ok(())
}

/// A worker claims what comes next while it completes what it has.
async fn work(round: Arc<Round>, size: usize) -> anyhow::Result<()> {
    let mut claims = Connection::open(&round.target).await?;
    let mut reports = Connection::open(&round.target).await?;
    let mut jobs = Vec::new();
    while round.claimed.load(Ordering::Relaxed) < round.jobs {
        let (claimed, completed) = tokio::join!(
            claim(&round, &mut claims, size),
            complete(&round, &mut reports, &jobs)
        );
        completed?;
        jobs = claimed?;
    }
    complete(&round, &mut reports, &jobs).await
}

async fn claim(
    round: &Round,
    connection: &mut Connection,
    size: usize,
) -> anyhow::Result<Vec<Job>> {
    let request = claim_up_to(&round.target, &round.queue, size);
    let jobs = claimed(&connection.send(request).await?.succeeded()?)?;
    round.claimed.fetch_add(jobs.len(), Ordering::Relaxed);
    if size == 1 {
        round.note_waits(&jobs);
    }
    Ok(jobs)
}

async fn complete(round: &Round, connection: &mut Connection, jobs: &[Job]) -> anyhow::Result<()> {
    match jobs {
        [] => return Ok(()),
        [job] => {
            let request = complete_one(&round.target, job);
            connection.send(request).await?.succeeded()?;
        }
        many => complete_many(round, connection, many).await?,
    }
    let completed = round.completed.fetch_add(jobs.len(), Ordering::Relaxed);
    if completed + jobs.len() == round.jobs {
        round.ended.send_replace(Some(Instant::now()));
    }
    Ok(())
}

async fn complete_many(
    round: &Round,
    connection: &mut Connection,
    jobs: &[Job],
) -> anyhow::Result<()> {
    let line = |job: &Job| {
        let data = json!({"attempt": job.attempt});
        let line = json!({"command": "job.complete", "id": job.id, "data": data});
        format!("{line}\n")
    };
    let lines: String = jobs.iter().map(line).collect();
    let request = round.target.post_lines("/v1/commands", lines);
    let answer = connection.send(request).await?.succeeded()?;
    answer.every_line_succeeded(jobs.len())
}

/// The request that enqueues a no-op.
pub(super) fn enqueue_one(target: &Target, queue: &str, id: &str) -> Rendered {
    let body = json!({"id": id, "queue": queue, "kind": "noop", "payload": {"n": 1}});
    target.post("/v1/jobs", Some(id), body.to_string())
}

/// The request that claims jobs, and waits a moment for them.
pub(super) fn claim_up_to(target: &Target, queue: &str, size: usize) -> Rendered {
    let claim = json!({
        "queues": [queue], "worker": "bench", "jobs_max": size, "wait_ms": WAIT_MS,
    });
    target.post("/v1/jobs/claim", None, claim.to_string())
}

/// What a claim was answered.
pub(super) fn claimed(answer: &Answer) -> anyhow::Result<Vec<Job>> {
    let claimed: Claimed = serde_json::from_slice(&answer.body).context("read a claim")?;
    Ok(claimed.jobs)
}

/// The request that completes a job.
pub(super) fn complete_one(target: &Target, job: &Job) -> Rendered {
    let body = json!({"attempt": job.attempt}).to_string();
    target.post(&format!("/v1/jobs/{}/complete", job.id), None, body)
}

impl Round {
    /// A worker may be faster than the answer to the enqueue: then there was no wait.
    fn note_waits(&self, jobs: &[Job]) {
        let enqueued = self.enqueued.lock();
        let mut enqueued = enqueued.unwrap_or_else(PoisonError::into_inner);
        let waits = jobs.iter().map(|job| {
            let now = Instant::now();
            let since = enqueued.entry(job.id.clone()).or_insert(now);
            milliseconds(now.duration_since(*since))
        });
        let waits_ms = self.waits_ms.lock();
        waits_ms
            .unwrap_or_else(PoisonError::into_inner)
            .extend(waits);
    }
}

impl Costs {
    fn add(&mut self, before: Option<Cpu>, after: Option<Cpu>, count: usize) {
        let spent = before.zip(after);
        self.0
            .extend(spent.map(|(before, after)| after.each(before, count)));
    }

    /// The median of each, in microseconds.
    fn told(&self, of_what: &str) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let microseconds = |part: fn(&Cpu) -> f64| {
            let values: Vec<_> = self.0.iter().map(part).collect();
            median(&values) * 1e6
        };
        format!(
            "; processor time of {of_what}: program {:.0} µs, nats-server {:.0} µs, Postgres {:.0} µs, load {:.0} µs",
            microseconds(|cpu| cpu.program),
            microseconds(|cpu| cpu.nats_server),
            microseconds(|cpu| cpu.postgres),
            microseconds(|cpu| cpu.load),
        )
    }
}

/// Raw appends a second in atomic batches, each waited for.
async fn raw_group_appends_a_second(bench: &Bench<'_>) -> anyhow::Result<f64> {
    let life = bench.fresh.life();
    let payload = life.payloads().swap_remove(2);
    let mut groups = Vec::with_capacity(GROUPS);
    for _ in 0..GROUPS {
        // Of a job's three commits one can come again, as in the journal.
        let append = |number: usize| RawAppend {
            id: SystemClock.fresh_id().to_string(),
            expected: 0,
            message_id: number
                .is_multiple_of(3)
                .then(|| SystemClock.fresh_id().to_string()),
            payload: payload.clone(),
            headers: vec![("Ledgerline-Chain", "0".repeat(64))],
        };
        groups.push((0..GROUP).map(append).collect::<Vec<_>>());
    }
    Positions::settled(&bench.target).await?;
    let started = Instant::now();
    for group in groups {
        bench.log.append_group(group).await?;
    }
    Ok((GROUP * GROUPS) as f64 / started.elapsed().as_secs_f64())
}
