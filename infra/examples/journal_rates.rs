//! What the journal's adapter makes of a nats-server: appends alone and in crowds, cold loads, the read
//! of everything. `cargo run --release -p infra --example journal_rates -- nats://127.0.0.1:4222`
//!
//! With `read` behind the address it only reads what an earlier run has written.
//!
//! It writes to a stream of its own, `RATES`, and leaves it there to be looked at.

#![expect(clippy::print_stdout, reason = "printing figures is all it does")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Request};
use bytes::Bytes;
use commands::Clock;
use commands::journal::{Append, Journal};
use domain::{Chain, CommandId, Position, StreamId};
use futures_util::StreamExt;
use futures_util::future::join_all;
use infra::clock::SystemClock;
use infra::nats::journal::Settings;
use infra::nats::{JetStreamJournal, connect};
use serde_json::json;
use tokio::sync::Semaphore;

/// How long each rate is measured.
const SECONDS: u64 = 3;

/// Commits that the read of everything meets.
const READ_COMMITS: u64 = 300_000;

/// How many loads of a short stream are timed.
const LOADS: u32 = 2_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let urls = std::env::args().nth(1);
    let urls = urls.ok_or("give the address of a nats-server")?;
    let client = connect(&urls, "journal_rates").await?;
    let settings = Settings {
        stream: "RATES".to_owned(),
        prefix: "rates".to_owned(),
        replicas: None,
    };
    let journal = Arc::new(JetStreamJournal::open(client.clone(), settings).await?);
    if std::env::args().nth(2).as_deref() == Some("read") {
        return read_everything(&journal).await;
    }
    one_client(&journal).await?;
    raw(&client, 64).await?;
    for writers in [64, 128, 192, 256, 512, 1_000, 2_000, 10_000] {
        closed_loop(&journal, writers).await?;
    }
    bursts(&journal).await?;
    loads(&journal).await?;
    read_everything(&journal).await
}

fn append(id: &str, expected: Position) -> Outcome<Append> {
    let command = CommandId(SystemClock.fresh_id());
    let payload = json!({
        "commit": command,
        "at": "2026-11-21T12:00:00Z",
        "actor": {"principal": "measurement"},
        "request": "00".repeat(16),
        "version": 0,
        "events": [{"type": "noted", "data": {"text": "x".repeat(100)}, "v": 1}],
    });
    let payload = Bytes::from(payload.to_string());
    let stream: StreamId = format!("t.measure.{id}").parse()?;
    Ok(Append {
        stream,
        expected,
        id: command,
        chain: commands::chain::extend(Chain::default(), &payload),
        payload,
        trace: None,
    })
}

async fn one_client(journal: &JetStreamJournal) -> Outcome<()> {
    let mut times = Vec::new();
    let mut last = Position::START;
    let id = SystemClock.fresh_id().to_string();
    for _ in 0..LOADS {
        let append = append(&id, last)?;
        let began = Instant::now();
        last = journal.append(append).await?;
        times.push(began.elapsed());
    }
    times.sort();
    println!(
        "one client: p50 {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    Ok(())
}

/// The same payload and headers, without the adapter.
async fn raw(client: &async_nats::Client, writers: usize) -> Outcome<()> {
    let done = AtomicU64::new(0);
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let run = SystemClock.fresh_id();
    let writers_running = (0..writers).map(|writer| {
        let done = &done;
        async move {
            let mut number = 0;
            while Instant::now() < until {
                let append = append("raw", Position::START).ok()?;
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", append.id.to_string());
                headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
                headers.insert("Ledgerline-Chain", append.chain.to_string());
                let request = Request::new().headers(headers).payload(append.payload);
                let subject = format!("rates.t.measure.{run}-{writer}-{number}");
                client.send_request(subject, request).await.ok()?;
                number += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Some(())
        }
    });
    join_all(writers_running).await;
    println!(
        "raw appends, {writers} in flight: {}/s",
        done.into_inner() / SECONDS
    );
    Ok(())
}

/// Each writer writes its next commit when it was told of its last.
async fn closed_loop(journal: &Arc<JetStreamJournal>, writers: usize) -> Outcome<()> {
    let done = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let run = SystemClock.fresh_id();
    let writers_running = (0..writers).map(|writer| {
        let (journal, done) = (journal.clone(), done.clone());
        tokio::spawn(async move {
            let mut last = Position::START;
            while Instant::now() < until {
                let Ok(append) = append(&format!("{run}-{writer}"), last) else {
                    return;
                };
                match journal.append(append).await {
                    Ok(position) => last = position,
                    Err(error) => {
                        println!("  failed: {error:?}");
                        return;
                    }
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for writer in join_all(writers_running).await {
        writer?;
    }
    let done = done.load(Ordering::Relaxed);
    println!("journal appends, {writers} writers: {}/s", done / SECONDS);
    Ok(())
}

/// The batch endpoint: 10,000 commits on as many streams, at most so many under way.
async fn bursts(journal: &Arc<JetStreamJournal>) -> Outcome<()> {
    for under_way in [1_000, 2_000, 4_000, 10_000] {
        let run = SystemClock.fresh_id();
        let room = Arc::new(Semaphore::new(under_way));
        let began = Instant::now();
        let appends = (0..10_000).map(|number| {
            let (journal, room) = (journal.clone(), room.clone());
            let append = append(&format!("{run}-{number}"), Position::START).ok();
            tokio::spawn(async move {
                let _room = room.acquire().await.ok()?;
                journal.append(append?).await.ok()
            })
        });
        let mut written = 0;
        for append in join_all(appends).await {
            written += u32::from(append?.is_some());
        }
        let rate = f64::from(written) / began.elapsed().as_secs_f64();
        println!("10,000 appends, {under_way} under way: {written} written, {rate:.0}/s");
    }
    Ok(())
}

async fn loads(journal: &JetStreamJournal) -> Outcome<()> {
    let id = SystemClock.fresh_id().to_string();
    let mut last = Position::START;
    let stream = append(&id, last)?.stream;
    for _ in 0..5 {
        last = journal.append(append(&id, last)?).await?;
    }
    let mut times = Vec::new();
    for _ in 0..LOADS {
        let began = Instant::now();
        let commits = journal.read_stream(&stream, Position::START).count().await;
        times.push(began.elapsed());
        if commits != 5 {
            return Err("the stream has 5 commits".into());
        }
    }
    times.sort();
    println!(
        "load of 5 commits: p50 {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    Ok(())
}

async fn read_everything(journal: &JetStreamJournal) -> Outcome<()> {
    let head = journal.head().await?;
    let count = READ_COMMITS.min(head.0);
    let began = Instant::now();
    let mut entries = journal
        .read_all(Position(head.0 - count))
        .take(usize::try_from(count)?);
    let mut bytes = 0;
    while let Some(entry) = entries.next().await {
        if let domain::Entry::Commit(commit) = entry {
            bytes += commit
                .payload
                .events
                .iter()
                .map(|event| event.json.get().len())
                .sum::<usize>();
        }
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("read of {count} commits: {rate:.0}/s, {bytes} bytes of events");
    Ok(())
}
