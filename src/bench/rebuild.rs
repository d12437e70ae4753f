//! Filling the table of assignments anew, against the slower of its two unavoidable parts: reading
//! the journal and copying the rows. And the memory of a program that has taken so many events.
//!
//! Everything is in events a second: the rows of the table stand for all events of the journal.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::memory::Memory;
use super::program::Positions;
use super::statistics::median;
use super::{Bench, Figure, Measured, projection};

const MODEL: &str = "assignment";
const EVENT_TABLE: &str = "assignment_event";
const JOURNAL: &str = "JOURNAL";
const FLOOR: f64 = 0.5;

/// What the program may have in memory, in megabytes of a million bytes.
const MEMORY_MAX_MB: f64 = 300.0;

/// How many events are written before progress is told.
const PART_EVENTS: u64 = 100_000;

/// Writes events until the journal has as many as are asked for, and the read side too.
pub(super) async fn fill_journal(bench: &Bench<'_>) -> anyhow::Result<()> {
    let wanted = bench.scale.events;
    Positions::settled(&bench.target).await?;
    let mut there = bench.tables.count(EVENT_TABLE).await?;
    while there < wanted {
        bench
            .progress
            .step(&format!("journal: {there} of {wanted} events"));
        let part = PART_EVENTS
            .min(wanted - there)
            .next_multiple_of(super::load::EVENTS_PER_LIFE);
        projection::write_lives(bench, part).await?;
        there += part;
    }
    bench.progress.step("journal: waiting for the read side");
    Positions::settled(&bench.target).await?;
    Ok(())
}

/// Memory of the program alone.
pub(super) async fn memory(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    let events = bench.tables.count(EVENT_TABLE).await?;
    let memory = Memory::of(bench.program.pid()?)?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let note = format!(
        "resident, after {events} events; the most it had was {:.0} MB",
        megabytes(memory.peak_bytes)
    );
    let measured = Measured {
        name: "memory",
        unit: "MB",
        floor: 1.0,
        note,
    };
    Ok(measured.limit(&[megabytes(memory.resident_bytes)], MEMORY_MAX_MB))
}

/// A rebuild of the table, from the request to the swap.
pub(super) async fn assignment(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    let events = bench.tables.count(EVENT_TABLE).await? as f64;
    let per_second = |elapsed: Duration| events / elapsed.as_secs_f64();
    let (mut values, mut reads, mut copies, mut ceilings) = (vec![], vec![], vec![], vec![]);
    for round in 1..=bench.scale.rebuild_rounds {
        let of = bench.scale.rebuild_rounds;
        bench
            .progress
            .step(&format!("rebuild: round {round} of {of}"));
        let read = per_second(bench.log.read(JOURNAL).await?.elapsed);
        let copy = per_second(copy(bench).await?);
        values.push(per_second(rebuild(bench).await?));
        ceilings.push(read.min(copy));
        reads.push(read);
        copies.push(copy);
    }
    let note = format!(
        "from {events} events; ceiling: the smaller of reading the journal ({:.0}) and COPY of the \
         rows ({:.0})",
        median(&reads),
        median(&copies),
    );
    let measured = Measured {
        name: "rebuild_assignment",
        unit: "events/s",
        floor: FLOOR,
        note,
    };
    Ok(measured.rate(&values, &ceilings))
}

/// How long the rows take into an equal table with its indexes.
async fn copy(bench: &Bench<'_>) -> anyhow::Result<Duration> {
    let table = bench.tables.like(MODEL).await?;
    let rows = bench.tables.rows(MODEL, "true").await?;
    ensure!(!rows.is_empty(), "there is nothing to copy");
    Ok(bench.tables.copy(&table, &rows).await?)
}

async fn rebuild(bench: &Bench<'_>) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let request = bench
        .target
        .post(&format!("/v1/models/{MODEL}/rebuild"), None, "");
    bench
        .target
        .once(request)
        .await?
        .succeeded()
        .context("ask for a rebuild")?;
    let has = |positions: &Positions, status| {
        positions
            .model(MODEL)
            .is_ok_and(|model| model.status == status)
    };
    Positions::when(&bench.target, |positions| has(positions, "rebuilding")).await?;
    let done = Positions::when(&bench.target, |positions| !has(positions, "rebuilding")).await?;
    let status = &done.model(MODEL)?.status;
    ensure!(
        status == "live",
        "the rebuild ended with the model `{status}`"
    );
    Ok(started.elapsed())
}
