//! A machine: it starts a process, and another one some time after that died.

use std::sync::Arc;
use std::time::Duration;

use commands::dispatch::Dispatcher;
use commands::dispatch::office as dispatch_office;
use commands::memory::MemorySnapshots;
use commands::reactions;
use commands::{Clock, Handler};
use domain::Aggregate;
use domain::assignment::Assignment;
use domain::batch::Batch;
use domain::job::Job;
use domain::schedule::Schedule;
use projections::Projector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::outside::{Life, Outside};
use crate::world::World;

/// How many calls a process makes before it dies: from hardly any to what it makes in some minutes.
const CALLS: std::ops::RangeInclusive<u64> = 5..=600;

/// How far the clocks of machines are apart at most, in milliseconds.
const SKEW_MS_MAX: u64 = 40;

/// A process: a cache of its own, a dispatcher and a reactor.
pub(crate) struct Process {
    pub(crate) assignments: Handler<Assignment>,
    pub(crate) jobs: Arc<Handler<Job>>,
    pub(crate) schedules: Arc<Handler<Schedule>>,
    pub(crate) batches: Arc<Handler<Batch>>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) life: Life,
}

/// Keeps a process running on the machine with this number.
pub(crate) async fn keep_running(world: Arc<World>, number: usize) {
    let skew = world.rng.millis(0..=SKEW_MS_MAX);
    loop {
        let life = Life::of(world.rng.from(CALLS));
        let outside = Arc::new(Outside::new(&world, life.clone(), skew));
        let (process, tasks) = start(&world, outside, life.clone());
        world.runs(number, Some(Arc::new(process)));
        life.ended().await;
        world.note(|| format!("machine {number}: its process died"));
        world.runs(number, None);
        drop(tasks);
        tokio::time::sleep(world.rng.millis(0..=8_000)).await;
    }
}

/// Keeps a projector running, in a process of its own.
pub(crate) async fn keep_projecting(world: Arc<World>, number: usize) {
    loop {
        let life = Life::of(world.rng.from(CALLS));
        let outside = Arc::new(Outside::new(&world, life.clone(), Duration::ZERO));
        let projector = Projector::over(outside.clone(), outside);
        let projecting = tokio::spawn(projector.run(CancellationToken::new()));
        let projecting = AbortOnDropHandle::new(projecting);
        life.ended().await;
        world.note(|| format!("projector {number}: its process died"));
        drop(projecting);
        tokio::time::sleep(world.rng.millis(0..=4_000)).await;
    }
}

fn start(
    world: &Arc<World>,
    outside: Arc<Outside>,
    life: Life,
) -> (Process, [AbortOnDropHandle<()>; 2]) {
    let jobs = Arc::new(handler(&outside));
    let schedules = Arc::new(handler(&outside));
    let batches = Arc::new(handler(&outside));
    let clock: Arc<dyn Clock> = outside.clone();
    let (dispatcher, dispatching) = Dispatcher::new(dispatch_office::Parts {
        journal: outside.clone(),
        jobs: Arc::clone(&jobs),
        clock: Arc::clone(&clock),
        open: outside.clone(),
        office: Arc::new(world.dispatching.clone()),
    });
    let reacting = reactions::run(reactions::Parts {
        journal: outside.clone(),
        clock,
        jobs: Arc::clone(&jobs),
        schedules: Arc::clone(&schedules),
        batches: Arc::clone(&batches),
        count: outside.clone(),
        checkpoint: outside.clone(),
        due: outside.clone(),
        office: Arc::new(world.reacting.clone()),
    });
    let tasks = [
        AbortOnDropHandle::new(tokio::spawn(dispatching)),
        AbortOnDropHandle::new(tokio::spawn(reacting)),
    ];
    let process = Process {
        assignments: handler(&outside),
        jobs,
        schedules,
        batches,
        dispatcher,
        life,
    };
    (process, tasks)
}

/// Streams are too short here for snapshots.
fn handler<A: Aggregate>(outside: &Arc<Outside>) -> Handler<A> {
    let snapshots = Arc::new(MemorySnapshots::default());
    Handler::new(outside.clone(), outside.clone(), snapshots, outside.clone())
}
