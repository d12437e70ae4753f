//! The live read side: all models catching up with a backlog, against raw `UNNEST` upserts of as
//! many rows into equal tables in as many transactions.
//!
//! The backlog comes about by a lock on the checkpoint: reads of it go on, so commands are taken as
//! ever, and the runner waits where it would have moved on. Its time runs from the end of the lock
//! to the end of the journal, and holds everything: reading, decoding, folding, loading, writing.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use infra::ceilings::tables::Written;
use infra::ceilings::{RawTable, Rows};
use tokio::time::sleep;

use super::load::{self, COMMANDS_PER_LIFE, EVENTS_PER_LIFE, Step};
use super::program::Positions;
use super::{Bench, Figure, Measured};

/// The tables of the models that are written live.
const TABLES: [&str; 4] = ["assignment", "assignment_event", "workload", "command"];
/// The table whose rows are exactly the events.
const EVENT_TABLE: &str = "assignment_event";
/// The one-row table that moves once a transaction.
const CHECKPOINT: &str = "read_side";
const FLOOR: f64 = 0.5;

/// Postgres tells its statistics up to ten seconds late when a connection falls idle.
const STATISTICS_LATE_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the read side did with one backlog.
struct CaughtUp {
    elapsed: Duration,
    /// By table, in the order of [`TABLES`].
    rows: Vec<u64>,
    transactions: u64,
}

/// What Postgres has counted so far.
struct Counted {
    tables: Vec<Written>,
    checkpoint: Written,
}

/// Rows a second of the live runner, against raw upserts.
pub(super) async fn live(bench: &Bench<'_>) -> anyhow::Result<Figure> {
    let (mut values, mut ceilings) = (Vec::new(), Vec::new());
    let (mut events_per_second, mut transactions) = (Vec::new(), 0);
    let events = bench.scale.backlog_events;
    for round in 1..=bench.scale.rounds {
        let of = bench.scale.rounds;
        bench.progress.step(&format!(
            "projection: {events} events, round {round} of {of}"
        ));
        let before = Positions::settled(&bench.target).await?.journal;
        let raw_tables = equal_tables(bench).await?;
        let caught_up = catch_up(bench, events).await?;
        let raw = raw_upserts(bench, &raw_tables, before, &caught_up).await?;
        let rows = caught_up.rows.iter().sum::<u64>() as f64;
        values.push(rows / caught_up.elapsed.as_secs_f64());
        ceilings.push(rows / raw.as_secs_f64());
        events_per_second.push(events as f64 / caught_up.elapsed.as_secs_f64());
        transactions = caught_up.transactions;
    }
    let note = format!(
        "ceiling: raw UNNEST upserts into equal tables; `{:.0}` events/s, `{transactions}` \
         transactions a round",
        super::statistics::median(&events_per_second),
    );
    let measured = Measured {
        name: "projection_live",
        unit: "rows/s",
        floor: FLOOR,
        note,
    };
    Ok(measured.rate(&values, &ceilings))
}

/// Copies of the tables as they are now.
async fn equal_tables(bench: &Bench<'_>) -> anyhow::Result<Vec<RawTable>> {
    let mut tables = Vec::new();
    for table in TABLES {
        let raw = bench.tables.like(table).await?;
        let rows = bench.tables.rows(table, "true").await?;
        bench.tables.copy(&raw, &rows).await?;
        tables.push(raw);
    }
    Ok(tables)
}

/// Makes a backlog of `events`, and lets the read side catch up with it.
async fn catch_up(bench: &Bench<'_>, events: u64) -> anyhow::Result<CaughtUp> {
    let rows = bench.tables.count(EVENT_TABLE).await?;
    let before = counted(bench, rows).await?;
    let hold = bench.tables.hold(CHECKPOINT).await?;
    write_lives(bench, events).await?;
    let journal = Positions::of(&bench.target).await?.journal;
    hold.release().await?;
    let started = Instant::now();
    Positions::when(&bench.target, |positions| positions.read_side >= journal).await?;
    let elapsed = started.elapsed();
    let after = counted(bench, rows + events).await?;
    let rows = after
        .tables
        .iter()
        .zip(&before.tables)
        .map(|(after, before)| after.inserted + after.updated - before.inserted - before.updated);
    Ok(CaughtUp {
        elapsed,
        rows: rows.collect(),
        transactions: after.checkpoint.updated - before.checkpoint.updated,
    })
}

