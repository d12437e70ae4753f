//! What an aggregate is: a state that decides on commands and evolves by events.
//!
//! `decide` never changes the state and `evolve` never judges; both are pure and total, so a history
//! folds to the same state on every machine and for ever.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Category, Timestamp};

/// A state that takes commands and answers with events.
///
/// The default value is the state before the first event. The state is serialized into snapshots.
pub trait Aggregate:
    Default + Clone + Debug + Send + Sync + Serialize + DeserializeOwned + 'static
{
    /// The kind of stream this aggregate lives on.
    const CATEGORY: Category;
    /// Grows whenever the shape or the meaning of the state changes: older snapshots are then ignored.
    const STATE_VERSION: u32;
    /// What may be asked of it.
    type Command: Debug + Send + Sync;
    /// What may have happened to it.
    type Event: Event;
    /// Why it may say no.
    type Refusal: Refusal;

    /// The events that `command` brings about; none, when there is nothing to change.
    ///
    /// # Errors
    /// The refusal, when a rule forbids the command in this state.
    fn decide(
        &self,
        command: &Self::Command,
        context: &Context,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Takes in what has happened at `at`.
    fn evolve(&mut self, event: &Self::Event, at: Timestamp);
}

/// A fact on disk. Variants and fields may be added; their meaning never changes.
///
/// Serialized adjacently tagged: `{"type": <name>, "data": {…}}`.
pub trait Event:
    Clone + Debug + PartialEq + Send + Sync + Serialize + DeserializeOwned + 'static
{
    /// Every name, in the order of declaration.
    const NAMES: &'static [&'static str];

    /// The value of `type`, in snake case.
    fn name(&self) -> &'static str;

    /// The version of the shape of `data`.
    fn version(&self) -> u16;
}

/// Why a rule said no. Not a failure: nothing is broken.
pub trait Refusal: std::error::Error + Clone + PartialEq + Send + Sync + 'static {
    /// A stable name in kebab case, the last part of the problem's `type`.
    fn code(&self) -> &'static str;

    /// Whether the refusal says that there is no such aggregate.
    fn is_unknown(&self) -> bool;
}

/// What a decision may know of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    now: Timestamp,
    occurred_at: Option<Timestamp>,
}

/// A command said that something happened later than now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`occurred_at` `{occurred_at}` lies after the time of recording `{now}`")]
pub struct OccurredInFuture {
    /// What the command said.
    pub occurred_at: Timestamp,
    /// The time of recording.
    pub now: Timestamp,
}

impl Context {
    /// A decision made at `now` about what happens now.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            occurred_at: None,
        }
    }

    /// A decision recorded at `now` about what happened at `occurred_at`, as imports need.
    ///
    /// # Errors
    /// When `occurred_at` lies after `now`.
    pub fn occurred(
        now: Timestamp,
        occurred_at: Option<Timestamp>,
    ) -> Result<Self, OccurredInFuture> {
        match occurred_at {
            Some(occurred_at) if occurred_at > now => Err(OccurredInFuture { occurred_at, now }),
            occurred_at => Ok(Self { now, occurred_at }),
        }
    }

    /// When the decision is recorded.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The earlier time that the command named, if it did.
    #[must_use]
    pub fn occurred_at(&self) -> Option<Timestamp> {
        self.occurred_at
    }

    /// When it happened: the time the command named, else the time of recording.
    #[must_use]
    pub fn happened_at(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.now)
    }
}
