//! What the office appends, in tasks of their own: starts and ends of attempts.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::job::{self, Command, Event, Job, Spec};
use domain::{Actor, Aggregate as _, CommandId, Digest, Name, Position, StreamId, Tenant, Token};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{Answer, Parts};
use crate::dispatch::board::{Offer, Overdue};
use crate::dispatch::ready::JobKey;
use crate::dispatch::{CLAIM_BYTES_MAX, CLAIM_JOBS_MAX, Claim, HandedOut};
use crate::{Clock, Failure, Handler, Journal, ReadError, Request};

/// How many jobs are read from the journal at the same time for one claim: a read takes a quarter of a
/// millisecond, and of those that the claim has no room for no more than this are read in vain.
const READ_AHEAD_JOBS: usize = 64;

/// As whom the office acts when no worker asks.
const DISPATCHER: &str = "dispatcher";

/// Appends and is noted.
pub(super) struct Appends {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Arc<dyn Journal>,
    jobs: Arc<Handler<Job>>,
    clock: Arc<dyn Clock>,
    noted: mpsc::Sender<Outcome>,
}

/// An offer with all that its worker needs.
struct Whole {
    id: Uuid,
    attempt: u32,
    spec: Arc<Spec>,
}

/// What came of an offer.
#[derive(Debug)]
pub(super) enum Outcome {
    Started {
        job: JobKey,
        attempt: u32,
    },
    /// It could not be.
    NotStarted {
        job: JobKey,
    },
    /// The claim was full without it.
    NotWanted {
        job: JobKey,
    },
}

impl Appends {
    pub(super) fn new(parts: &Parts, noted: mpsc::Sender<Outcome>) -> Self {
        let shared = Shared {
            journal: Arc::clone(&parts.journal),
            jobs: Arc::clone(&parts.jobs),
            clock: Arc::clone(&parts.clock),
            noted,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Starts what was offered, and answers with what the journal has.
    pub(super) fn hand_out(
        &self,
        claim: Claim,
        offers: Vec<Offer>,
        answer: oneshot::Sender<Answer<Vec<HandedOut>>>,
    ) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let claim = Arc::new(claim);
            let starts = shared.read(&claim, offers).await.into_iter();
            let starts = starts.map(|job| Arc::clone(&shared).start(Arc::clone(&claim), job));
            let started = stream::iter(starts).buffered(CLAIM_JOBS_MAX);
            let started: Vec<_> = started.filter_map(std::future::ready).collect().await;
            if let Err(Ok(unheard)) = answer.send(Ok(started)) {
                shared.give_back(&claim, unheard).await;
            }
        });
    }

    /// Releases what did not reach its worker.
    pub(super) fn give_back(&self, claim: Claim, jobs: Vec<HandedOut>) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move { shared.give_back(&claim, jobs).await });
    }

    /// Says to each what is overdue. What a job refuses has happened otherwise meanwhile.
    pub(super) fn end(&self, overdue: Vec<Overdue>) {
        if overdue.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let said = overdue.into_iter().map(|Overdue { job, command }| {
                let shared = Arc::clone(&shared);
                async move {
                    let dispatcher = Actor {
                        principal: Name::new(DISPATCHER).expect("a name"),
                        on_behalf_of: None,
                    };
                    shared.say(&job, command, dispatcher).await;
                }
            });
            stream::iter(said)
                .for_each_concurrent(CLAIM_JOBS_MAX, |said| said)
                .await;
        });
    }

    /// What a job was enqueued as, and the number of its last attempt; none where its stream has none.
    pub(super) async fn look_up(
        &self,
        stream: &StreamId,
    ) -> Result<Option<(Spec, u32)>, ReadError> {
        let mut commits = self.shared.journal.read_stream(stream, Position::START);
        let mut found = None;
        while let Some(commit) = commits.next().await {
            for recorded in &commit?.payload.events {
                match recorded.decode::<Event>() {
                    Ok(Event::Enqueued(spec)) => found = Some((Arc::unwrap_or_clone(spec), 0)),
                    Ok(Event::Started { attempt, .. }) => {
                        found = found.map(|(spec, _)| (spec, attempt));
                    }
                    Ok(_) => {}
                    Err(_unreadable) => return Ok(None),
                }
            }
        }
        Ok(found)
    }
}

