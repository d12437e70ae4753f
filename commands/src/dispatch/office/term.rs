//! One term of office: from what is known of the open jobs, along the journal.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::job::{self, Job};
use domain::queue::{self, Queue};
use domain::{Aggregate as _, Commit, Entry, Position, StreamId, Timestamp};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, ReadyChunks};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::appends::{Appends, Outcome};
use super::{Answer, Ask, Ended, OpenJob, Parts};
use crate::clock::instant_of;
use crate::dispatch::board::{Board, WaitingJob};
use crate::dispatch::ready::JobKey;
use crate::dispatch::{Beat, CLAIM_WAIT_MAX, Claim, DispatchError, HandedOut};

/// How many entries of the journal are taken before anybody else is looked at.
const ENTRIES_MAX: usize = 1_000;

/// How much may come due before anybody else is looked at.
const DUE_MAX: usize = 1_000;

/// How many claims may wait for jobs.
const WAITING_CLAIMS_MAX: usize = 5_000;

/// How long a claim of more than one job waits for as many as it asks for, where there are fewer: a
/// hand-out of many costs little more than one of a few.
const FILL: Duration = Duration::from_millis(10);

/// How long a job rests that could not be started: what stood in its way, as a journal that does not
/// answer, is not gone at once.
const REST: Duration = Duration::from_secs(1);

/// How many outcomes of appends may wait to be noted, and how many are noted before anybody else is looked at.
const OUTCOMES_MAX: usize = 10_000;
const NOTED_MAX: usize = 1_000;

/// A dispatcher in office.
pub(super) struct Term {
    parts: Parts,
    board: Board,
    pub(super) position: Position,
    entries: ReadyChunks<BoxStream<'static, Entry>>,
    waiting: VecDeque<WaitingClaim>,
    appends: Appends,
    outcomes: mpsc::Receiver<Outcome>,
    /// Outcomes that are being noted.
    noted: Vec<Outcome>,
    lost: CancellationToken,
}

struct WaitingClaim {
    claim: Claim,
    /// When it is served with what there is, once there is something.
    filled_by: Option<Instant>,
    until: Instant,
    answer: oneshot::Sender<Answer<Vec<HandedOut>>>,
}

impl Term {
    /// Loads the open jobs and reads the journal to its present end.
    pub(super) async fn begin(parts: &Parts, lost: CancellationToken) -> Result<Self, Ended> {
        let loaded = parts.open.load().await.map_err(Ended::Load)?;
        let head = parts.journal.head().await?;
        let entries = parts.journal.read_all(loaded.position);
        let (noted, outcomes) = mpsc::channel(OUTCOMES_MAX);
        let mut term = Self {
            appends: Appends::new(parts, noted),
            parts: parts.clone(),
            board: Board::default(),
            position: loaded.position,
            entries: entries.ready_chunks(ENTRIES_MAX),
            waiting: VecDeque::new(),
            outcomes,
            noted: Vec::with_capacity(NOTED_MAX),
            lost,
        };
        for (tenant, name, control) in loaded.queues {
            term.board.control(&tenant, &name, control);
        }
        let now = parts.clock.now();
        for open in loaded.jobs {
            term.take_up(open, now);
        }
        while term.position < head {
            let entries = term.entries.next().await.ok_or(Ended::NoMoreEntries)?;
            term.read(entries).await?;
        }
        Ok(term)
    }

    pub(super) fn open_jobs(&self) -> usize {
        self.board.open_jobs()
    }

    pub(super) async fn serve(
        mut self,
        asked: &mut mpsc::Receiver<Ask>,
    ) -> Result<Infallible, Ended> {
        loop {
            let next = self.next_look();
            tokio::select! {
                biased;
                () = self.lost.cancelled() => return Err(Ended::Lost),
                _ = self.outcomes.recv_many(&mut self.noted, NOTED_MAX) => self.note(),
                entries = self.entries.next() => {
                    self.read(entries.ok_or(Ended::NoMoreEntries)?).await?;
                }
                ask = asked.recv() => self.answer(ask.ok_or(Ended::NobodyAsks)?),
                () = tokio::time::sleep_until(next) => {}
            }
            let overdue = self.board.pass(self.parts.clock.now(), DUE_MAX);
            self.appends.end(overdue);
            self.serve_waiting();
        }
    }

