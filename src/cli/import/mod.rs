//! `import xes`: an event log becomes commands, sent through the same door as all others.
//!
//! Reads: the log, in a stream, and the mapping. Writes: commands to `POST /v1/commands`, and what
//! could not be taken to a rejects file.
//!
//! Invariants:
//! - Every event of the log is counted exactly once: as recorded, as already there, as unchanged, or
//!   as rejected with its reason and its place. The sum is checked before it is shown.
//! - The commands of one case are sent in the order of the log; cases go side by side.
//! - Memory is bounded by the cases read ahead and the lines in flight, whatever the log's size.
//! - A second run adds nothing: the keys derive from source, case and event.

mod lane;
mod read;
mod rejects;
mod settle;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::lane::{Lane, PlannedEvent};
use self::rejects::{Reject, Rejects};
use self::tally::{Summary, Tally};
use super::Console;
use super::client::{Client, Query};
use super::failure::Failure;
use super::out::Unit;
use crate::import::plan::{CasePlan, Outcome};

pub(super) const EXAMPLES: &str = XES_EXAMPLES;

const XES_EXAMPLES: &str = "\
Examples:
  ledgerline import xes problems.xes.gz --mapping mapping.yaml --dry-run
  ledgerline import xes problems.xes.gz --mapping mapping.yaml
  ledgerline import xes problems.xes.gz --mapping mapping.yaml --rejects rejects.ndjson -o json

Run again with the token of the same subject, it adds nothing: what is there already is counted as such.
The mapping is described in docs/guides/import.md.";

/// Cases read and planned before there is room for them: enough to keep every lane busy.
const CASES_AHEAD_MAX: usize = 64;
/// How long the end of an import waits for the read side before it leaves it to catch up.
const READ_SIDE_WAIT_MAX: Duration = Duration::from_secs(60);
/// How often the read side is asked meanwhile.
const READ_SIDE_POLL: Duration = Duration::from_millis(100);

/// What is imported.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// Import an XES event log (IEEE 1849), plain or gzip
    #[command(after_help = XES_EXAMPLES)]
    Xes(XesArgs),
}

/// Which log, and how.
#[derive(Debug, Args)]
struct XesArgs {
    /// The log, plain or gzip
    file: PathBuf,
    /// The mapping from the log's attributes to commands, in YAML
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// Where to write the events that could not be taken, one JSON object a line; without it a file
    /// beside you, named after the log, if there are any
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Read and plan everything, send nothing; needs no server
    #[arg(long)]
    dry_run: bool,
    /// Requests at the same time, each of up to 10,000 commands
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    concurrency: u8,
    /// Do not wait until queries show what was imported
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn run(args: ImportArgs, console: &Console) -> anyhow::Result<()> {
    let Source::Xes(args) = args.source;
    let began = Instant::now();
    let mapping = Arc::new(read::mapping(&args.mapping)?);
    let rejects = Arc::new(Rejects::at(args.rejects.clone(), &args.file)?);
    let client = if args.dry_run {
        None
    } else {
        Some(console.client()?)
    };
    let bar = console.out.progress("importing", Unit::Bytes, None);
    let now = console.clock.now();
    let (cases_out, cases) = mpsc::channel(CASES_AHEAD_MAX);
    let reader = tokio::task::spawn_blocking({
        let (file, bar) = (args.file.clone(), bar.clone());
        move || read::log(&file, &bar, &mapping, now, &cases_out)
    });
    let lanes = match &client {
        Some(client) => Lanes::open(client, args.concurrency, &rejects).await?,
        None => Lanes::none(),
    };
    let (mut tally, events_read) = dispatch(cases, lanes, &rejects).await?;
    let read = reader.await.context("read the log")?;
    bar.finish_and_clear();
    rejects.finish()?;
    tally.bytes = bar.position();
    let summary = Summary::new(
        &args.file,
        args.dry_run,
        &tally,
        began.elapsed(),
        rejects.path(),
    );
    summary.check(events_read)?;
    if let (Some(client), Some(position), false) = (&client, tally.position, args.no_wait) {
        wait_for_read_side(client, position, console).await?;
    }
    console.out.document(&summary, |summary| {
        summary.table(console.out.new_table(&[]))
    })?;
    read.with_context(|| format!("read `{}` to its end", args.file.display()))?;
    match tally.rejected() {
        0 => Ok(()),
        rejected => Err(Failure::Rejects(rejected).into()),
    }
}

/// The ways to the server, side by side; a case always takes the same one.
struct Lanes {
    ways: Vec<mpsc::Sender<Vec<PlannedEvent>>>,
    running: JoinSet<anyhow::Result<Tally>>,
}

impl Lanes {
    /// For a dry run: nothing is sent.
    fn none() -> Self {
        Self {
            ways: Vec::new(),
            running: JoinSet::new(),
        }
    }

