//! Queue: how the jobs of one queue are handed out. A queue needs no making: one of which nothing was
//! said hands out whatever it has.
//! Stream `queue.<name>`. Reads no clock.
//!
//! Invariants: limits hold from the moment that the dispatcher has read them; a job that runs is never
//! taken back for a limit or a pause.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::{Aggregate, Category, Context, Text, Timestamp, Whole};

/// Why a queue was paused: at most 2,000 bytes.
pub type Reason = Text<2_000, true>;

/// What may be asked of a queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Replace all of its limits.
    Configure(Limits),
    /// Hand out nothing until it is resumed.
    Pause { reason: Option<Reason> },
    /// Hand out again.
    Resume,
}

/// Facts on disk: add variants and fields, never change their meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// It has these limits from now on.
    Configured(Limits),
    /// It hands out nothing.
    Paused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// It hands out again.
    Resumed,
}

/// A queue never says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
pub enum Refusal {}

/// How much of a queue may run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many jobs run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_max: Option<Count>,
    /// How many jobs of one fairness key run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_per_key_max: Option<Count>,
    /// How many jobs begin in a period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// So many begin in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub jobs: Count,
    /// In how long, in milliseconds.
    pub period_ms: Count,
}

/// 1 to 1,000,000.
pub type Count = Whole<1, 1_000_000>;

/// What the next decision needs, and what the dispatcher goes by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its limits.
    pub limits: Limits,
    /// Whether it hands out nothing.
    pub is_paused: bool,
}

impl Aggregate for Queue {
    const CATEGORY: Category = Category::new("queue");
    const STATE_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: &Command, _context: &Context) -> Result<Vec<Event>, Refusal> {
        Ok(match command {
            Command::Configure(limits) if *limits == self.limits => vec![],
            Command::Configure(limits) => vec![Event::Configured(*limits)],
            Command::Pause { .. } if self.is_paused => vec![],
            Command::Pause { reason } => vec![Event::Paused {
                reason: reason.clone(),
            }],
            Command::Resume if self.is_paused => vec![Event::Resumed],
            Command::Resume => vec![],
        })
    }

    fn evolve(&mut self, event: &Event, _at: Timestamp) {
        match event {
            Event::Configured(limits) => self.limits = *limits,
            Event::Paused { .. } => self.is_paused = true,
            Event::Resumed => self.is_paused = false,
        }
    }
}

impl crate::Event for Event {
    const NAMES: &'static [&'static str] = Self::VARIANTS;

    fn name(&self) -> &'static str {
        self.into()
    }

    fn version(&self) -> u16 {
        1
    }
}

impl crate::Refusal for Refusal {
    fn code(&self) -> &'static str {
        match *self {}
    }

    fn is_unknown(&self) -> bool {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::given;

    #[test]
    fn a_queue_that_nothing_was_said_of_is_not_paused_and_has_no_limits() {
        let queue = Queue::default();
        assert!(!queue.is_paused);
        assert_eq!(queue.limits, Limits::default());
        given::<Queue>([]).when(Command::Resume).then_nothing();
    }

    #[test]
    fn saying_the_same_again_changes_nothing() {
        let limits = Limits {
            running_max: Some(Count::of::<3>()),
            ..Limits::default()
        };
        given::<Queue>([Event::Configured(limits)])
            .when(Command::Configure(limits))
            .then_nothing();
        let paused = || Event::Paused { reason: None };
        given::<Queue>([paused()])
            .when(Command::Pause { reason: None })
            .then_nothing();
        given::<Queue>([paused()])
            .when(Command::Resume)
            .then([Event::Resumed]);
    }

    #[test]
    fn every_stored_sample_of_an_event_decodes() {
        for line in [
            r#"{"type":"configured","data":{"running_max":5,"rate":{"jobs":10,"period_ms":1000}},"v":1}"#,
            r#"{"type":"configured","data":{},"v":1}"#,
            r#"{"type":"paused","data":{"reason":"the printer burns"},"v":1}"#,
            r#"{"type":"paused","data":{},"v":1}"#,
            r#"{"type":"resumed","v":1}"#,
        ] {
            let recorded: crate::RecordedEvent = serde_json::from_str(line).expect("recorded");
            recorded.decode::<Event>().expect("decodes for ever");
        }
    }
}
