//! The replays that this process runs or has run.
//!
//! Kept in memory: a replay is a reading for somebody who listens now, not a job that must be done.
//! After a restart its name is unknown, and it is asked for again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use commands::Journal;
use commands::feed::replay::{Progress, Replay, ReplaySink};
use domain::{Tenant, Token};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::problem::{ApiError, Chain};

/// Replays at the same time: each reads the journal as fast as it can.
const RUNNING_MAX: usize = 16;
/// Replays that are remembered; the one that was begun first is forgotten.
const REMEMBERED_MAX: usize = 1_000;

/// Runs replays and knows how far they are.
pub struct Replays {
    journal: Arc<dyn Journal>,
    sink: Arc<dyn ReplaySink>,
    shutdown: CancellationToken,
    known: Arc<Mutex<Known>>,
}

/// How a replay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) progress: Progress,
    /// Why it broke off.
    pub(crate) error: Option<String>,
}

#[derive(Default)]
struct Known {
    by_name: HashMap<(Tenant, Token), Entry>,
    begun: u64,
}

struct Entry {
    number: u64,
    progress: watch::Receiver<Progress>,
    /// Nothing while it runs; then why it broke off, if it did.
    end: Option<Option<String>>,
}

impl Replays {
    /// Replays of `journal` into `sink`, until `shutdown`.
    #[must_use]
    pub fn new(
        journal: Arc<dyn Journal>,
        sink: Arc<dyn ReplaySink>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            journal,
            sink,
            shutdown,
            known: Arc::default(),
        }
    }

    /// Begins `replay`.
    pub(crate) fn begin(&self, replay: Replay) -> Result<State, ApiError> {
        let name = (replay.filter.tenant.clone(), replay.name.clone());
        let (sender, progress) = watch::channel(Progress {
            position: replay.after,
            ..Progress::default()
        });
        let state = State {
            progress: *progress.borrow(),
            error: None,
        };
        self.lock().begin(name.clone(), progress)?;
        let (journal, sink) = (Arc::clone(&self.journal), Arc::clone(&self.sink));
        let (shutdown, known) = (self.shutdown.clone(), Arc::clone(&self.known));
        tokio::spawn(async move {
            let run = replay.run(&*journal, &*sink, &sender);
            let end = match shutdown.run_until_cancelled(run).await {
                Some(Ok(_events)) => None,
                Some(Err(error)) => {
                    tracing::error!(error = %Chain(&error), replay = %replay.name, "replay");
                    Some(error.to_string())
                }
                None => Some("server is stopping".to_owned()),
            };
            known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .end(&name, end);
        });
        Ok(state)
    }

    /// How the replay `name` of `tenant` is.
    pub(crate) fn state(&self, tenant: &Tenant, name: &Token) -> Option<State> {
        let known = self.lock();
        let entry = known.by_name.get(&(tenant.clone(), name.clone()))?;
        let progress = *entry.progress.borrow();
        Some(State {
            progress,
            error: entry.end.clone().flatten(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn begin(
        &mut self,
        name: (Tenant, Token),
        progress: watch::Receiver<Progress>,
    ) -> Result<(), ApiError> {
        if self
            .by_name
            .get(&name)
            .is_some_and(|entry| entry.end.is_none())
        {
            return Err(ApiError::Conflict("a replay of this name is running"));
        }
        let running = self
            .by_name
            .values()
            .filter(|entry| entry.end.is_none())
            .count();
        if running >= RUNNING_MAX {
            return Err(ApiError::TooMany {
                what: "replays running",
                limit: RUNNING_MAX,
            });
        }
        if self.by_name.len() >= REMEMBERED_MAX {
            let ended = self.by_name.iter().filter(|(_, entry)| entry.end.is_some());
            let oldest = ended
                .min_by_key(|(_, entry)| entry.number)
                .map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.by_name.remove(&oldest);
            }
        }
        self.begun += 1;
        self.by_name.insert(
            name,
            Entry {
                number: self.begun,
                progress,
                end: None,
            },
        );
        Ok(())
    }

    fn end(&mut self, name: &(Tenant, Token), error: Option<String>) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.end = Some(error);
        }
    }
}
