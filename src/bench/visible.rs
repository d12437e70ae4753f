//! Read your writes: from the answer of a command to the answer of a query that shows it, while
//! commands come at a fixed rate, whether or not earlier ones are done (an open loop).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::http::{Connection, Rendered, Target};
use super::load::{COMMANDS_PER_LIFE, Step};
use super::program::Positions;
use super::statistics::{milliseconds, percentile, spread};
use super::{Bench, Figure, Measured};

/// Commands a second.
pub(super) const RATE: usize = 500;
/// How long the answer may take to become visible, at the 99th percentile, in milliseconds.
const VISIBLE_MAX_MS: f64 = 25.0;
/// Seconds that are not counted: connections are made, and plans.
const WARM_UP_SECONDS: u64 = 2;
/// The spread is that of so many parts of the time.
const PARTS: usize = 5;
/// Enough that a command finds one that is open already.
const CONNECTIONS: usize = 32;

/// What an answer counts that is none: a load that the program turns away is not visible soon.
const REFUSED_MS: f64 = 5_000.0;

/// Connections that nobody uses right now.
type Idle = Arc<Mutex<Vec<Connection>>>;

/// One command and the query for its assignment.
struct Visit {
    command: Rendered,
    query: Rendered,
}

/// The 99th percentile of the time from answer to visible.
pub(super) async fn answer_to_query(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    let seconds = bench.scale.visible_seconds;
    bench
        .progress
        .step(&format!("visible: {RATE} commands/s for {seconds} s"));
    let warm_up = usize::try_from(WARM_UP_SECONDS)? * RATE;
    let (times_ms, rate) = at_rate(bench, warm_up + usize::try_from(seconds)? * RATE).await?;
    let times_ms = &times_ms[warm_up..];
    let part = |part: &[f64]| percentile(part, 0.99);
    let parts: Vec<f64> = times_ms
        .chunks(times_ms.len().div_ceil(PARTS))
        .map(part)
        .collect();
    let refused = times_ms
        .iter()
        .filter(|time_ms| **time_ms >= REFUSED_MS)
        .count();
    let note = format!(
        "at {rate:.0} commands/s; p50 {:.2} ms, longest {:.2} ms, {refused} without an answer; the \
         ceiling is the promise",
        percentile(times_ms, 0.5),
        percentile(times_ms, 1.0),
    );
    let measured = Measured {
        name: "visible_p99",
        unit: "ms",
        floor: 1.0,
        note,
    };
    let figure = measured.limit(&[percentile(times_ms, 0.99)], VISIBLE_MAX_MS);
    Ok(Figure {
        spread: spread(&parts),
        ..figure
    })
}

/// So many commands at the fixed rate; the times from answer to visible, and the rate that there was.
pub(super) async fn at_rate(bench: &Bench<'_>, count: usize) -> anyhow::Result<(Vec<f64>, f64)> {
    let visits = visits(bench, count);
    let idle = Idle::default();
    for _ in 0..CONNECTIONS {
        let connection = Connection::open(&bench.target).await?;
        give_back(&idle, connection);
    }
    Positions::settled(&bench.target).await?;
    let started = Instant::now();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(RATE)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tasks = JoinSet::new();
    for (index, visit) in visits.into_iter().enumerate() {
        ticks.tick().await;
        let (idle, target) = (Arc::clone(&idle), bench.target.clone());
        tasks.spawn(async move { Ok((index, pay(visit, &idle, &target).await?)) });
    }
    let rate = tasks.len() as f64 / started.elapsed().as_secs_f64();
    Ok((collect(tasks).await?, rate))
}

/// The load: each second takes one step further with the assignments of its block, so that a step
/// finds the one before it done.
fn visits(bench: &Bench<'_>, count: usize) -> Vec<Visit> {
    let mut visits = Vec::with_capacity(count);
    for _ in 0..count.div_ceil(RATE * COMMANDS_PER_LIFE) {
        let block = bench.fresh.lives(RATE);
        for step in Step::ALL {
            visits.extend(block.iter().map(|life| Visit {
                command: life.render(step, &bench.target),
                query: bench.target.get(&format!("/v1/assignments/{}", life.id)),
            }));
        }
    }
    visits.truncate(count);
    visits
}

/// Sends the command, then asks for what it did; the time from answer to answer, in milliseconds.
async fn pay(visit: Visit, idle: &Idle, target: &Target) -> anyhow::Result<f64> {
    let mut connection = match take(idle) {
        Some(connection) => connection,
        None => Connection::open(target).await?,
    };
    let receipt = connection.send(visit.command).await?;
    if !receipt.status.is_success() {
        return Ok(REFUSED_MS);
    }
    let answered = Instant::now();
    let position = receipt
        .position
        .context("a receipt has no `Ledgerline-Position`")?;
    let mut query = visit.query;
    query
        .headers_mut()
        .insert("ledgerline-min-position", position.into());
    let shown = connection.send(query).await?;
    if !shown.status.is_success() {
        return Ok(REFUSED_MS);
    }
    let time_ms = milliseconds(answered.elapsed());
    let shown = shown
        .position
        .context("an answer has no `Ledgerline-Position`")?;
    anyhow::ensure!(
        shown >= position,
        "asked for `{position}`, was shown `{shown}`"
    );
    give_back(idle, connection);
    Ok(time_ms)
}

fn take(idle: &Idle) -> Option<Connection> {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back(idle: &Idle, connection: Connection) {
    idle.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(connection);
}

/// The times in the order in which the commands were sent.
async fn collect(mut tasks: JoinSet<anyhow::Result<(usize, f64)>>) -> anyhow::Result<Vec<f64>> {
    let mut times_ms = vec![0.0; tasks.len()];
    while let Some(visit) = tasks.join_next().await {
        let (index, time_ms) = visit.context("a client broke down")??;
        times_ms[index] = time_ms;
    }
    Ok(times_ms)
}
