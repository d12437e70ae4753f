//! From one case to its commands. Reads a [`Trace`] and the [`Mapping`]; writes nothing.
//!
//! The planner keeps the state of the case as the domain's own rules make it, so it knows which
//! preparations a step needs, what would change nothing and what would be refused.
//!
//! Invariants:
//! - Pure: the same trace, mapping and time give the same commands with the same ids and keys, so
//!   that a second import meets the first.
//! - Every event of the trace has exactly one [`Outcome`], in the order of the log.
//! - An event is planned as a whole or not at all.
//!
//! What it deliberately does not do: put the events of a case into the order of their times. The
//! order of the log is what its system recorded. Nor does it know of other cases: [`SeenCases`] does.

mod command;
mod seen;

#[cfg(test)]
mod tests;

pub use seen::{CASES_MAX, SeenCases, TooManyCases};

use domain::assignment::{Assignment, Command, Refusal};
use domain::{Aggregate, Context, Name, Refusal as _, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::mapping::{Facts, Mapping, Missing, Order, Otherwise, Step, Unchanged};
use super::xes::{Attributes, Event, Header, Malformed, Place, Trace};

/// The namespace of the ids of imported assignments: made once, never to change.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f0e_6a3c_52d1_5b47_9c1d_3e7f_a2b4_60d8);

/// The longest case id that stands in a key as it is; a longer one is replaced by its digest.
const CASE_IN_KEY_BYTES_MAX: usize = 64;

/// Plans the commands of cases.
#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    mapping: &'a Mapping,
    now: Timestamp,
}

/// What becomes of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct CasePlan {
    /// The name of the case in its log, if it has one.
    pub case: Option<String>,
    /// The assignment that it becomes; `None` without a name.
    pub id: Option<Uuid>,
    /// What becomes of each of its events, in their order.
    pub events: Vec<EventPlan>,
}

/// What becomes of one event of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPlan {
    /// Where it stands.
    pub place: EventPlace,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// Where an event of a log stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventPlace {
    /// The name of its case, if it has one.
    pub case: Option<String>,
    /// Its number in the case, from 0.
    pub event: u32,
    /// Line of the file, from 1.
    pub line: u64,
    /// Byte of the file, from 0, after decompression.
    pub byte: u64,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It becomes these commands, at least one, in this order.
    Planned(Vec<PlannedCommand>),
    /// Everything it says is so already.
    Unchanged,
    /// It becomes nothing, for this reason.
    Rejected(Rejection),
}

/// One command, as `POST /v1/commands` takes it on a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedCommand {
    /// Its name, such as `assignment.start`.
    pub command: &'static str,
    /// The assignment it is for.
    pub id: Uuid,
    /// The idempotency key: from source, case, event and number, so that a repeat is known.
    pub key: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Whose doing it was.
    pub on_behalf_of: String,
    /// Never expected: a repeat of an import would expect what is long past.
    pub expected_version: Option<u64>,
    /// The command's fields.
    pub data: serde_json::Value,
    /// Where it comes from; not sent.
    #[serde(skip)]
    pub place: EventPlace,
}

/// Why an event becomes nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// It, or what is said of its case, cannot be read.
    #[error(transparent)]
    Malformed(Malformed),
    /// The case has no name.
    #[error("the case has no id: {0}")]
    NoCaseId(Missing),
    /// An earlier trace of the log has the same name. Found by [`SeenCases`].
    #[error("the log has an earlier trace of the same case id")]
    RepeatedCase,
    /// An attribute that a field needs is missing.
    #[error("`{field}` cannot be filled: {missing}")]
    MissingAttribute {
        /// The field of the mapping.
        field: &'static str,
        /// The attribute.
        missing: Missing,
    },
    /// A field breaks a rule.
    #[error("`{field}` {problem}")]
    InvalidField {
        /// The field of the mapping.
        field: &'static str,
        /// The rule.
        problem: String,
    },
    /// The time is none.
    #[error("`event.time` is no time: `{text}`")]
    InvalidTime {
        /// What stands there.
        text: String,
    },
    /// The time has no zone, and the mapping names none.
    #[error("`event.time` has no zone: `{text}`; name one in the mapping under `event.zone`")]
    TimeWithoutZone {
        /// What stands there.
        text: String,
    },
    /// It lies in the future.
    #[error("it happened after the time of the import: `{0}`")]
    InFuture(Timestamp),
    /// The mapping has no step for it.
    #[error("no step of the mapping fits: `{0}`")]
    NoStep(String),
    /// The rules of an assignment forbid it.
    #[error("`{command}` was refused: {refusal}")]
    Refused {
        /// The command.
        command: &'static str,
        /// The rule.
        refusal: Refusal,
    },
}

