//! `ledgerline bench`: the figures of the README, each beside its ceiling in the same run.
//!
//! The program under test is a child process ([`program`]), so that it and the load do not share a
//! heap, a scheduler or a lock; the load ([`http`], [`load`]) is rendered before the clock starts.
//! Ceilings are measured on the same servers by [`infra::ceilings`], in rounds that alternate with
//! those of the figure, and medians are compared: what slows the machine down slows both.
//!
//! - [`commands`]: durable commands over HTTP, single and in batches, against raw appends.
//! - [`visible`]: from the answer of a command to a query that shows it.
//! - [`projection`]: the live read side against raw upserts.
//! - [`jobs`]: jobs from enqueue to completion, against raw appends and raw groups.
//! - [`schedules`]: how late schedules fire under load.
//! - [`rebuild`]: filling one table anew against reading and copying; and the program's memory.
//! - [`soak`]: a steady load for some minutes; memory and lag over time.
//!
//! What was measured can be kept in a [`record`], with its [`origin`]; [`report`] makes the tables of
//! `docs/performance.md` from it.
//!
//! Nothing here prints, and nothing here is known to the rest of the program.

mod commands;
mod http;
mod jobs;
mod load;
mod memory;
pub mod origin;
mod processes;
mod program;
mod projection;
mod rebuild;
pub mod record;
pub mod report;
mod schedules;
pub mod soak;
mod statistics;
mod visible;
mod visits;

use std::borrow::Cow;
use std::path::PathBuf;

use ::commands::Clock as _;
use anyhow::Context as _;
use clap::ValueEnum;
use infra::SystemClock;
use infra::ceilings::{RawLog, RawTables};
use serde::{Deserialize, Serialize};

use self::http::Target;
use self::load::Fresh;
use self::origin::{Build, Machine, Servers};
use self::program::Program;
use self::record::{Asked, Recording, Run};
use self::soak::Soak;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// Durable commands over HTTP, 64 clients
    Commands,
    /// What HTTP adds to a raw append, one client
    Latency,
    /// 512 clients, and batches of 10,000 commands
    Group,
    /// From the answer to visible in a query, at 500 commands a second
    Visible,
    /// The live read side
    Projection,
    /// Filling the table of assignments anew
    Rebuild,
    /// Jobs from enqueue to completion with 16 workers, one by one and in batches
    Jobs,
    /// How late schedules fire under load
    Schedules,
    /// Memory of the program
    Memory,
    /// All of it
    All,
}

/// What is to be done.
#[derive(Debug)]
pub enum Work {
    /// Figures, as fast as it goes.
    Measure(Subject),
    /// A steady load.
    Soak(Soak),
}

/// How to measure.
#[derive(Debug)]
pub struct Options {
    /// What.
    pub work: Work,
    /// Fewer commands and rounds: for a look, not for the record.
    pub quick: bool,
    /// How many events the journal has before a rebuild, and before memory is looked at.
    pub events: Option<u64>,
    /// Where the data of the program under test is written; removed afterwards. On a file system in
    /// memory durable appends would mean nothing.
    pub folder: PathBuf,
    /// The `endpoints.json` of a running program to be used instead of one of our own.
    pub endpoints: Option<PathBuf>,
    /// Where each figure is kept as soon as it is known.
    pub record: Option<Recording>,
}

/// One figure beside its ceiling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What was measured.
    pub value: f64,
    /// What it is held against.
    pub ceiling: f64,
    /// How much of the ceiling was reached: `value / ceiling` where more is better, `ceiling / value`
    /// where less is.
    pub ratio: f64,
    /// Of value and ceiling.
    pub unit: Cow<'static, str>,
    /// What the ratio should be at least.
    pub floor: f64,
    /// Whether it is.
    pub ok: bool,
    /// The distance from the lowest to the highest round, as a part of the median.
    pub spread: f64,
    /// The same of the ceiling; zero where the ceiling is a promise and not a measurement.
    pub ceiling_spread: f64,
    /// What the ceiling is, and figures behind the figure.
    pub note: String,
}

/// Hears what goes on.
pub trait Progress: Sync {
    /// The next step begins.
    fn step(&self, what: &str);
}

