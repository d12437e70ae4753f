//! The dispatcher as every process has it: its own while that is in office, else the one that is.

use std::time::Duration;

use async_nats::{Client, Request, Subscriber};
use commands::dispatch::{Beat, Claim, Dispatch, DispatchError, Dispatcher, HandedOut};
use domain::{Tenant, Timestamp};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::{Answer, BEAT, CANCEL, CLAIM, DEPTHS, Depths, IN_OFFICE, Part, encoded};

/// How long whoever is in office may take to say that it has a claim, and to answer anything else: one
/// that was stopped has to be noticed long before a worker gives up, and before a look at the service's
/// health does.
const ANSWER_MAX: Duration = Duration::from_millis(1_500);

/// How much longer than its wait a claim is waited for, and how long the next part of an answer: the
/// hand-out of a thousand jobs takes a part of a second.
const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// The dispatcher, wherever it is in office.
#[derive(Debug)]
pub struct Forwarding {
    own: Option<Dispatcher>,
    client: Client,
    /// Changes when another has come into office.
    terms: watch::Receiver<()>,
    _follow: AbortOnDropHandle<()>,
}

impl Forwarding {
    /// Asks `own` first, where this process has one, and whoever is in office on the account of
    /// `client` otherwise.
    ///
    /// # Errors
    /// When the connection is closed for good.
    pub async fn new(
        client: Client,
        own: Option<Dispatcher>,
    ) -> Result<Self, async_nats::SubscribeError> {
        let mut announced = client.subscribe(IN_OFFICE).await?;
        let (changed, terms) = watch::channel(());
        let follow = tokio::spawn(async move {
            while announced.next().await.is_some() {
                changed.send_replace(());
            }
        });
        Ok(Self {
            own,
            client,
            terms,
            _follow: AbortOnDropHandle::new(follow),
        })
    }

    /// Asks until the claim is answered, anew whenever another comes into office.
    async fn claim_anywhere(&self, mut claim: Claim) -> Answer<Vec<HandedOut>> {
        let until = Instant::now() + claim.wait;
        let mut terms = self.terms.clone();
        loop {
            terms.mark_unchanged();
            tokio::select! {
                biased;
                answer = self.claim_once(claim.clone()) => return answer,
                Ok(()) = terms.changed() => {}
            }
            claim.wait = until.saturating_duration_since(Instant::now());
        }
    }

    async fn claim_once(&self, claim: Claim) -> Answer<Vec<HandedOut>> {
        if let Some(own) = &self.own {
            match own.claim(claim.clone()).await {
                Err(DispatchError::NotInOffice) => {}
                answer => return answer,
            }
        }
        let mut waiting = Waiting::at(&self.client, &claim).await?;
        let jobs = waiting.jobs(claim.wait).await?;
        waiting.cancel = None;
        Ok(jobs)
    }

    /// One question with one answer.
    async fn ask<T: DeserializeOwned>(
        &self,
        subject: &'static str,
        question: &impl Serialize,
    ) -> Answer<T> {
        let request = Request::new()
            .payload(encoded(question))
            .timeout(Some(ANSWER_MAX));
        let answered = self.client.send_request(subject, request).await;
        let answered = answered.map_err(|error| not_in_office(&error))?;
        serde_json::from_slice(&answered.payload).unwrap_or_else(|error| Err(not_in_office(&error)))
    }
}

impl Dispatch for Forwarding {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Answer<Vec<HandedOut>>> {
        self.claim_anywhere(claim).boxed()
    }

    fn beat(&self, beat: Beat) -> BoxFuture<'_, Answer<Option<Timestamp>>> {
        async move {
            if let Some(own) = &self.own {
                match own.beat(beat.clone()).await {
                    Err(DispatchError::NotInOffice) => {}
                    answer => return answer,
                }
            }
            self.ask(BEAT, &beat).await
        }
        .boxed()
    }

    fn depths<'a>(&'a self, tenant: &'a Tenant) -> BoxFuture<'a, Answer<Depths>> {
        async move {
            if let Some(own) = &self.own {
                match own.depths(tenant).await {
                    Err(DispatchError::NotInOffice) => {}
                    answer => return answer,
                }
            }
            self.ask::<Depths>(DEPTHS, tenant).await
        }
        .boxed()
    }
}

/// A claim that waits at whoever is in office. Dropped before its end, it is taken back there.
struct Waiting {
    answers: Subscriber,
    client: Client,
    /// By what it is known there, until it is over.
    cancel: Option<String>,
}

impl Waiting {
    async fn at(client: &Client, claim: &Claim) -> Answer<Self> {
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await;
        let answers = answers.map_err(|error| not_in_office(&error))?;
        let waiting = Self {
            answers,
            client: client.clone(),
            cancel: Some(inbox.clone()),
        };
        let asked = client.publish_with_reply(CLAIM, inbox, encoded(claim));
        asked.await.map_err(|error| not_in_office(&error))?;
        Ok(waiting)
    }

    async fn jobs(&mut self, wait: Duration) -> Answer<Vec<HandedOut>> {
        let mut until = Instant::now() + ANSWER_MAX;
        let mut all = Vec::new();
        loop {
            let part = timeout_at(until, self.answers.next()).await;
            let part = part.ok().flatten().ok_or(DispatchError::NotInOffice)?;
            if part.status.is_some() {
                // Nobody listens: the server itself says so.
                self.cancel = None;
                return Err(DispatchError::NotInOffice);
            }
            let told = serde_json::from_slice(&part.payload);
            match told.map_err(|error| not_in_office(&error))? {
                Part::Taken => until = Instant::now() + wait + DELIVERY_MAX,
                Part::Refused(error) => return Err(error),
                Part::Jobs { jobs, is_last } => {
                    all.extend(jobs);
                    let received = part.reply.ok_or(DispatchError::NotInOffice)?;
                    let received = self.client.publish(received, "".into()).await;
                    received.map_err(|error| not_in_office(&error))?;
                    if is_last {
                        return Ok(all);
                    }
                    until = Instant::now() + DELIVERY_MAX;
                }
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(inbox) = self.cancel.take() {
            let client = self.client.clone();
            tokio::spawn(async move {
                if let Err(error) = client.publish(CANCEL, inbox.into()).await {
                    tracing::debug!(%error, "claim not taken back, its jobs will be");
                }
            });
        }
    }
}

/// Whatever keeps an answer away, it is as if nobody were in office.
fn not_in_office(error: &dyn std::error::Error) -> DispatchError {
    tracing::debug!(error = %error, "dispatcher not reached");
    DispatchError::NotInOffice
}
