//! The load of a soak: an open loop, so that a program that falls behind is not spared.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, ensure};
use commands::Clock as _;
use infra::SystemClock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::Bench;
use super::super::jobs;
use super::super::visits::{self, Idle, Paid, REFUSED_MS};

/// Commands beside which there is one job, enqueued, claimed and completed.
const COMMANDS_PER_JOB: usize = 10;

/// How many errands may be under way: at a second each, four times the usual load. Whatever is due while so
/// many wait counts as refused; a program that stands still must not drown in connections, too.
const UNDER_WAY_MAX: usize = 1_000;

/// What the errands took, since somebody looked and in all.
#[derive(Debug, Default)]
pub(super) struct Window(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    since: Counted,
    /// Of each command in the order of the answers: 8 bytes, 138 MB a day.
    all_visible_ms: Vec<f64>,
}

/// What the errands of a while took.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) answered_ms: Vec<f64>,
    pub(super) visible_ms: Vec<f64>,
    /// Commands, jobs and samples that were turned away, broke down, or were not even sent.
    pub(super) failed: u64,
}

impl Window {
    /// What there was since this was asked last.
    pub(super) fn take(&self) -> Counted {
        std::mem::take(&mut self.lock().since)
    }

    /// How long each command took from answer to visible.
    pub(super) fn all_visible_ms(&self) -> Vec<f64> {
        std::mem::take(&mut self.lock().all_visible_ms)
    }

    fn add(&self, paid: Paid) {
        let mut inner = self.lock();
        inner.since.answered_ms.push(paid.answered_ms);
        inner.since.visible_ms.push(paid.visible_ms);
        inner.since.failed += u64::from(paid.visible_ms >= REFUSED_MS);
        inner.all_visible_ms.push(paid.visible_ms);
    }

    /// Something that is not a command came to nothing.
    pub(super) fn fail(&self) {
        self.lock().since.failed += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the load up until it is dropped.
pub(super) async fn start(
    bench: &Bench<'_>,
    rate: usize,
    idle: &Idle,
    window: &Arc<Window>,
) -> anyhow::Result<Infallible> {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    tokio::select! {
        ended = commands(bench, rate, idle, window, &room) => ended,
        ended = noops(jobs_a_second(rate), idle, window, &room) => ended,
    }
}

/// Jobs a second beside so many commands.
pub(super) fn jobs_a_second(rate: usize) -> usize {
    (rate / COMMANDS_PER_JOB).max(1)
}

async fn commands(
    bench: &Bench<'_>,
    rate: usize,
    idle: &Idle,
    window: &Arc<Window>,
    room: &Arc<Semaphore>,
) -> anyhow::Result<Infallible> {
    let mut ticks = visits::ticks(rate);
    for visit in visits::endless(&bench.fresh, idle.target(), rate) {
        let due = ticks.tick().await;
        let Some(permit) = place(room) else {
            window.add(Paid::REFUSED);
            continue;
        };
        let (idle, window) = (idle.clone(), Arc::clone(window));
        tokio::spawn(async move {
            window.add(visit.pay(due, &idle).await.unwrap_or(Paid::REFUSED));
            drop(permit);
        });
    }
    anyhow::bail!("the load came to an end")
}

async fn noops(
    rate: usize,
    idle: &Idle,
    window: &Arc<Window>,
    room: &Arc<Semaphore>,
) -> anyhow::Result<Infallible> {
    let queue: Arc<str> = format!("soak-{}", SystemClock.fresh_id()).into();
    let mut ticks = visits::ticks(rate);
    loop {
        ticks.tick().await;
        let Some(permit) = place(room) else {
            window.fail();
            continue;
        };
        let (idle, window, queue) = (idle.clone(), Arc::clone(window), Arc::clone(&queue));
        tokio::spawn(async move {
            if noop(&idle, &queue).await.is_err() {
                window.fail();
            }
            drop(permit);
        });
    }
}

/// Enqueues a job, then claims one, which may be another's, and completes it.
async fn noop(idle: &Idle, queue: &str) -> anyhow::Result<()> {
    let target = idle.target();
    let id = SystemClock.fresh_id().to_string();
    let enqueue = jobs::enqueue_one(target, queue, &id);
    idle.send(enqueue).await?.succeeded()?;
    let claim = jobs::claim_up_to(target, queue, 1);
    let jobs = jobs::claimed(&idle.send(claim).await?.succeeded()?)?;
    ensure!(
        jobs.len() == 1,
        "claimed `{}` jobs instead of one",
        jobs.len()
    );
    let job = jobs.first().context("there is one")?;
    idle.send(jobs::complete_one(target, job))
        .await?
        .succeeded()?;
    Ok(())
}

fn place(room: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(room).try_acquire_owned().ok()
}
