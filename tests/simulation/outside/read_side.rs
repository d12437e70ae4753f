//! The read side as the write side asks it: a fold of the journal that lags behind as far as it may.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use commands::dispatch::JobKey;
use commands::dispatch::board::WaitingJob;
use commands::dispatch::{self, OpenJob, OpenJobs};
use commands::journal::BoxError;
use commands::reactions::batches::{CountJobs, Counted};
use commands::reactions::{self, DueSchedules};
use commands::{Known, Lookup, Receipt, Receipts};
use domain::batch::{self, Batch};
use domain::job::{self, Job, Spec, Status};
use domain::schedule::{self, Schedule};
use domain::{
    Aggregate as _, Category, CommandId, Commit, Event, Position, StreamId, Tenant, Timestamp,
};
use futures_util::future::{BoxFuture, FutureExt as _};
use uuid::Uuid;

use super::{Outside, Planned};
use crate::sabotage::Sabotage;

/// How many commits the read side may be behind.
const LAG_COMMITS_MAX: u64 = 40;

/// Every commit of the journal, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Table {
    commits: Vec<Commit>,
    by_command: HashMap<CommandId, usize>,
}

/// A job, folded for the dispatcher.
struct Folded {
    key: JobKey,
    spec: Spec,
    status: Status,
    attempt: u32,
    ready_at: Option<Timestamp>,
    since: Timestamp,
}

impl Table {
    pub(crate) fn push(&mut self, commit: Commit) {
        let index = self.commits.len();
        self.by_command.entry(commit.id()).or_insert(index);
        self.commits.push(commit);
    }

    pub(crate) fn head(&self) -> Position {
        Position(self.commits.len() as u64)
    }

    pub(crate) fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// The events of one category up to `position`, in order.
    fn events<E: Event>(
        &self,
        category: Category,
        position: Position,
    ) -> impl Iterator<Item = (&Commit, E)> {
        let to = usize::try_from(position.0).unwrap_or(usize::MAX);
        let commits = self.commits.iter().take(to);
        let commits = commits.filter(move |commit| commit.stream.is_of(category));
        commits.flat_map(|commit| {
            let events = commit.payload.events.iter();
            events.map(move |event| (commit, event.decode().expect("what we wrote")))
        })
    }

    fn known(&self, tenant: &Tenant, command: CommandId, read_to: Position) -> Option<Known> {
        let commit = &self.commits[*self.by_command.get(&command)?];
        if commit.stream.tenant != *tenant || commit.position > read_to {
            return None;
        }
        let events = commit.payload.events.iter();
        let receipt = Receipt {
            id: commit.stream.id.to_string(),
            version: commit.version_after(),
            position: commit.position,
            command,
            events: events.map(|event| event.name.to_string()).collect(),
            unchanged: false,
        };
        let request = commit.payload.request;
        Some(Known { receipt, request })
    }

    /// Each job, in the order in which they were enqueued.
    fn jobs(&self, position: Position) -> Vec<Folded> {
        let mut jobs: Vec<Folded> = Vec::new();
        let mut at: HashMap<Uuid, usize> = HashMap::new();
        for (commit, event) in self.events::<job::Event>(Job::CATEGORY, position) {
            let id: Uuid = commit.stream.id.as_str().parse().expect("an id");
            if let job::Event::Enqueued(spec) = event {
                at.insert(id, jobs.len());
                jobs.push(Folded {
                    key: (commit.stream.tenant.clone(), id),
                    ready_at: spec.run_after,
                    spec: Arc::unwrap_or_clone(spec),
                    status: Status::Waiting,
                    attempt: 0,
                    since: commit.payload.at,
                });
                continue;
            }
            let Some(job) = at.get(&id).and_then(|index| jobs.get_mut(*index)) else {
                continue;
            };
            job.take(event, commit.payload.at);
        }
        jobs
    }
}

impl Folded {
    fn take(&mut self, event: job::Event, at: Timestamp) {
        use job::Event;
        match event {
            Event::Enqueued(_)
            | Event::Progressed { .. }
            | Event::Failed { .. }
            | Event::TimedOut { .. } => {}
            Event::Started { attempt, .. } => {
                self.status = Status::Running;
                self.attempt = attempt;
                self.since = at;
            }
            Event::Completed { .. } => self.status = Status::Completed,
            Event::DeadLettered { .. } => self.status = Status::Dead,
            Event::Cancelled { .. } => self.status = Status::Cancelled,
            Event::Released { .. } | Event::Requeued => {
                self.status = Status::Waiting;
                self.ready_at = None;
                if event == Event::Requeued {
                    self.spec = self.spec.clone().without_deadline();
                }
            }
            Event::Retried { at } => {
                self.status = Status::Waiting;
                self.ready_at = Some(at);
            }
        }
    }

