//! What the office appends, in tasks of their own: starts and ends of attempts.

use std::sync::Arc;

use domain::job::{self, Command, Event, Job, Spec};
use domain::{Actor, Aggregate as _, CommandId, Digest, Name, Position, StreamId, Tenant, Token};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{Answer, Parts};
use crate::dispatch::board::{JobKey, Offer, Overdue};
use crate::dispatch::{CLAIM_JOBS_MAX, Claim, HandedOut};
use crate::{Clock, Failure, Handler, Journal, ReadError, Request};

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

/// What came of an offer.
#[derive(Debug)]
pub(super) enum Outcome {
    Started { job: JobKey, attempt: u32 },
    NotStarted { job: JobKey },
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
            let starts = offers
                .into_iter()
                .map(|offer| Arc::clone(&shared).start(Arc::clone(&claim), offer));
            let started = stream::iter(starts).buffered(CLAIM_JOBS_MAX);
            let started: Vec<_> = started.filter_map(std::future::ready).collect().await;
            if let Err(Ok(unheard)) = answer.send(Ok(started)) {
                // The worker has gone away: the jobs need not wait for the end of its lease.
                for handed_out in unheard {
                    let release = Command::Release {
                        attempt: handed_out.attempt,
                    };
                    let job = (claim.tenant.clone(), handed_out.id);
                    shared.say(&job, release, claim.actor.clone()).await;
                }
            }
        });
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
                    Ok(Event::Enqueued(spec)) => found = Some((*spec, 0)),
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
    async fn start(self: Arc<Self>, claim: Arc<Claim>, offer: Offer) -> Option<HandedOut> {
        let job = (claim.tenant.clone(), offer.id);
        let started = self.append_start(&claim, &job, offer).await;
        let outcome = match &started {
            Some(started) => Outcome::Started {
                job,
                attempt: started.attempt,
            },
            None => Outcome::NotStarted { job },
        };
        // In a term that has ended nobody notes it; the next one finds it in the journal.
        drop(self.noted.send(outcome).await);
        started
    }

    async fn append_start(&self, claim: &Claim, job: &JobKey, offer: Offer) -> Option<HandedOut> {
        let stream = stream_of(job);
        let Offer { id, attempt, spec } = offer;
        let spec = match spec {
            Some(spec) => spec,
            None => Arc::new(self.spec(&stream).await?),
        };
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

    /// What the first commit of the job says.
    async fn spec(&self, stream: &StreamId) -> Option<Spec> {
        let mut commits = self.journal.read_stream(stream, Position::START);
        let first = commits.next().await?;
        let first = first
            .inspect_err(|error| tracing::warn!(%stream, %error, "job not read, it waits on"))
            .ok()?;
        let enqueued = first.payload.events.first()?.decode::<Event>();
        match enqueued {
            Ok(Event::Enqueued(spec)) => Some(*spec),
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