impl Shared {
    /// What of `offers` the claim has room for, with all that its worker needs.
    async fn read(&self, claim: &Claim, offers: Vec<Offer>) -> Vec<Whole> {
        let bytes_max = claim.bytes_max.min(CLAIM_BYTES_MAX);
        let mut left: VecDeque<JobKey> = offers
            .iter()
            .map(|offer| (claim.tenant.clone(), offer.id))
            .collect();
        let read = offers.into_iter().map(|offer| self.whole(claim, offer));
        let mut read = stream::iter(read).buffered(READ_AHEAD_JOBS);
        let (mut jobs, mut bytes) = (Vec::with_capacity(left.len()), 0);
        while let Some(whole) = read.next().await {
            bytes += whole.as_ref().map_or(0, |job| job.spec.json_bytes_max());
            if bytes > bytes_max && !jobs.is_empty() {
                break;
            }
            let job = left.pop_front().expect("one was offered for each");
            match whole {
                Some(whole) => jobs.push(whole),
                None => self.note(Outcome::NotStarted { job }).await,
            }
        }
        for job in left {
            self.note(Outcome::NotWanted { job }).await;
        }
        jobs
    }

    async fn whole(&self, claim: &Claim, offer: Offer) -> Option<Whole> {
        let Offer { id, attempt, spec } = offer;
        let spec = match spec {
            Some(spec) => spec,
            None => Arc::new(self.spec(&stream_of(&(claim.tenant.clone(), id))).await?),
        };
        Some(Whole { id, attempt, spec })
    }

    async fn start(self: Arc<Self>, claim: Arc<Claim>, offered: Whole) -> Option<HandedOut> {
        let job = (claim.tenant.clone(), offered.id);
        let started = self.append_start(&claim, &job, offered).await;
        let outcome = match &started {
            Some(started) => Outcome::Started {
                job,
                attempt: started.attempt,
            },
            None => Outcome::NotStarted { job },
        };
        self.note(outcome).await;
        started
    }

    /// In a term that has ended nobody notes it; the next one finds it in the journal.
    async fn note(&self, outcome: Outcome) {
        drop(self.noted.send(outcome).await);
    }

    async fn append_start(&self, claim: &Claim, job: &JobKey, offered: Whole) -> Option<HandedOut> {
        let stream = stream_of(job);
        let Whole { id, attempt, spec } = offered;
        let command = Command::Start {
            attempt,
            worker: claim.worker.clone(),
        };
        let receipt = self.handle(&stream, command, claim.actor.clone()).await;
        let receipt = receipt
            .inspect_err(|failure| {
                tracing::debug!(%stream, error = failure as &dyn std::error::Error, "not started");
            })
            .ok()?;
        Some(HandedOut {
            id,
            attempt,
            spec,
            lease_until: crate::clock::later(self.clock.now(), claim.lease),
            position: receipt.position,
        })
    }

    /// The worker has gone away: the jobs need not wait for the end of its lease.
    async fn give_back(&self, claim: &Claim, jobs: Vec<HandedOut>) {
        let released = jobs
            .into_iter()
            .map(|HandedOut { id, attempt, .. }| async move {
                let job = (claim.tenant.clone(), id);
                let release = Command::Release { attempt };
                self.say(&job, release, claim.actor.clone()).await;
            });
        stream::iter(released)
            .for_each_concurrent(CLAIM_JOBS_MAX, |released| released)
            .await;
    }

    /// What the first commit of the job says.
    async fn spec(&self, stream: &StreamId) -> Option<Spec> {
        let mut commits = self.journal.read_stream(stream, Position::START);
        let first = commits.next().await?;
        let first = first
            .inspect_err(|error| tracing::warn!(%stream, %error, "job not read, it waits on"))
            .ok()?;
        let enqueued = first.payload.events.first()?.decode::<Event>();
        match enqueued {
            Ok(Event::Enqueued(spec)) => Some(Arc::unwrap_or_clone(spec)),
            Ok(_) | Err(_) => None,
        }
    }

    async fn say(&self, job: &JobKey, command: Command, actor: Actor) {
        let stream = stream_of(job);
        if let Err(failure) = self.handle(&stream, command, actor).await {
            let error = &failure as &dyn std::error::Error;
            match failure {
                Failure::Refused(_) => tracing::debug!(%stream, error, "an attempt was over"),
                _ => tracing::warn!(%stream, error, "an attempt could not be ended, tried again"),
            }
        }
    }

    async fn handle(
        &self,
        stream: &StreamId,
        command: Command,
        actor: Actor,
    ) -> Result<crate::Receipt, Failure<job::Refusal>> {
        let request = Request {
            id: CommandId(self.clock.fresh_id()),
            keyed: false,
            digest: Digest::default(),
            actor,
            correlation: None,
            causation: None,
            trace: None,
            occurred_at: None,
            expected_version: None,
            command,
        };
        self.jobs.handle(stream, request).await
    }
}

fn stream_of((tenant, id): &(Tenant, Uuid)) -> StreamId {
    StreamId::new(tenant.clone(), Job::CATEGORY, Token::from(*id))
}
