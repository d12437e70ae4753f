//! What the process in office does: it listens as long as its dispatcher is, and sees to it that jobs
//! reach whoever asked for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, Message, Request, Subject};
use commands::dispatch::{Beat, Claim, Dispatch as _, DispatchError, Dispatcher, HandedOut};
use domain::Tenant;
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{ALL, BEAT, CANCEL, CLAIM, DEPTHS, IN_OFFICE, Part, encoded};

/// Questions that are answered at the same time: as many as the dispatcher itself lets wait. More are
/// refused at once.
const IN_FLIGHT_MAX: usize = 10_000;

/// How many bytes of jobs go into one message, where one job alone has no more: far below what NATS
/// takes (1 MiB), to which the largest single job comes near.
const PART_BYTES_MAX: usize = 512 * 1024;

/// How long a part may stay without an acknowledgement. A process that has gone is known at once.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// The first wait before listening is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Serves `dispatcher` to the other processes on the account of `client`, whenever it is in office.
/// Ends when the dispatcher does.
pub async fn serve(client: Client, dispatcher: Dispatcher) {
    let mut in_office = dispatcher.in_office();
    let serving = Serving {
        client,
        dispatcher,
        claims: Claims::default(),
        places: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
    };
    while in_office.wait_for(|is| *is).await.is_ok() {
        let left = async { in_office.wait_for(|is| !*is).await.is_ok() };
        tokio::select! {
            listened = serving.listen() => if let Err(error) = listened {
                tracing::warn!(error = &*error, "dispatcher cannot be asked by other processes");
                tokio::time::sleep(RETRY).await;
            },
            _ = left => {}
        }
    }
}

/// The claims that wait, by where they are answered.
type Claims = Arc<Mutex<HashMap<String, CancellationToken>>>;

#[derive(Clone)]
struct Serving {
    client: Client,
    dispatcher: Dispatcher,
    claims: Claims,
    places: Arc<Semaphore>,
}

impl Serving {
    async fn listen(&self) -> Result<(), commands::journal::BoxError> {
        let mut asked = self.client.subscribe(ALL).await?;
        // Whoever hears of it asks at once: the server has to know of the subscription by then.
        self.client.flush().await?;
        self.client.publish(IN_OFFICE, "".into()).await?;
        while let Some(message) = asked.next().await {
            self.take(message);
        }
        Err("connection was closed".into())
    }

