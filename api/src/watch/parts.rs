//! The events of all jobs that belong together.
//!
//! An `enqueued` event says to which queue and whole its job belongs; every other one is of a job that was
//! enqueued before, and if that was not met here, the read side is asked, once for all of them that are
//! at hand. To what a job belongs never changes, so what was learnt may be kept, or forgotten and asked
//! for again: how many jobs there are is not limited by this.

use std::collections::HashMap;

use commands::FeedEvent;
use commands::feed::{FeedFilter, FeedStart};
use domain::job::{Job, Parent};
use domain::queue::Queue;
use domain::{Aggregate as _, Position, Tenant, Token};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use projections::job::{Group, belonging};
use quick_cache::unsync::Cache;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::events::cloud_event::Message;
use crate::events::follow;
use crate::events::subscription::End;
use crate::problem::Chain;
use crate::texts::parse_id;

/// Events that are looked at together: one question to the read side answers for all of them.
const CHUNK_EVENTS_MAX: usize = 256;

/// Jobs of which it is kept where they belong, about 50 bytes each.
const KNOWN_MAX: usize = 10_000;

/// Lets through what belongs to one group.
pub(super) struct Parts {
    app: App,
    tenant: Tenant,
    group: Group,
    known: Cache<Uuid, bool>,
}

/// What an `enqueued` event says of where its job belongs.
#[derive(Deserialize)]
struct Enqueued {
    queue: Token,
    #[serde(default)]
    parent: Option<Parent>,
}

impl Parts {
    pub(super) fn new(app: App, tenant: Tenant, group: Group) -> Self {
        Self {
            app,
            tenant,
            group,
            known: Cache::new(KNOWN_MAX),
        }
    }

    /// The events of the group behind `start`, where the read side has been.
    pub(super) fn follow(self, start: FeedStart) -> BoxStream<'static, Result<Message, End>> {
        let filter = FeedFilter {
            category: match &self.group {
                // The queue has events of its own, and only one subscription keeps the order of all.
                Group::Queue(_) => None,
                Group::Parent(_) => Token::new(Job::CATEGORY.as_str()).ok(),
            },
            ..FeedFilter::of(self.tenant.clone())
        };
        let events = follow(&self.app, filter, start);
        let chunks = events.ready_chunks(CHUNK_EVENTS_MAX).boxed();
        stream::unfold((chunks, self), async |(mut chunks, mut parts)| {
            let chunk = chunks.next().await?;
            let messages = parts.pass(chunk).await;
            Some((stream::iter(messages), (chunks, parts)))
        })
        .flatten()
        .boxed()
    }

    async fn pass(&mut self, chunk: Vec<Result<FeedEvent, End>>) -> Vec<Result<Message, End>> {
        let events = chunk.iter().filter_map(|event| event.as_ref().ok());
        let belongs = match self.learn(events).await {
            Ok(belongs) => belongs,
            Err(end) => return vec![Err(end)],
        };
        let is_told = |event: &FeedEvent| match job_of(event) {
            Some(job) => belongs.get(&job).copied().unwrap_or_default(),
            None => self.is_own(event),
        };
        let told = chunk.into_iter().filter_map(|event| match event {
            Ok(event) => is_told(&event).then(|| Ok(Message::of_event(&event))),
            Err(end) => Some(Err(end)),
        });
        told.collect()
    }

    /// Whether it is an event of the queue itself.
    fn is_own(&self, event: &FeedEvent) -> bool {
        match &self.group {
            Group::Queue(name) => {
                event.category.as_str() == Queue::CATEGORY.as_str() && event.id == *name
            }
            Group::Parent(_) => false,
        }
    }

    /// Of every job that `events` are of, whether it belongs to the group.
    async fn learn(
        &mut self,
        events: impl Iterator<Item = &FeedEvent>,
    ) -> Result<HashMap<Uuid, bool>, End> {
        let mut belongs = HashMap::new();
        let mut unknown = Vec::new();
        let mut last = Position::START;
        for event in events {
            let Some(job) = job_of(event) else { continue };
            if belongs.contains_key(&job) || unknown.contains(&job) {
                continue;
            }
            match self
                .said_by(event)
                .or_else(|| self.known.get(&job).copied())
            {
                Some(is_part) => {
                    belongs.insert(job, is_part);
                }
                None => {
                    unknown.push(job);
                    last = event.position.position;
                }
            }
        }
        if !unknown.is_empty() {
            belongs.extend(self.look_up(&unknown, last).await?);
        }
        for (job, is_part) in &belongs {
            self.known.insert(*job, *is_part);
        }
        Ok(belongs)
    }

    /// What the event itself says.
    fn said_by(&self, event: &FeedEvent) -> Option<bool> {
        if event.event.as_str() != "enqueued" {
            return None;
        }
        let enqueued: Enqueued = serde_json::from_str(event.data.get()).ok()?;
        Some(match &self.group {
            Group::Queue(queue) => enqueued.queue == *queue,
            Group::Parent(parent) => enqueued.parent.as_ref() == Some(parent),
        })
    }

    /// What the read side knows of `jobs`, once it knows them all or has come as far as `last`.
    async fn look_up(&self, jobs: &[Uuid], last: Position) -> Result<HashMap<Uuid, bool>, End> {
        let (known, _) = self.ask(jobs).await?;
        if known.len() == jobs.len() {
            return Ok(known);
        }
        // A job that was met here and forgotten may be younger than what the read side has read.
        let waited = self.app.wait_for(last).await;
        waited.map_err(|_behind| End::ReadSideAway)?;
        let (known, position) = self.ask(jobs).await?;
        let is_enough = known.len() == jobs.len() || position >= last;
        is_enough.then_some(known).ok_or(End::ReadSideAway)
    }

    async fn ask(&self, jobs: &[Uuid]) -> Result<(HashMap<Uuid, bool>, Position), End> {
        let asked = belonging(&self.app.reads.reader, &self.tenant, &self.group, jobs).await;
        asked.map_err(|error| {
            tracing::warn!(error = %Chain(&error), "ask where jobs belong");
            End::ReadSideAway
        })
    }
}

/// The job that it is an event of, if it is one of a job.
fn job_of(event: &FeedEvent) -> Option<Uuid> {
    let is_of_job = event.category.as_str() == Job::CATEGORY.as_str();
    is_of_job
        .then(|| parse_id(event.id.as_str()).ok())
        .flatten()
}
