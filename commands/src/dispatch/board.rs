//! The board: what waits and what runs, as a fold of the events of jobs and queues.
//!
//! It decides which jobs a claim gets and which attempts have to end; it appends nothing, and knows the
//! time only as it is told. What it gives out is *offered*, and counts against every limit, until
//! the journal has the start or the office says that there was none.

mod limits;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use domain::job::{self, Expiry, Spec};
use domain::queue::{self, Queue as Control};
use domain::{Aggregate as _, Tenant, Timestamp, Token};
use uuid::Uuid;

use self::limits::Queue;
use super::ready::{JobKey, Key};
use super::{Claim, Depth, LEASE_DEFAULT};
use crate::clock::later;

/// How many bytes of specs are kept in memory; what is behind that is read from the journal when it is
/// handed out.
const SPEC_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A queue of a tenant.
type QueueKey = (Tenant, Token);

/// Everything that waits or runs.
#[derive(Debug, Default)]
pub struct Board {
    jobs: HashMap<JobKey, Entry>,
    queues: HashMap<QueueKey, Queue>,
    due: BTreeMap<DueKey, (JobKey, Due)>,
    /// Grows with everything that needs a place in an order.
    next: u64,
    spec_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    queue: Token,
    priority: job::Priority,
    key: Key,
    capabilities: job::Capabilities,
    deadline: Option<Timestamp>,
    timeout: Option<Duration>,
    spec: Option<Arc<Spec>>,
    /// The number of the last attempt.
    attempt: u32,
    state: State,
    /// What comes due for it.
    due: Vec<DueKey>,
}

/// A time, and what tells its entries apart.
type DueKey = (Timestamp, u64);

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// Could be handed out; `order` is its place.
    Ready { order: u64 },
    /// Waits for its time.
    Delayed,
    /// Is being handed out, for so long.
    Offered { lease: Duration },
    /// A worker has it, and has to be heard of every so often.
    Running {
        lease: Duration,
        lease_until: Timestamp,
    },
}

/// What comes due.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Due {
    Ready,
    Lease { attempt: u32 },
    Timeout { attempt: u32 },
    Deadline,
}

/// A job as it waits.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingJob {
    /// What is to be done.
    pub spec: Arc<Spec>,
    /// Whether the spec has everything, or is without what only a worker needs.
    pub is_whole: bool,
    /// The number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// Not handed out before.
    pub ready_at: Option<Timestamp>,
}

/// A job that the board gives out.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The job.
    pub id: Uuid,
    /// The number that the attempt will have.
    pub attempt: u32,
    /// What is to be done, where it is in memory.
    pub spec: Option<Arc<Spec>>,
}

/// What has to be said to a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Overdue {
    /// The job.
    pub job: JobKey,
    /// What.
    pub command: job::Command,
}

impl Board {
    /// How many jobs wait or run.
    #[must_use]
    pub fn open_jobs(&self) -> usize {
        self.jobs.len()
    }

    /// A job that was enqueued, as it waits now.
    pub fn insert(&mut self, job: JobKey, waiting: WaitingJob, now: Timestamp) {
        let WaitingJob {
            spec,
            is_whole,
            attempt,
            ready_at,
        } = waiting;
        if self.jobs.contains_key(&job) {
            return;
        }
        let bytes = spec_bytes(&spec);
        let is_kept = is_whole && self.spec_bytes + bytes <= SPEC_BYTES_MAX;
        if is_kept {
            self.spec_bytes += bytes;
        }
        let entry = Entry {
            queue: spec.queue.clone(),
            priority: spec.priority,
            key: spec.fairness_key.clone(),
            capabilities: spec.capabilities.clone(),
            deadline: spec.deadline,
            timeout: spec.timeout_s.map(|s| Duration::from_secs(s.get())),
            spec: is_kept.then_some(spec),
            attempt,
            state: State::Delayed,
            due: Vec::new(),
        };
        let deadline = entry.deadline;
        self.queue(&job.0, &entry.queue).delayed += 1;
        self.jobs.insert(job.clone(), entry);
        if let Some(deadline) = deadline {
            self.push_due(deadline, job.clone(), Due::Deadline);
        }
        self.wait_until(&job, ready_at, now);
    }