    fn take(&self, message: Message) {
        if message.subject.as_str() == CANCEL {
            return self.cancel(&message.payload);
        }
        let Some(reply) = message.reply.clone() else {
            return;
        };
        let serving = self.clone();
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                // Known before anything behind it is read: its cancellation may be next.
                let cancelled = self.note(&message, &reply);
                tokio::spawn(serving.answer(message, reply, cancelled, place));
            }
            Err(_full) => {
                tokio::spawn(async move { serving.refuse(&message, reply).await });
            }
        }
    }

    fn note(&self, message: &Message, reply: &Subject) -> CancellationToken {
        let cancelled = CancellationToken::new();
        if message.subject.as_str() == CLAIM {
            self.with_claims(|claims| claims.insert(reply.to_string(), cancelled.clone()));
        }
        cancelled
    }

    fn cancel(&self, inbox: &[u8]) {
        let inbox = std::str::from_utf8(inbox).unwrap_or_default();
        if let Some(claim) = self.with_claims(|claims| claims.remove(inbox)) {
            claim.cancel();
        }
    }

    async fn answer(
        self,
        message: Message,
        reply: Subject,
        cancelled: CancellationToken,
        _place: OwnedSemaphorePermit,
    ) {
        match message.subject.as_str() {
            CLAIM => {
                if let Ok(claim) = read::<Claim>(&message) {
                    self.say(&reply, &Part::Taken).await;
                    tokio::select! {
                        biased;
                        () = self.claim(claim, &reply) => {}
                        // Dropped where it waits, it leaves nothing with the dispatcher.
                        () = cancelled.cancelled() => {}
                    }
                }
                self.with_claims(|claims| claims.remove(reply.as_str()));
            }
            BEAT => {
                if let Ok(beat) = read::<Beat>(&message) {
                    let answer = self.dispatcher.beat(beat).await;
                    self.say_in_office(&reply, answer).await;
                }
            }
            DEPTHS => {
                if let Ok(tenant) = read::<Tenant>(&message) {
                    let answer = self.dispatcher.depths(&tenant).await;
                    self.say_in_office(&reply, answer).await;
                }
            }
            other => tracing::debug!(subject = other, "nothing that is asked of a dispatcher"),
        }
    }

    async fn claim(&self, claim: Claim, reply: &Subject) {
        let jobs = match self.dispatcher.claim(claim.clone()).await {
            Ok(jobs) => jobs,
            Err(error) => return self.say(reply, &Part::Refused(error)).await,
        };
        // From here on nothing is dropped half way: a task of its own outlives the cancellation.
        let (serving, reply) = (self.clone(), reply.clone());
        tokio::spawn(async move {
            if !serving.deliver(&reply, &jobs).await {
                tracing::debug!(jobs = jobs.len(), "jobs not delivered, given back");
                serving.dispatcher.give_back(claim, jobs);
            }
        });
    }

    /// Sends the jobs part by part; whether all were received.
    async fn deliver(&self, reply: &Subject, jobs: &[HandedOut]) -> bool {
        let ends = parts(jobs);
        let mut from = 0;
        for (number, end) in ends.iter().enumerate() {
            let part = Part::Jobs {
                jobs: jobs[from..*end].to_vec(),
                is_last: number + 1 == ends.len(),
            };
            let request = Request::new()
                .payload(encoded(&part))
                .timeout(Some(ACKNOWLEDGED_MAX));
            let received = self.client.send_request(reply.clone(), request).await;
            if let Err(error) = received {
                tracing::debug!(%error, "part of an answer not received");
                return false;
            }
            from = *end;
        }
        true
    }

    /// Whoever is not in office any more keeps silent: another one may be, and is asked as well.
    async fn say_in_office<T: Serialize>(&self, reply: &Subject, answer: super::Answer<T>) {
        if !matches!(answer, Err(DispatchError::NotInOffice)) {
            self.say(reply, &answer).await;
        }
    }

    async fn refuse(&self, message: &Message, reply: Subject) {
        let full = DispatchError::TooManyClaims;
        match message.subject.as_str() {
            CLAIM => self.say(&reply, &Part::Refused(full)).await,
            _ => self.say(&reply, &super::Answer::<()>::Err(full)).await,
        }
    }

    async fn say(&self, reply: &Subject, message: &impl Serialize) {
        let said = self.client.publish(reply.clone(), encoded(message)).await;
        if let Err(error) = said {
            tracing::debug!(%error, "answer of the dispatcher not sent");
        }
    }

    /// Changes which claims wait.
    fn with_claims<T>(
        &self,
        change: impl FnOnce(&mut HashMap<String, CancellationToken>) -> T,
    ) -> T {
        // What panicked was not in the middle of a change: each is one call.
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut claims);
        metrics::gauge!("ledgerline_dispatch_forwarded_claims").set(claims.len() as f64);
        changed
    }
}

fn read<T: serde::de::DeserializeOwned>(message: &Message) -> Result<T, serde_json::Error> {
    serde_json::from_slice(&message.payload)
        .inspect_err(|error| tracing::warn!(%error, "question to the dispatcher not understood"))
}

/// Where each part ends; one, if there are no jobs.
fn parts(jobs: &[HandedOut]) -> Vec<usize> {
    let (mut ends, mut bytes) = (Vec::new(), 0);
    for (number, job) in jobs.iter().enumerate() {
        let more = job.spec.json_bytes_max();
        if bytes > 0 && bytes + more > PART_BYTES_MAX {
            ends.push(number);
            bytes = 0;
        }
        bytes += more;
    }
    ends.push(jobs.len());
    ends
}