/// How much is done for each figure.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Rounds of figure and ceiling each, besides a warm-up.
    rounds: usize,
    /// Assignments with [`load::COMMANDS_PER_LIFE`] commands each, in one round of many clients.
    lives: usize,
    /// The same for one client.
    lives_alone: usize,
    /// Commands a second are fixed; this is for how many seconds they come.
    visible_seconds: u64,
    /// Events that the read side has to catch up with.
    backlog_events: u64,
    /// Events in the journal before a rebuild.
    events: u64,
    /// Jobs of one round, one by one.
    jobs: usize,
    /// Jobs of one round, in batches.
    jobs_batched: usize,
    /// Rounds of a rebuild, each of which reads the whole journal.
    rebuild_rounds: usize,
}

impl Scale {
    fn of(options: &Options) -> Self {
        let full = Self {
            rounds: 5,
            lives: 5_000,
            lives_alone: 750,
            visible_seconds: 20,
            backlog_events: 100_000,
            events: 1_000_000,
            jobs: 8_000,
            jobs_batched: 50_000,
            rebuild_rounds: 3,
        };
        let quick = Self {
            rounds: 3,
            lives: 1_500,
            lives_alone: 250,
            visible_seconds: 5,
            backlog_events: 25_000,
            events: 50_000,
            jobs: 2_000,
            jobs_batched: 20_000,
            rebuild_rounds: 2,
        };
        let scale = if options.quick { quick } else { full };
        let events = match options.work {
            Work::Measure(_) => scale.events,
            Work::Soak(_) => soak::EVENTS_BEFORE,
        };
        Self {
            events: options.events.unwrap_or(events),
            ..scale
        }
    }
}

/// Everything a measurement needs at hand.
struct Bench<'a> {
    program: &'a Program,
    target: Target,
    log: RawLog,
    tables: RawTables,
    fresh: Fresh,
    scale: Scale,
    progress: &'a dyn Progress,
}

/// Measures, and tells each figure as soon as it is known.
///
/// # Errors
/// When the program under test does not start or does not answer as it should. A figure below its
/// floor is none.
pub async fn run(options: &Options, progress: &dyn Progress) -> anyhow::Result<Vec<Figure>> {
    let load_before = origin::load_average();
    progress.step("starting the program under test");
    let program = match &options.endpoints {
        Some(endpoints) => Program::attach(endpoints)?,
        None => Program::start(&options.folder).await?,
    };
    let measured = measure(options, &program, load_before, progress).await;
    let log = match &measured {
        Ok(_) => String::new(),
        Err(_) => program.last_words(),
    };
    program
        .stop()
        .await
        .context("stop the program under test")?;
    measured.with_context(|| format!("measure; the program's last words:\n{log}"))
}

async fn measure(
    options: &Options,
    program: &Program,
    load_before: Option<f64>,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Figure>> {
    let endpoints = program.endpoints();
    let bench = Bench {
        program,
        target: program.target()?,
        log: RawLog::connect(&endpoints.nats).await?,
        tables: RawTables::connect(&endpoints.postgres).await?,
        fresh: Fresh::new(),
        scale: Scale::of(options),
        progress,
    };
    let soak = match &options.work {
        Work::Measure(_) => None,
        Work::Soak(soak) => Some(soak),
    };
    let run = Run {
        at: SystemClock.now(),
        build: Build::here(),
        machine: Machine::here(&options.folder),
        servers: Servers {
            nats_server: bench.log.server_version(),
            postgres: bench.tables.server_version().await?,
        },
        options: Asked {
            quick: options.quick,
            events: bench.scale.events,
            minutes: soak.map(|soak| soak.minutes),
            rate: soak.map(|soak| soak.rate),
        },
        load_before,
        figures: Vec::new(),
    };
    let mut told = Told {
        progress,
        record: options.record.clone(),
        run,
    };
    bench.log.make().await?;
    let measured = match &options.work {
        Work::Measure(subject) => bench.figures(*subject, &mut told).await,
        Work::Soak(soak) => soak::steady(&bench, soak, &mut told).await,
    };
    let removed = (bench.log.remove().await, bench.tables.remove().await);
    // Where both failed, the first reason is the program's end.
    measured?;
    removed.0?;
    removed.1?;
    Ok(told.run.figures)
}

/// The figures that are known.
struct Told<'a> {
    progress: &'a dyn Progress,
    record: Option<Recording>,
    run: Run,
}

