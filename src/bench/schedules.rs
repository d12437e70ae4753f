//! How late schedules fire: from the time that is due to the job in the journal, with many schedules due at
//! the same moment while commands come at a fixed rate.

use anyhow::Context as _;
use commands::Clock as _;
use domain::Timestamp;
use infra::SystemClock;
use serde::Deserialize;
use serde_json::json;

use super::http::Connection;
use super::program::Positions;
use super::statistics::{percentile, spread};
use super::visible::{self, RATE};
use super::{Bench, Figure, Measured};

/// Schedules that are all due at each full second.
const SCHEDULES: usize = 200;

/// How late a time may be, in milliseconds.
const LATE_MAX_MS: f64 = 1_000.0;

/// The spread is that of so many parts of the jobs.
const PARTS: usize = 5;

#[derive(Debug, Deserialize)]
struct Receipt {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Job>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Job {
    /// When it was due: a waiting job is not handed out before.
    ready_at: Timestamp,
    enqueued_at: Timestamp,
}

/// The longest time from due to enqueued.
pub(super) async fn late(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    let seconds = bench.scale.visible_seconds;
    bench.progress.step(&format!(
        "schedules: {SCHEDULES} due each second, beside {RATE} commands/s for {seconds} s"
    ));
    let queue = format!("bench-{}", SystemClock.fresh_id());
    let mut connection = Connection::open(&bench.target).await?;
    let mut schedules = Vec::new();
    for number in 0..SCHEDULES {
        let body = json!({
            "name": format!("bench {number}"),
            "job": {"queue": queue, "kind": "noop"},
            "recurrence": {"type": "every", "interval_ms": 1_000},
        });
        let create = bench.target.post("/v1/schedules", None, body.to_string());
        let answer = connection.send(create).await?.succeeded()?;
        let receipt: Receipt = serde_json::from_slice(&answer.body).context("read a receipt")?;
        schedules.push(receipt.id);
    }
    visible::at_rate(bench, usize::try_from(seconds)? * RATE).await?;
    for id in schedules {
        let path = format!("/v1/schedules/{id}/pause");
        let pause = bench.target.post(&path, None, "{}");
        connection.send(pause).await?.succeeded()?;
    }
    Positions::settled(&bench.target).await?;
    let late_ms = lateness_ms(bench, &queue).await?;
    let longest = |part: &[f64]| percentile(part, 1.0);
    let parts: Vec<f64> = late_ms
        .chunks(late_ms.len().div_ceil(PARTS).max(1))
        .map(longest)
        .collect();
    let measured = Measured {
        name: "schedules_late",
        unit: "ms",
        floor: 1.0,
        note: format!(
            "the longest of {} from due to the job in the journal; p50 {:.1} ms, p99 {:.1} ms; the ceiling is the promise",
            late_ms.len(),
            percentile(&late_ms, 0.5),
            percentile(&late_ms, 0.99),
        ),
    };
    let figure = measured.limit(&[longest(&late_ms)], LATE_MAX_MS);
    Ok(Figure {
        spread: spread(&parts),
        ..figure
    })
}

/// Of each job of the queue, in the order in which they were due.
async fn lateness_ms(bench: &Bench<'_>, queue: &str) -> anyhow::Result<Vec<f64>> {
    let mut late = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/jobs?queue={queue}&sort=enqueued_at&limit=500{cursor}");
        let page: Page = bench.target.json(&path).await?;
        late.extend(page.items.iter().map(|job| {
            let late = job.enqueued_at.duration_since(job.ready_at);
            late.as_secs_f64() * 1_000.0
        }));
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    anyhow::ensure!(!late.is_empty(), "no schedule has fired");
    Ok(late)
}