    /// A running attempt gets a lease from now on: its worker has not been heard of here.
    fn take_up(&mut self, open: OpenJob, now: Timestamp) {
        let OpenJob {
            job,
            waiting,
            running_since,
        } = open;
        let attempt = waiting.attempt;
        self.board.insert(job.clone(), waiting, now);
        if let Some(since) = running_since {
            self.board.started(&job, attempt, since, now);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    async fn read(&mut self, entries: Vec<Entry>) -> Result<(), Ended> {
        metrics::gauge!("ledgerline_dispatch_open_jobs").set(self.board.open_jobs() as f64);
        for entry in entries {
            self.position = entry.position();
            match entry {
                Entry::Commit(commit) => self.take(&commit).await?,
                Entry::Unreadable { position, reason } => {
                    metrics::counter!("ledgerline_dispatch_unreadable_total").increment(1);
                    tracing::error!(
                        position = position.0,
                        reason,
                        "the dispatcher cannot read an entry"
                    );
                }
            }
        }
        Ok(())
    }

    async fn take(&mut self, commit: &Commit) -> Result<(), Ended> {
        let stream = &commit.stream;
        if stream.is_of(Queue::CATEGORY) {
            for event in decoded::<queue::Event>(commit) {
                self.board
                    .queue_happened(&stream.tenant, &stream.id, &event);
            }
        } else if stream.is_of(Job::CATEGORY) {
            let Ok(id) = stream.id.as_str().parse::<Uuid>() else {
                return Ok(());
            };
            let job = (stream.tenant.clone(), id);
            for event in decoded::<job::Event>(commit) {
                self.happened(&job, &event, stream).await?;
            }
        }
        Ok(())
    }

    async fn happened(
        &mut self,
        job: &JobKey,
        event: &job::Event,
        stream: &StreamId,
    ) -> Result<(), Ended> {
        let now = self.parts.clock.now();
        if let job::Event::Enqueued(spec) = event {
            let waiting = WaitingJob {
                ready_at: spec.run_after,
                spec: Arc::clone(spec),
                is_whole: true,
                attempt: 0,
            };
            self.board.insert(job.clone(), waiting, now);
            return Ok(());
        }
        let is_known = self.board.happened(job, event, now);
        if !is_known && *event == job::Event::Requeued {
            let found = self.appends.look_up(stream).await?;
            if let Some((spec, attempt)) = found {
                let waiting = WaitingJob {
                    spec: Arc::new(spec.without_deadline()),
                    is_whole: true,
                    attempt,
                    ready_at: None,
                };
                self.board.insert(job.clone(), waiting, now);
            }
        }
        Ok(())
    }

    fn note(&mut self) {
        let now = self.parts.clock.now();
        for outcome in self.noted.drain(..) {
            match outcome {
                Outcome::Started { job, attempt } => self.board.started(&job, attempt, now, now),
                Outcome::NotStarted { job } => self.board.taken_back(&job, REST, now),
                Outcome::NotWanted { job } => self.board.taken_back(&job, Duration::ZERO, now),
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Claim(claim, answer) => self.claim(claim, answer),
            Ask::Beat(beat, answer) => {
                let Beat {
                    tenant,
                    id,
                    attempt,
                    lease,
                } = beat;
                let now = self.parts.clock.now();
                let until = self.board.beat(&(tenant, id), attempt, lease, now);
                answer.send(Ok(until)).ok();
            }
            Ask::GiveBack(claim, jobs) => self.appends.give_back(claim, jobs),
            Ask::Depths(tenant, answer) => {
                drop(answer.send(Ok(self.board.depths(&tenant))));
            }
        }
    }

    fn claim(&mut self, claim: Claim, answer: oneshot::Sender<Answer<Vec<HandedOut>>>) {
        if claim.queues.is_empty() || claim.jobs_max == 0 {
            drop(answer.send(Ok(vec![])));
            return;
        }
        let until = Instant::now() + claim.wait.min(CLAIM_WAIT_MAX);
        let claim = WaitingClaim {
            claim,
            filled_by: None,
            until,
            answer,
        };
        if let Some(unserved) = self.serve_one(claim) {
            if self.waiting.len() < WAITING_CLAIMS_MAX {
                self.waiting.push_back(unserved);
            } else {
                drop(unserved.answer.send(Err(DispatchError::TooManyClaims)));
            }
        }
    }

    /// Serves the claims that wait, the oldest first.
    fn serve_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(claim) = self.waiting.pop_front() else {
                return;
            };
            if let Some(unserved) = self.serve_one(claim) {
                self.waiting.push_back(unserved);
            }
        }
    }

    /// Hands out what there is for `claim`; gives it back where it has to wait.
    fn serve_one(&mut self, mut waiting: WaitingClaim) -> Option<WaitingClaim> {
        if waiting.answer.is_closed() {
            return None;
        }
        let now = Instant::now();
        let ready = self.board.ready(&waiting.claim);
        if (1..waiting.claim.jobs_max).contains(&ready) {
            let filled_by = *waiting.filled_by.get_or_insert(now + FILL);
            if now < filled_by.min(waiting.until) {
                return Some(waiting);
            }
        }
        let offers = self.board.take(&waiting.claim, self.parts.clock.now());
        if !offers.is_empty() {
            self.appends.hand_out(waiting.claim, offers, waiting.answer);
            return None;
        }
        if waiting.until <= now {
            drop(waiting.answer.send(Ok(vec![])));
            return None;
        }
        if ready == 0 {
            waiting.filled_by = None;
        }
        Some(waiting)
    }

    /// When something happens by itself: something comes due, a claim has waited for long enough, a
    /// rate has a new period.
    fn next_look(&self) -> Instant {
        let now = self.parts.clock.now();
        let periods = self.waiting.iter();
        let period = periods.filter_map(|waiting| self.board.next_rate_period(&waiting.claim));
        let due = self.board.next_due().into_iter().chain(period).min();
        let due = due.map(|due| instant_of(due, now, CLAIM_WAIT_MAX));
        // One that has waited for long enough and still gets nothing is held by a limit, not by time.
        let filled = self.waiting.iter().filter_map(|waiting| waiting.filled_by);
        let filled = filled.filter(|filled_by| *filled_by > Instant::now());
        let claims = self.waiting.iter().map(|waiting| waiting.until);
        let claims = claims.chain(filled).min();
        let idle = Instant::now() + CLAIM_WAIT_MAX;
        due.into_iter().chain(claims).min().unwrap_or(idle)
    }
}

/// The events of a commit; one that cannot be decoded ends them, visibly.
fn decoded<E: domain::Event>(commit: &Commit) -> Vec<Arc<E>> {
    let mut events = Vec::with_capacity(commit.payload.events.len());
    for recorded in &commit.payload.events {
        match recorded.shared() {
            Ok(event) => events.push(event),
            Err(error) => {
                metrics::counter!("ledgerline_dispatch_unreadable_total").increment(1);
                tracing::error!(
                    position = commit.position.0,
                    error = &error as &dyn std::error::Error,
                    "the dispatcher cannot take an event"
                );
                break;
            }
        }
    }
    events
}