/// An event that became nothing, as a line of a rejects file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectLine {
    /// Where it stands.
    #[serde(flatten)]
    pub place: EventPlace,
    /// The sort of reason, to count by.
    pub reason: &'static str,
    /// The reason in words.
    pub detail: String,
}

impl Rejection {
    /// The sort of reason: one of few, to count by.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::NoCaseId(_) => "no-case-id",
            Self::RepeatedCase => "repeated-case",
            Self::MissingAttribute { .. } => "missing-attribute",
            Self::InvalidField { .. } => "invalid-field",
            Self::InvalidTime { .. } => "invalid-time",
            Self::TimeWithoutZone { .. } => "time-without-zone",
            Self::InFuture(_) => "in-future",
            Self::NoStep(_) => "no-step",
            Self::Refused { refusal, .. } => refusal.code(),
        }
    }
}

impl EventPlan {
    /// The line for a rejects file, if the event became nothing.
    #[must_use]
    pub fn reject_line(&self) -> Option<RejectLine> {
        match &self.outcome {
            Outcome::Planned(_) | Outcome::Unchanged => None,
            Outcome::Rejected(rejection) => Some(RejectLine {
                place: self.place.clone(),
                reason: rejection.code(),
                detail: rejection.to_string(),
            }),
        }
    }
}

impl<'a> Planner<'a> {
    /// A planner for an import that happens at `now`: nothing later can have happened.
    #[must_use]
    pub fn new(mapping: &'a Mapping, now: Timestamp) -> Self {
        Self { mapping, now }
    }

    /// Plans one case.
    #[must_use]
    pub fn plan(&self, trace: &Trace, header: &Header) -> CasePlan {
        let none = Attributes::default();
        let defaults = self.mapping.global_defaults;
        let (trace_globals, event_globals) = if defaults {
            (&header.trace_globals, &header.event_globals)
        } else {
            (&none, &none)
        };
        let of_case = Facts {
            trace: trace.content.as_ref().unwrap_or(&none),
            event: &none,
            trace_globals,
            event_globals,
        };
        let case_id = match &trace.content {
            Ok(_) => self
                .mapping
                .case
                .id
                .fill(&of_case, Order::Trace)
                .map_err(Rejection::NoCaseId),
            Err(malformed) => Err(Rejection::Malformed(malformed.clone())),
        };
        let mut case = case_id.map(|name| Case::new(self.mapping.source.as_str(), name));
        let name = case.as_ref().ok().map(|case| case.name.clone());
        let id = case.as_ref().ok().map(|case| case.id);
        let plan_one = |event: &Event| {
            let Place { line, byte } = event.place;
            let place = EventPlace {
                case: name.clone(),
                event: event.index,
                line,
                byte,
            };
            let outcome = match (&mut case, &event.content) {
                (Err(rejection), _) => Outcome::Rejected(rejection.clone()),
                (Ok(_), Err(malformed)) => {
                    Outcome::Rejected(Rejection::Malformed(malformed.clone()))
                }
                (Ok(case), Ok(attributes)) => {
                    let facts = Facts {
                        event: attributes,
                        ..of_case
                    };
                    self.plan_event(case, &facts, &place)
                        .unwrap_or_else(Outcome::Rejected)
                }
            };
            EventPlan { place, outcome }
        };
        let events = trace.events.iter().map(plan_one).collect();
        CasePlan {
            case: name,
            id,
            events,
        }
    }