    async fn open(client: &Client, count: u8, rejects: &Arc<Rejects>) -> anyhow::Result<Self> {
        // Whatever the journal holds by now was there before this import.
        let positions = client.get(&["v1", "positions"], &Query::default()).await?;
        let head = positions.body["journal"]
            .as_u64()
            .context("read the journal's position")?;
        let mut lanes = Self::none();
        for _ in 0..count {
            let (way, cases) = mpsc::channel(CASES_AHEAD_MAX);
            let lane = Lane::new(client.clone(), head, Arc::clone(rejects));
            lanes.ways.push(way);
            lanes.running.spawn(lane.run(cases));
        }
        Ok(lanes)
    }

    /// Takes the events of one case; false when the lane has ended in an error.
    async fn take(&self, case: &CasePlan, events: Vec<PlannedEvent>) -> bool {
        let id = case.id.map_or(0, |id| id.as_u128());
        let index = id % self.ways.len().max(1) as u128;
        match self
            .ways
            .get(usize::try_from(index).expect("below the number of lanes"))
        {
            Some(way) => way.send(events).await.is_ok(),
            None => true,
        }
    }

    /// Lets the lanes send what they have, and adds up what came of it.
    async fn finish(mut self, tally: &mut Tally) -> anyhow::Result<()> {
        self.ways.clear();
        while let Some(ended) = self.running.join_next().await {
            tally.add(ended.context("send commands")??);
        }
        Ok(())
    }
}

/// Hands every case to its lane and counts what needs none. Gives also how many events were read.
async fn dispatch(
    mut cases: mpsc::Receiver<CasePlan>,
    lanes: Lanes,
    rejects: &Rejects,
) -> anyhow::Result<(Tally, u64)> {
    let mut tally = Tally::default();
    let mut events_read = 0;
    while let Some(mut case) = cases.recv().await {
        tally.cases += 1;
        events_read += case.events.len() as u64;
        let mut planned = Vec::new();
        for event in std::mem::take(&mut case.events) {
            if let Some(line) = event.reject_line() {
                let reject = Reject::from(line);
                rejects.write(&reject)?;
                tally.reject(&reject);
            }
            match event.outcome {
                Outcome::Planned(_) if lanes.ways.is_empty() => tally.recorded += 1,
                Outcome::Planned(commands) => {
                    planned.push(PlannedEvent {
                        place: event.place,
                        commands,
                    });
                }
                Outcome::Unchanged => tally.unchanged += 1,
                Outcome::Rejected(_) => {}
            }
        }
        if !planned.is_empty() && !lanes.take(&case, planned).await {
            break;
        }
    }
    // The reader stops at its next case when a lane has failed.
    drop(cases);
    lanes.finish(&mut tally).await?;
    Ok((tally, events_read))
}

/// Waits until queries show the import, so that the next command sees it.
async fn wait_for_read_side(
    client: &Client,
    position: u64,
    console: &Console,
) -> anyhow::Result<()> {
    let bar: ProgressBar = console
        .out
        .progress("read side", Unit::Items, Some(position));
    let began = Instant::now();
    loop {
        let positions = client.get(&["v1", "positions"], &Query::default()).await?;
        let reached = positions.body["read_side"].as_u64().unwrap_or_default();
        bar.set_position(reached.min(position));
        if reached >= position {
            bar.finish_and_clear();
            return Ok(());
        }
        if began.elapsed() > READ_SIDE_WAIT_MAX {
            bar.finish_and_clear();
            console.out.remark(&format!(
                "the read side is at `{reached}` and will reach `{position}` later: see `ledgerline positions`"
            ));
            return Ok(());
        }
        tokio::time::sleep(READ_SIDE_POLL).await;
    }
}
