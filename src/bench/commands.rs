//! Durable commands over HTTP against raw durable appends: many clients, one client, batches.
//!
//! A raw append carries a payload as long as the commit of the same command, the same headers, and
//! an expectation on a subject of the aggregate's own; the same number are under way at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use hyper::body::Bytes;
use infra::ceilings::{RawAppend, RawLog};
use tokio::task::JoinSet;

use super::http::{Connection, Rendered};
use super::load::{self, COMMANDS_PER_LIFE, Life, Step};
use super::program::Positions;
use super::statistics::{median, milliseconds, percentile};
use super::{Bench, Figure, Measured};

/// A number of clients, each with one command under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clients {
    name: &'static str,
    count: usize,
    floor: f64,
}

pub(super) const CLIENTS_64: Clients = Clients {
    name: "commands_64",
    count: 64,
    floor: 0.5,
};
pub(super) const CLIENTS_512: Clients = Clients {
    name: "commands_512",
    count: 512,
    floor: 1.0,
};

/// How much longer than a raw append a command may take at the median, in milliseconds.
const OVERHEAD_MAX_MS: f64 = 0.5;

/// How much the first, uncounted round does of a counted one.
const WARM_UP_PART: usize = 4;

/// How one round went.
#[derive(Debug, Default)]
struct Round {
    per_second: f64,
    latencies_ms: Vec<f64>,
}

/// The commands or appends of one assignment, one after the other.
struct Errand<T>(Vec<T>);

/// The errands that no client has taken yet.
type Waiting<T> = Arc<Mutex<std::vec::IntoIter<Errand<T>>>>;

/// Commands of so many clients, against raw appends of as many.
pub(super) async fn many_clients(bench: &Bench<'_>, clients: &Clients) -> anyhow::Result<Figure> {
    let count = clients.count;
    let lives = bench.scale.lives;
    bench.progress.step(&format!("{count} clients: warm-up"));
    raw(bench, lives / WARM_UP_PART, count).await?;
    over_http(bench, lives / WARM_UP_PART, count).await?;
    let (mut values, mut ceilings, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=bench.scale.rounds {
        bench.progress.step(&format!(
            "{count} clients: round {round} of {}",
            bench.scale.rounds
        ));
        ceilings.push(raw(bench, lives, count).await?.per_second);
        let commands = over_http(bench, lives, count).await?;
        values.push(commands.per_second);
        latencies.extend(commands.latencies_ms);
    }
    let note = format!(
        "ceiling: raw durable appends, {count} at once; p50 {:.2} ms, p99 {:.2} ms",
        percentile(&latencies, 0.5),
        percentile(&latencies, 0.99),
    );
    let measured = Measured {
        name: clients.name,
        unit: "commands/s",
        floor: clients.floor,
        note,
    };
    Ok(measured.rate(&values, &ceilings))
}

/// What HTTP, decision and idempotency add to one raw append, when nobody else is there.
pub(super) async fn one_client(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    let lives = bench.scale.lives_alone;
    bench.progress.step("one client: warm-up");
    raw(bench, lives / WARM_UP_PART, 1).await?;
    over_http(bench, lives / WARM_UP_PART, 1).await?;
    let (mut commands, mut appends, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=bench.scale.rounds {
        bench.progress.step(&format!(
            "one client: round {round} of {}",
            bench.scale.rounds
        ));
        let append = percentile(&raw(bench, lives, 1).await?.latencies_ms, 0.5);
        let command = percentile(&over_http(bench, lives, 1).await?.latencies_ms, 0.5);
        differences.push(command - append);
        appends.push(append);
        commands.push(command);
    }
    let note = format!(
        "p50 of a command {:.3} ms less p50 of a raw append {:.3} ms",
        median(&commands),
        median(&appends),
    );
    let measured = Measured {
        name: "latency_p50",
        unit: "ms",
        floor: 1.0,
        note,
    };
    Ok(measured.limit(&differences, OVERHEAD_MAX_MS))
}

/// One request with 10,000 commands on as many assignments, against single raw appends.
pub(super) async fn batches(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    bench.progress.step("batches: warm-up");
    one_batch(bench).await?;
    let appends = load::BATCH_COMMANDS_MAX / COMMANDS_PER_LIFE;
    raw(bench, appends / WARM_UP_PART, CLIENTS_64.count).await?;
    let (mut values, mut ceilings) = (Vec::new(), Vec::new());
    for round in 1..=bench.scale.rounds {
        bench
            .progress
            .step(&format!("batches: round {round} of {}", bench.scale.rounds));
        ceilings.push(raw(bench, appends, CLIENTS_64.count).await?.per_second);
        values.push(one_batch(bench).await?);
    }
    let note = "ceiling: raw durable appends, 64 at once, each alone".to_owned();
    let measured = Measured {
        name: "commands_batch",
        unit: "commands/s",
        floor: 2.0,
        note,
    };
    Ok(measured.rate(&values, &ceilings))
}

/// Commands a second of one batch.
async fn one_batch(bench: &Bench<'_>) -> anyhow::Result<f64> {
    let lives = bench.fresh.lives(load::BATCH_COMMANDS_MAX);
    let request = bench
        .target
        .post_lines("/v1/commands", load::batch(&lives, &[Step::Request]));
    let mut connection = Connection::open(&bench.target).await?;
    Positions::settled(&bench.target).await?;
    let started = Instant::now();
    let answer = connection.send(request).await?.succeeded()?;
    let elapsed = started.elapsed();
    answer.every_line_succeeded(lives.len())?;
    Ok(lives.len() as f64 / elapsed.as_secs_f64())
}

/// A round of commands, each a request of its own.
async fn over_http(bench: &Bench<'_>, lives: usize, clients: usize) -> anyhow::Result<Round> {
    let render = |life: Life| {
        Errand(
            Step::ALL
                .map(|step| life.render(step, &bench.target))
                .into(),
        )
    };
    let errands: Vec<Errand<Rendered>> = bench.fresh.lives(lives).into_iter().map(render).collect();
    let waiting = waiting(errands);
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(Connection::open(&bench.target).await?);
    }
    Positions::settled(&bench.target).await?;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(http_client(connection, Arc::clone(&waiting)));
    }
    finish(tasks, started).await
}