    /// Takes in what happened to a job that was enqueued before. False where the board does not have
    /// it, as it does not have a dead one that is put back.
    pub fn happened(&mut self, job: &JobKey, event: &job::Event, now: Timestamp) -> bool {
        if !self.jobs.contains_key(job) {
            return false;
        }
        match event {
            job::Event::Enqueued(_) | job::Event::Failed { .. } | job::Event::TimedOut { .. } => {}
            job::Event::Started { attempt, .. } => self.started(job, *attempt, now, now),
            job::Event::Progressed { attempt, .. } => {
                self.beat(job, *attempt, None, now);
            }
            job::Event::Released { .. } | job::Event::Requeued => self.wait_until(job, None, now),
            job::Event::Retried { at } => self.wait_until(job, Some(*at), now),
            job::Event::Completed { .. }
            | job::Event::DeadLettered { .. }
            | job::Event::Cancelled { .. } => self.remove(job),
        }
        true
    }

    /// How a queue is handed out.
    pub fn control(&mut self, tenant: &Tenant, name: &Token, control: Control) {
        self.queue(tenant, name).control = control;
    }

    /// Takes in what happened to a queue.
    pub fn queue_happened(&mut self, tenant: &Tenant, name: &Token, event: &queue::Event) {
        let queue = self.queue(tenant, name);
        queue.control.evolve(event, Timestamp::UNIX_EPOCH);
        queue.ready.make_room_for_all();
    }

    /// The jobs for a claim, at most as many as it asks for. They are offered: [`Board::started`] or
    /// [`Board::taken_back`] must follow for each.
    pub fn take(&mut self, claim: &Claim, now: Timestamp) -> Vec<Offer> {
        let mut offers = Vec::new();
        let queues = claim.queues.len();
        let mut empty = 0;
        // The queues take turns, so that the first one named does not hold back the others.
        let first = usize::try_from(self.next).unwrap_or(0);
        self.next += 1;
        let mut turn = 0;
        while offers.len() < claim.jobs_max && empty < queues {
            let name = &claim.queues[(first + turn) % queues];
            turn += 1;
            let Some(queue) = self.queues.get_mut(&(claim.tenant.clone(), name.clone())) else {
                empty += 1;
                continue;
            };
            let Some(job) = queue.take(&claim.capabilities, now) else {
                empty += 1;
                continue;
            };
            empty = 0;
            let Some(entry) = self.jobs.get_mut(&job) else {
                continue;
            };
            entry.state = State::Offered { lease: claim.lease };
            queue.began(&entry.key);
            offers.push(Offer {
                id: job.1,
                attempt: entry.attempt + 1,
                spec: entry.spec.clone(),
            });
        }
        offers
    }

    /// How many jobs are ready in the queues of a claim, whether or not it may have them.
    #[must_use]
    pub fn ready(&self, claim: &Claim) -> usize {
        let queues = claim.queues.iter();
        let queues =
            queues.filter_map(|name| self.queues.get(&(claim.tenant.clone(), name.clone())));
        queues.map(|queue| queue.ready.len()).sum()
    }

    /// When a claim that got nothing may get something because a rate has a new period.
    #[must_use]
    pub fn next_rate_period(&self, claim: &Claim) -> Option<Timestamp> {
        let queues = claim
            .queues
            .iter()
            .filter_map(|name| self.queues.get(&(claim.tenant.clone(), name.clone())));
        let held = queues.filter(|queue| queue.ready.len() > 0);
        held.filter_map(|queue| queue.period_ends).min()
    }