    fn open(self) -> Option<OpenJob> {
        if self.status.is_ended() {
            return None;
        }
        Some(OpenJob {
            job: self.key,
            waiting: WaitingJob {
                spec: Arc::new(self.spec),
                is_whole: true,
                attempt: self.attempt,
                ready_at: self.ready_at,
            },
            running_since: (self.status == Status::Running).then_some(self.since),
        })
    }
}

impl Outside {
    /// How far the read side has read, no less than to `least`.
    async fn read_to(&self, least: Position) -> Position {
        let head = self.world.table().await.head();
        let lag = match self.world.is_calm() {
            true => 0,
            false => self.world.rng.from(0..=LAG_COMMITS_MAX),
        };
        Position(head.0.saturating_sub(lag)).max(least)
    }
}

impl Receipts for Outside {
    fn find<'a>(&'a self, tenant: &'a Tenant, command: CommandId) -> BoxFuture<'a, Lookup> {
        async move {
            self.way().await;
            let read_to = match self.world.strikes(10) {
                // It did not answer in time.
                true => Position::START,
                false => self.read_to(Position::START).await,
            };
            let is_forgotten = self.world.is_sabotaged(Sabotage::ReceiptsForgotten);
            let known = self.world.table().await.known(tenant, command, read_to);
            let known = known.filter(|_| !is_forgotten);
            self.way().await;
            Lookup { known, read_to }
        }
        .boxed()
    }
}

impl OpenJobs for Outside {
    fn load(&self) -> BoxFuture<'_, Result<dispatch::office::Loaded, BoxError>> {
        async {
            self.way().await;
            if self.world.strikes(10) {
                return Err(Planned.into());
            }
            let position = self.read_to(Position::START).await;
            let jobs = self.world.table().await.jobs(position);
            self.way().await;
            Ok(dispatch::office::Loaded {
                position,
                jobs: jobs.into_iter().filter_map(Folded::open).collect(),
                queues: vec![],
            })
        }
        .boxed()
    }
}

impl DueSchedules for Outside {
    fn load(&self) -> BoxFuture<'_, Result<reactions::Loaded, BoxError>> {
        async {
            self.way().await;
            let position = self.read_to(Position::START).await;
            let mut schedules: BTreeMap<StreamId, Schedule> = BTreeMap::new();
            let table = self.world.table().await;
            let events = table.events::<schedule::Event>(Schedule::CATEGORY, position);
            for (commit, event) in events {
                let schedule = schedules.entry(commit.stream.clone()).or_default();
                schedule.evolve(&event, commit.payload.at);
            }
            let next = schedules
                .into_iter()
                .filter_map(|(stream, schedule)| Some((stream, schedule.next()?)));
            Ok(reactions::Loaded {
                position,
                next: next.collect(),
            })
        }
        .boxed()
    }
}

impl CountJobs for Outside {
    fn count(
        &self,
        batch: &StreamId,
        position: Position,
    ) -> BoxFuture<'_, Result<Option<Counted>, BoxError>> {
        let batch = batch.clone();
        async move {
            self.way().await;
            if self.world.strikes(10) {
                return Err(Planned.into());
            }
            let position = self.read_to(position).await;
            let counted = self.world.table().await.count(&batch, position);
            self.way().await;
            Ok(counted)
        }
        .boxed()
    }
}

impl Table {
    fn count(&self, batch: &StreamId, position: Position) -> Option<Counted> {
        let mut counted: Option<Counted> = None;
        for (_, event) in self
            .events::<batch::Event>(Batch::CATEGORY, position)
            .filter(|(commit, _)| commit.stream == *batch)
        {
            let counted = counted.get_or_insert_default();
            match event {
                batch::Event::Opened(spec) => counted.jobs = spec.jobs,
                batch::Event::Closed { jobs } => counted.jobs = Some(jobs),
                batch::Event::Completed { .. } => counted.is_completed = true,
            }
        }
        let mut counted = counted?;
        let parent = batch::parent(batch.id.as_str().parse().expect("an id"));
        let of_batch = self.jobs(position).into_iter();
        for job in of_batch.filter(|job| job.spec.parent.as_ref() == Some(&parent)) {
            match job.status {
                Status::Waiting | Status::Running => counted.open += 1,
                Status::Completed => counted.ended.succeeded += 1,
                Status::Dead => counted.ended.dead += 1,
                Status::Cancelled => counted.ended.cancelled += 1,
            }
        }
        Some(counted)
    }
}