    fn plan_event(
        &self,
        case: &mut Case,
        facts: &Facts<'_>,
        place: &EventPlace,
    ) -> Result<Outcome, Rejection> {
        let mapping = self.mapping;
        let occurred_at = command::time(mapping, facts)?;
        let context = Context::occurred(self.now, Some(occurred_at))
            .map_err(|future| Rejection::InFuture(future.occurred_at))?;
        let actor = command::actor(mapping, facts)?;
        let mut draft = Draft {
            case: &*case,
            state: case.state.clone(),
            context,
            occurred_at,
            actor,
            place,
            commands: Vec::new(),
        };
        let step = mapping.steps.fitting(facts);
        if draft.state.status().is_none() && (step.is_some() || takes_all(mapping)) {
            let request = command::request(mapping, facts, &draft.actor)?;
            draft
                .attempt(request)
                .map_err(|refusal| refused("request", refusal))?;
        }
        match step {
            Some(step) => draft.follow(mapping, step, facts)?,
            None if takes_all(mapping) => draft.note(mapping, facts)?,
            None => {
                let event = mapping
                    .event
                    .note
                    .fill(facts, Order::Event)
                    .unwrap_or_default();
                return Err(Rejection::NoStep(event));
            }
        }
        let Draft {
            state, commands, ..
        } = draft;
        case.state = state;
        Ok(if commands.is_empty() {
            Outcome::Unchanged
        } else {
            Outcome::Planned(commands)
        })
    }
}

fn takes_all(mapping: &Mapping) -> bool {
    mapping.otherwise == Otherwise::Note
}

/// A case on its way through its events.
#[derive(Debug)]
struct Case {
    name: String,
    id: Uuid,
    key: String,
    state: Assignment,
}

impl Case {
    fn new(source: &str, name: String) -> Self {
        // No token contains a line break, so no two sources can mean the same case.
        let id = Uuid::new_v5(&NAMESPACE, format!("{source}\n{name}").as_bytes());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = name.len() <= CASE_IN_KEY_BYTES_MAX && name.bytes().all(plain);
        // `~` is in no plain name, so a digest is never taken for one.
        let in_key = if fits {
            name.clone()
        } else {
            format!("~{}", id.simple())
        };
        let key = format!("xes:{source}:{in_key}");
        Self {
            name,
            id,
            key,
            state: Assignment::default(),
        }
    }
}

/// The commands of one event while they are tried on a copy of the case's state.
struct Draft<'a> {
    case: &'a Case,
    state: Assignment,
    context: Context,
    occurred_at: Timestamp,
    actor: Name,
    place: &'a EventPlace,
    commands: Vec<PlannedCommand>,
}

impl Draft<'_> {
    fn follow(
        &mut self,
        mapping: &Mapping,
        step: &Step,
        facts: &Facts<'_>,
    ) -> Result<(), Rejection> {
        for action in step.preparations() {
            let command = command::build(mapping, action, facts, &self.actor)?;
            match self.attempt(command) {
                // A refusal only says that the case does not need, or cannot use, the preparation;
                // whether the event itself can be taken, the last action will show.
                Ok(true | false) | Err(_) => {}
            }
        }
        let command = command::build(mapping, step.last(), facts, &self.actor)?;
        let name = command::name(&command);
        let changed = self
            .attempt(command)
            .map_err(|refusal| refused(name, refusal))?;
        let told = changed || !self.commands.is_empty();
        match step.unchanged {
            Unchanged::Note if !told => self.note(mapping, facts),
            Unchanged::Note | Unchanged::Nothing => Ok(()),
        }
    }

    fn note(&mut self, mapping: &Mapping, facts: &Facts<'_>) -> Result<(), Rejection> {
        let note = command::note(mapping, None, facts)?;
        self.attempt(note)
            .map_err(|refusal| refused("note", refusal))?;
        Ok(())
    }

    /// Takes the command in if it changes something, and says whether it did.
    fn attempt(&mut self, command: Command) -> Result<bool, Refusal> {
        let events = self.state.decide(&command, &self.context)?;
        if events.is_empty() {
            return Ok(false);
        }
        for event in &events {
            self.state.evolve(event, self.context.happened_at());
        }
        let (name, data) = command::to_wire(&command);
        self.commands.push(PlannedCommand {
            command: name,
            id: self.case.id,
            key: format!(
                "{}:{}:{}",
                self.case.key,
                self.place.event,
                self.commands.len()
            ),
            occurred_at: self.occurred_at,
            on_behalf_of: self.actor.to_string(),
            expected_version: None,
            data,
            place: self.place.clone(),
        });
        Ok(true)
    }
}

fn refused(command: &'static str, refusal: Refusal) -> Rejection {
    Rejection::Refused { command, refusal }
}