    /// The journal has the start, which was at `since`. An attempt that was not offered here has a lease
    /// from now on, as if it were; its timeout counts from the start all the same.
    pub fn started(&mut self, job: &JobKey, attempt: u32, since: Timestamp, now: Timestamp) {
        let Some(entry) = self.jobs.get(job) else {
            return;
        };
        let timeout = entry.timeout;
        let lease = match entry.state {
            State::Running { .. } if entry.attempt >= attempt => return,
            State::Offered { lease } => lease,
            State::Ready { .. } | State::Delayed | State::Running { .. } => {
                let (queue, key) = (entry.queue.clone(), entry.key.clone());
                self.leave_waiting(job);
                self.leave_running(job);
                self.queue(&job.0, &queue).began(&key);
                LEASE_DEFAULT
            }
        };
        let lease_until = later(now, lease);
        if let Some(entry) = self.jobs.get_mut(job) {
            entry.attempt = attempt;
            entry.state = State::Running { lease, lease_until };
        }
        self.push_due(lease_until, job.clone(), Due::Lease { attempt });
        if let Some(timeout) = timeout {
            let at = later(since, timeout);
            self.push_due(at, job.clone(), Due::Timeout { attempt });
        }
    }

    /// An offer that came to nothing: the job waits again, after a rest, unless the journal has told
    /// otherwise meanwhile.
    pub fn taken_back(&mut self, job: &JobKey, rest: Duration, now: Timestamp) {
        let is_offered = |entry: &Entry| matches!(entry.state, State::Offered { .. });
        if self.jobs.get(job).is_some_and(is_offered) {
            self.wait_until(job, Some(later(now, rest)), now);
        }
    }

    /// The worker of an attempt was heard of: it has its lease again, or another where it names one.
    /// None, where the attempt does not run.
    pub fn beat(
        &mut self,
        job: &JobKey,
        attempt: u32,
        another: Option<Duration>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let entry = self.jobs.get_mut(job)?;
        match &mut entry.state {
            State::Running { lease, lease_until } if entry.attempt == attempt => {
                *lease = another.unwrap_or(*lease);
                *lease_until = later(now, *lease);
                let until = *lease_until;
                self.push_due(until, job.clone(), Due::Lease { attempt });
                Some(until)
            }
            _ => None,
        }
    }

    /// When something comes due next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets pass what is due by `now`, at most `most` of it: what became ready is ready, and what has
    /// to be said to jobs is given back.
    pub fn pass(&mut self, now: Timestamp, most: usize) -> Vec<Overdue> {
        let mut overdue = Vec::new();
        for _ in 0..most {
            if self.next_due().is_none_or(|at| at > now) {
                break;
            }
            let Some((key, (job, due))) = self.due.pop_first() else {
                break;
            };
            if let Some(entry) = self.jobs.get_mut(&job) {
                entry.due.retain(|other| *other != key);
            }
            overdue.extend(
                self.pass_one(&job, due, now)
                    .map(|command| Overdue { job, command }),
            );
        }
        overdue
    }

    /// What each queue of `tenant` has.
    #[must_use]
    pub fn depths(&self, tenant: &Tenant) -> Vec<(Token, Depth)> {
        let queues = self.queues.iter().filter(|((owner, _), _)| owner == tenant);
        let mut depths: Vec<_> = queues
            .map(|((_, name), queue)| (name.clone(), queue.depth()))
            .collect();
        depths.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        depths
    }