impl Told<'_> {
    /// A figure is told and kept when it is known: a later one may fail, or somebody may lose patience.
    fn add(&mut self, figure: Figure) -> anyhow::Result<()> {
        let Figure {
            name,
            value,
            ceiling,
            ratio,
            unit,
            ..
        } = &figure;
        let told = format!("{name}: {value:.2} of {ceiling:.2} {unit}, ratio {ratio:.2}");
        self.progress.step(&told);
        if let Some(record) = &mut self.record {
            record.put(&self.run, &figure)?;
        }
        self.run.figures.push(figure);
        Ok(())
    }
}

impl Bench<'_> {
    async fn figures(&self, subject: Subject, told: &mut Told<'_>) -> anyhow::Result<()> {
        let asked = |one| subject == one || subject == Subject::All;
        if asked(Subject::Commands) {
            told.add(commands::many_clients(self, &commands::CLIENTS_64).await?)?;
        }
        if asked(Subject::Latency) {
            told.add(commands::one_client(self).await?)?;
        }
        if asked(Subject::Group) {
            told.add(commands::many_clients(self, &commands::CLIENTS_512).await?)?;
            told.add(commands::batches(self).await?)?;
        }
        if asked(Subject::Visible) {
            told.add(visible::answer_to_query(self).await?)?;
        }
        if asked(Subject::Projection) {
            told.add(projection::live(self).await?)?;
        }
        if asked(Subject::Jobs) {
            told.add(jobs::one_by_one(self).await?)?;
            told.add(jobs::in_batches(self).await?)?;
        }
        if asked(Subject::Schedules) {
            told.add(schedules::late(self).await?)?;
        }
        if asked(Subject::Rebuild) || asked(Subject::Memory) {
            rebuild::fill_journal(self).await?;
        }
        if asked(Subject::Memory) {
            told.add(rebuild::memory(self).await?)?;
        }
        if asked(Subject::Rebuild) {
            told.add(rebuild::assignment(self).await?)?;
        }
        Ok(())
    }
}

/// What a figure is held against.
struct Measured {
    name: &'static str,
    unit: &'static str,
    floor: f64,
    note: String,
}

impl Measured {
    /// More is better; both sides were measured in rounds.
    fn rate(self, values: &[f64], ceilings: &[f64]) -> Figure {
        let (value, ceiling) = (statistics::median(values), statistics::median(ceilings));
        let ratio = value / ceiling;
        Figure {
            name: self.name.into(),
            value,
            ceiling,
            ratio,
            unit: self.unit.into(),
            floor: self.floor,
            ok: ratio >= self.floor,
            spread: statistics::spread(values),
            ceiling_spread: statistics::spread(ceilings),
            note: self.note,
        }
    }

    /// Less is better, and the ceiling is a promise.
    fn limit(self, values: &[f64], limit: f64) -> Figure {
        let value = statistics::median(values);
        // Noise can put a difference of two medians at or below zero.
        let ratio = limit / value.max(limit / 1_000.0);
        Figure {
            name: self.name.into(),
            value,
            ceiling: limit,
            ratio,
            unit: self.unit.into(),
            floor: self.floor,
            ok: ratio >= self.floor,
            spread: statistics::spread(values),
            ceiling_spread: 0.0,
            note: self.note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        Measured {
            name: "n",
            unit: "u",
            floor: 0.5,
            note: String::new(),
        }
    }

    #[test]
    fn a_rate_is_the_part_of_its_ceiling_by_medians() {
        let figure = measured().rate(&[40.0, 60.0, 1_000.0], &[100.0, 100.0, 100.0]);
        assert_eq!((figure.value, figure.ratio, figure.ok), (60.0, 0.6, true));
        assert!(!measured().rate(&[49.0], &[100.0]).ok);
    }

    #[test]
    fn a_limit_is_kept_from_below() {
        let limit = |value| {
            Measured {
                floor: 1.0,
                ..measured()
            }
            .limit(&[value], 25.0)
        };
        assert!(limit(25.0).ok && !limit(25.1).ok);
        assert!(limit(-1.0).ratio.is_finite());
    }
}