async fn http_client(
    mut connection: Connection,
    waiting: Waiting<Rendered>,
) -> anyhow::Result<Vec<f64>> {
    let mut latencies_ms = Vec::new();
    while let Some(Errand(requests)) = next(&waiting) {
        for request in requests {
            let sent = Instant::now();
            connection.send(request).await?.succeeded()?;
            latencies_ms.push(milliseconds(sent.elapsed()));
        }
    }
    Ok(latencies_ms)
}

/// Raw durable appends a second, so many at once.
pub(super) async fn raw_appends_a_second(
    bench: &Bench<'_>,
    lives: usize,
    clients: usize,
) -> anyhow::Result<f64> {
    Ok(raw(bench, lives, clients).await?.per_second)
}

/// A round of raw appends.
async fn raw(bench: &Bench<'_>, lives: usize, clients: usize) -> anyhow::Result<Round> {
    let payloads = bench.fresh.life().payloads();
    let render = |life: Life| Errand(appends(life, &payloads));
    let errands: Vec<Errand<RawAppend>> =
        bench.fresh.lives(lives).into_iter().map(render).collect();
    let waiting = waiting(errands);
    Positions::settled(&bench.target).await?;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(raw_client(bench.log.clone(), Arc::clone(&waiting)));
    }
    finish(tasks, started).await
}

async fn raw_client(log: RawLog, waiting: Waiting<RawAppend>) -> anyhow::Result<Vec<f64>> {
    let mut latencies_ms = Vec::new();
    while let Some(Errand(appends)) = next(&waiting) {
        let mut expected = 0;
        for append in appends {
            let sent = Instant::now();
            expected = log.append(RawAppend { expected, ..append }).await?;
            latencies_ms.push(milliseconds(sent.elapsed()));
        }
    }
    Ok(latencies_ms)
}

/// What the journal would be sent for this life.
fn appends(life: Life, payloads: &[Bytes]) -> Vec<RawAppend> {
    let append = |(index, payload): (usize, &Bytes)| RawAppend {
        id: life.id.to_string(),
        expected: 0,
        message_id: Some(format!("{}-{index}", life.id)),
        payload: payload.clone(),
        headers: vec![
            ("Ledgerline-Chain", "0".repeat(64)),
            (
                "Ledgerline-Trace",
                format!("00-{}-00f067aa0ba902b7-01", life.id.simple()),
            ),
        ],
    };
    payloads.iter().enumerate().map(append).collect()
}

fn waiting<T>(errands: Vec<Errand<T>>) -> Waiting<T> {
    Arc::new(Mutex::new(errands.into_iter()))
}

fn next<T>(waiting: &Waiting<T>) -> Option<Errand<T>> {
    waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .next()
}

async fn finish(
    mut tasks: JoinSet<anyhow::Result<Vec<f64>>>,
    started: Instant,
) -> anyhow::Result<Round> {
    let mut latencies_ms = Vec::new();
    while let Some(client) = tasks.join_next().await {
        latencies_ms.extend(client.context("a client broke down")??);
    }
    let per_second = latencies_ms.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Round {
        per_second,
        latencies_ms,
    })
}
