//! Read your writes: from the answer of a command to the answer of a query that shows it, while
//! commands come at a fixed rate, whether or not earlier ones are done (an open loop).

use std::time::Instant;

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::program::Positions;
use super::statistics::{percentile, spread};
use super::visits::{self, Idle, REFUSED_MS, Visit};
use super::{Bench, Figure, Measured};

/// Commands a second.
pub(super) const RATE: usize = 500;
/// How long the answer may take to become visible, at the 99th percentile, in milliseconds.
pub(super) const VISIBLE_MAX_MS: f64 = 25.0;
/// Seconds that are not counted: connections are made, and plans.
const WARM_UP_SECONDS: u64 = 2;
/// The spread is that of so many parts of the time.
const PARTS: usize = 5;

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
    let rendered: Vec<Visit> = visits::endless(&bench.fresh, &bench.target, RATE)
        .take(count)
        .collect();
    let idle = Idle::opened(&bench.target).await?;
    Positions::settled(&bench.target).await?;
    let started = Instant::now();
    let mut ticks = visits::ticks(RATE);
    let mut tasks = JoinSet::new();
    for (index, visit) in rendered.into_iter().enumerate() {
        let due = ticks.tick().await;
        let idle = idle.clone();
        tasks.spawn(async move { Ok((index, visit.pay(due, &idle).await?.visible_ms)) });
    }
    let rate = tasks.len() as f64 / started.elapsed().as_secs_f64();
    Ok((collect(tasks).await?, rate))
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
