//! One run: a journal, machines and clients over it, for some minutes of a time that stands still until
//! everybody waits for it.
//!
//! First the fault plan strikes; then all is calm, and what was begun has to end. Only then is it judged.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use commands::Journal as _;
use commands::memory::MemoryJournal;
use commands::seal::{RawCommit, RawJournal as _};
use domain::{Entry, Position, Timestamp};
use futures_util::StreamExt as _;
use projections::MemoryStore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clients;
use crate::judge;
use crate::machine::{self, Process};
use crate::outside::{Desk, Table};
use crate::record::Record;
use crate::rng::Rng;
use crate::sabotage::Sabotage;

/// Enough for two offices to move among, and for a third process that only appends.
const MACHINES: usize = 3;

/// One in office, and one that stands by.
const PROJECTORS: usize = 2;

/// How long the fault plan strikes, in milliseconds.
const STORM_MS: std::ops::RangeInclusive<u64> = 5_000..=70_000;

/// How long it may take until everything has ended once nothing fails any more. Backoffs and leases are
/// shorter by far.
const CALM_MAX: Duration = Duration::from_secs(1_800);

/// Where and how a run goes on.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) journal: MemoryJournal,
    pub(crate) dispatching: Desk,
    pub(crate) reacting: Desk,
    pub(crate) projecting: Desk,
    pub(crate) tables: MemoryStore,
    pub(crate) record: Record,
    sabotage: Option<Sabotage>,
    /// By how much rarer faults are than each place has them.
    mildness: u64,
    calm: CancellationToken,
    begun: Instant,
    table: Mutex<Table>,
    checkpoint: Mutex<Position>,
    processes: Mutex<[Option<Arc<Process>>; MACHINES]>,
    notes: Mutex<Vec<String>>,
}

/// How a run went.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// What is wrong; nothing, where every promise was kept.
    pub(crate) faults: Vec<String>,
    /// The whole journal, as it is stored.
    pub(crate) journal: Vec<RawCommit>,
    /// What struck, and when.
    pub(crate) notes: Vec<String>,
}

/// Everything from `seed`.
pub(crate) fn run(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing");
    runtime.block_on(async {
        let world = Arc::new(World::new(seed, sabotage));
        let is_settled = world.live().await;
        let journal = world.journal.read_raw(Position::START, Position(u64::MAX));
        let journal = journal.map(|raw| raw.expect("memory can be read"));
        let journal: Vec<_> = journal.collect().await;
        let table = world.table().await;
        let mut faults = judge::faults(&journal, table.commits(), &world.record.known());
        judge::tables(&world.tables, table.commits(), &mut faults);
        if !is_settled {
            faults.push("not everything has ended".to_owned());
            faults.extend(judge::unfinished(table.commits()));
        }
        // A process has its world, and the world its processes: neither would let go of the other.
        *locked(&world.processes) = Default::default();
        Outcome {
            faults,
            journal,
            notes: std::mem::take(&mut *locked(&world.notes)),
        }
    })
}

impl World {
    fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let rng = Rng::new(seed);
        Self {
            mildness: *rng.pick(&[1, 1, 2, 8]),
            rng,
            journal: MemoryJournal::default(),
            dispatching: Desk::default(),
            reacting: Desk::default(),
            projecting: Desk::default(),
            tables: MemoryStore::default(),
            record: Record::default(),
            sabotage,
            calm: CancellationToken::new(),
            begun: Instant::now(),
            table: Mutex::default(),
            checkpoint: Mutex::default(),
            processes: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// Whether everything has ended.
    async fn live(self: &Arc<Self>) -> bool {
        for number in 0..MACHINES {
            tokio::spawn(machine::keep_running(Arc::clone(self), number));
        }
        for number in 0..PROJECTORS {
            tokio::spawn(machine::keep_projecting(Arc::clone(self), number));
        }
        tokio::spawn(Arc::clone(self).move_offices());
        let clients = clients::start(self);
        tokio::time::sleep(self.rng.millis(STORM_MS)).await;
        self.note(|| "calm".to_owned());
        self.calm.cancel();
        let settled = tokio::time::timeout(CALM_MAX, async {
            clients::finish(self, clients).await;
            let mut looked_at = None;
            loop {
                let head = self.table().await.head();
                let is_news = looked_at.replace(head) != Some(head);
                if is_news && judge::unfinished(self.table().await.commits()).is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            while self.tables.position() < self.table().await.head() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let is_settled = settled.await.is_ok();
        // Whatever is done twice is done by then.
        tokio::time::sleep(Duration::from_secs(5)).await;
        is_settled
    }

    /// Lets others believe to be in office before those who are know better.
    async fn move_offices(self: Arc<Self>) {
        while !self.is_calm() {
            tokio::time::sleep(self.rng.millis(500..=20_000)).await;
            let desks = [&self.dispatching, &self.reacting, &self.projecting];
            let Some(lost) = self.rng.pick(&desks).oust() else {
                continue;
            };
            self.note(|| "an office moves".to_owned());
            tokio::time::sleep(self.rng.millis(0..=5_000)).await;
            lost.cancel();
        }
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.calm.is_cancelled()
    }

    /// Waits until nothing strikes any more.
    pub(crate) async fn calm(&self) {
        self.calm.cancelled().await;
    }

    pub(crate) fn is_sabotaged(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    /// Whether a fault happens here, that happens once in so many times in the worst of storms.
    pub(crate) fn strikes(&self, once_in: u64) -> bool {
        !self.is_calm() && self.rng.one_in(once_in * self.mildness)
    }

    /// How long a message is under way: mostly no time at all.
    pub(crate) fn delay(&self) -> Duration {
        match self.rng.below(16) {
            0..10 => Duration::ZERO,
            10..15 => self.rng.millis(1..=3),
            _ if self.is_calm() => self.rng.millis(1..=10),
            _ => self.rng.millis(5..=150),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let base = Timestamp::from_second(1_700_000_000).expect("a time");
        base + self.begun.elapsed()
    }

    /// Keeps what struck, for whoever reads about a seed that failed.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let line = format!("{:>9.3} s  {}", self.begun.elapsed().as_secs_f64(), line());
        locked(&self.notes).push(line);
    }

    /// Every commit of the journal.
    pub(crate) async fn table(&self) -> MutexGuard<'_, Table> {
        let head = self.journal.head().await.expect("memory can be read");
        let reached = locked(&self.table).head();
        if reached < head {
            let mut entries = self.journal.read_all(reached);
            while locked(&self.table).head() < head {
                let Some(Entry::Commit(commit)) = entries.next().await else {
                    panic!("only commits were written, and they never end");
                };
                let mut table = locked(&self.table);
                // Somebody else may have read on meanwhile.
                if commit.position == table.head().next() {
                    table.push(Arc::unwrap_or_clone(commit));
                }
            }
        }
        locked(&self.table)
    }

    pub(crate) fn checkpoint(&self) -> MutexGuard<'_, Position> {
        locked(&self.checkpoint)
    }

    pub(crate) fn runs(&self, machine: usize, process: Option<Arc<Process>>) {
        locked(&self.processes)[machine] = process;
    }

    /// Any process that runs, as soon as one does.
    pub(crate) async fn process(&self) -> Arc<Process> {
        loop {
            let process = self.rng.pick(&*locked(&self.processes)).clone();
            match process {
                Some(process) => return process,
                None => tokio::time::sleep(self.rng.millis(10..=200)).await,
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it is held")
}