/// Writes so many events into the journal through the batch endpoint, several assignments at once.
pub(super) async fn write_lives(bench: &Bench<'_>, events: u64) -> anyhow::Result<()> {
    let mut lives_left = usize::try_from(events / EVENTS_PER_LIFE)?;
    while lives_left > 0 {
        let count = lives_left.min(load::BATCH_COMMANDS_MAX / COMMANDS_PER_LIFE);
        let lives = bench.fresh.lives(count);
        let lines = load::batch(&lives, &Step::ALL);
        let request = bench.target.post_lines("/v1/commands", lines);
        let answer = bench.target.once(request).await?.succeeded()?;
        answer.every_line_succeeded(count * COMMANDS_PER_LIFE)?;
        lives_left -= count;
    }
    Ok(())
}

/// The statistics, once they know of `event_rows` events.
async fn counted(bench: &Bench<'_>, event_rows: u64) -> anyhow::Result<Counted> {
    let deadline = Instant::now() + STATISTICS_LATE_MAX;
    loop {
        let events = bench.tables.written(EVENT_TABLE).await?.inserted;
        if events == event_rows {
            break;
        }
        if Instant::now() > deadline {
            bail!("Postgres counted `{events}` events where there are `{event_rows}`");
        }
        sleep(LOOK_EVERY).await;
    }
    let mut tables = Vec::new();
    for table in TABLES {
        tables.push(bench.tables.written(table).await?);
    }
    Ok(Counted {
        tables,
        checkpoint: bench.tables.written(CHECKPOINT).await?,
    })
}

/// Upserts as many rows as the read side did, the very rows, in as many transactions.
async fn raw_upserts(
    bench: &Bench<'_>,
    tables: &[RawTable],
    before: u64,
    done: &CaughtUp,
) -> anyhow::Result<Duration> {
    let touched = format!("position > {before}");
    let mut sources: Vec<Rows> = Vec::new();
    for table in TABLES {
        let which = if table == "workload" {
            "true"
        } else {
            &touched
        };
        sources.push(bench.tables.rows(table, which).await?);
    }
    let transactions = usize::try_from(done.transactions)?.max(1);
    let mut plan = vec![Vec::new(); transactions];
    for (table, (source, rows)) in tables.iter().zip(sources.iter().zip(&done.rows)) {
        let shares = shares(usize::try_from(*rows)?, transactions, source.len());
        let shares = shares.context("the read side wrote rows that are not there")?;
        for (writes, ranges) in plan.iter_mut().zip(shares) {
            writes.extend(ranges.into_iter().map(|range| (table, source, range)));
        }
    }
    let started = Instant::now();
    for writes in &plan {
        bench.tables.upsert(writes).await?;
    }
    Ok(started.elapsed())
}

/// `writes` writes over `there` rows, in so many transactions: from the first row to the last and
/// over again, no row twice in one statement. None where there is nothing to write them to.
fn shares(writes: usize, transactions: usize, there: usize) -> Option<Vec<Vec<Range<usize>>>> {
    let mut shares = Vec::with_capacity(transactions);
    let mut written = 0;
    for transaction in 1..=transactions {
        let end = writes * transaction / transactions;
        let mut ranges = Vec::new();
        while written < end {
            let start = written.checked_rem(there)?;
            let stop = there.min(start + end - written);
            ranges.push(start..stop);
            written += stop - start;
        }
        shares.push(ranges);
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_go_round_the_rows_and_sum_up_to_the_writes() {
        let shares = shares(10, 3, 4).expect("there are rows");
        let once = std::iter::once;
        let expected = [once(0..3).collect(), vec![3..4, 0..2], vec![2..4, 0..2]];
        assert_eq!(shares, expected);
    }

    #[test]
    fn nothing_to_write_is_no_share_and_no_rows_is_none() {
        assert_eq!(shares(0, 2, 0), Some(vec![vec![], vec![]]));
        assert_eq!(shares(1, 1, 0), None);
    }
}