    fn pass_one(&mut self, job: &JobKey, due: Due, now: Timestamp) -> Option<job::Command> {
        let entry = self.jobs.get(job)?;
        let running = match &entry.state {
            State::Running { lease_until, .. } => Some((entry.attempt, *lease_until)),
            State::Ready { .. } | State::Delayed | State::Offered { .. } => None,
        };
        let expire = |attempt, cause| Some(job::Command::Expire { attempt, cause });
        match (due, running) {
            (Due::Ready, _) if entry.state == State::Delayed => {
                self.wait_until(job, None, now);
                None
            }
            (Due::Lease { attempt }, Some((runs, lease_until))) if attempt == runs => {
                if lease_until <= now {
                    // Looked at again, should the journal not take it now.
                    self.push_due(later(now, LEASE_DEFAULT), job.clone(), due);
                    return expire(attempt, Expiry::Lease);
                }
                // It was prolonged; its new end has an entry of its own.
                None
            }
            (Due::Timeout { attempt }, Some((runs, _))) if attempt == runs => {
                self.push_due(later(now, LEASE_DEFAULT), job.clone(), due);
                expire(attempt, Expiry::Timeout)
            }
            (Due::Deadline, running) if entry.deadline.is_some() => {
                self.push_due(later(now, LEASE_DEFAULT), job.clone(), due);
                match running {
                    Some((attempt, _)) => expire(attempt, Expiry::Deadline),
                    None => Some(job::Command::Overdue),
                }
            }
            _ => None,
        }
    }

    /// Lets a job wait, from whatever state it was in.
    fn wait_until(&mut self, job: &JobKey, ready_at: Option<Timestamp>, now: Timestamp) {
        self.leave_waiting(job);
        self.leave_running(job);
        let order = self.next;
        self.next += 1;
        let Some(entry) = self.jobs.get_mut(job) else {
            return;
        };
        let queue = self.queues.entry((job.0.clone(), entry.queue.clone()));
        let queue = queue.or_default();
        match ready_at.filter(|at| *at > now) {
            None => {
                entry.state = State::Ready { order };
                let wanted = entry.capabilities.clone();
                queue
                    .ready
                    .push(entry.priority, &entry.key, order, job.clone(), wanted);
            }
            Some(at) => {
                entry.state = State::Delayed;
                queue.delayed += 1;
                self.push_due(at, job.clone(), Due::Ready);
            }
        }
    }

    fn remove(&mut self, job: &JobKey) {
        self.leave_waiting(job);
        self.leave_running(job);
        let Some(entry) = self.jobs.remove(job) else {
            return;
        };
        for key in &entry.due {
            self.due.remove(key);
        }
        if let Some(spec) = &entry.spec {
            self.spec_bytes -= spec_bytes(spec);
        }
    }

    fn leave_waiting(&mut self, job: &JobKey) {
        let Some(entry) = self.jobs.get(job) else {
            return;
        };
        let queue = self.queues.entry((job.0.clone(), entry.queue.clone()));
        let queue = queue.or_default();
        match entry.state {
            State::Ready { order } => queue.ready.remove(entry.priority, &entry.key, order),
            State::Delayed => queue.delayed = queue.delayed.saturating_sub(1),
            State::Offered { .. } | State::Running { .. } => {}
        }
    }

    fn leave_running(&mut self, job: &JobKey) {
        let Some(entry) = self.jobs.get(job) else {
            return;
        };
        if matches!(entry.state, State::Offered { .. } | State::Running { .. }) {
            let key = entry.key.clone();
            let queue = self.queues.entry((job.0.clone(), entry.queue.clone()));
            queue.or_default().ended(&key);
        }
    }

    fn queue(&mut self, tenant: &Tenant, name: &Token) -> &mut Queue {
        self.queues
            .entry((tenant.clone(), name.clone()))
            .or_default()
    }

    fn push_due(&mut self, at: Timestamp, job: JobKey, due: Due) {
        self.next += 1;
        let key = (at, self.next);
        if let Some(entry) = self.jobs.get_mut(&job) {
            entry.due.push(key);
            self.due.insert(key, (job, due));
        }
    }
}

/// What a spec takes in memory, about.
fn spec_bytes(spec: &Spec) -> usize {
    const FIELDS_BYTES: usize = 200;
    FIELDS_BYTES
        + spec
            .payload
            .as_ref()
            .map_or(0, |payload| payload.get().len())
}
