//! The mapping: a YAML file that says how the attributes of a log become commands.
//!
//! Reads: YAML, under limits that an alias bomb, a deep nesting or a long text meets within
//! milliseconds. Gives: a [`Mapping`] that was checked as a whole; every error names line and field.
//! `examples/bpi2013-mapping.yaml` shows and explains every part.
//!
//! Invariants: unknown fields, duplicate keys and merge keys are refused; a template that cannot be
//! read is refused here, not in the middle of an import. What the mapping deliberately cannot do is
//! compute: it names attributes, puts them into text and picks commands.

mod step;
mod template;

#[cfg(test)]
mod tests;

pub use step::{Action, Pattern, Patterns, Step, Unchanged};
pub use template::{Facts, InvalidTemplate, Missing, Order, Reference, Template};

use std::collections::BTreeMap;

use domain::assignment::{Labels, Priority};
use domain::{Name, Token};
use serde::Deserialize;

/// Bytes of a mapping: some twenty times the example with all its comments, and few enough that
/// whatever stands in them is refused in less than 50 ms.
pub const MAPPING_BYTES_MAX: usize = 128 * 1024;
/// YAML events, those of replayed aliases apart.
const YAML_EVENTS_MAX: usize = 20_000;
/// Levels of nesting; a mapping needs six.
const YAML_DEPTH_MAX: usize = 16;
/// Anchors, and aliases to them: to write a text once is fine, to multiply it is not.
const YAML_ALIASES_MAX: usize = 100;
/// YAML events that aliases may bring back, all together.
const YAML_REPLAYED_EVENTS_MAX: usize = 2_000;
/// Steps are tried one after another for each event.
const STEPS_MAX: usize = 1_000;

/// How a log becomes commands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// A name for the log, part of every id and key: logs that number their cases alike must
    /// differ in it, and one log must keep it.
    pub source: Token,
    /// Whether an attribute that an event or a trace lacks takes the default from `global`.
    #[serde(default)]
    pub global_defaults: bool,
    /// What names the case.
    pub case: Case,
    /// What the first event of a case asks for.
    pub request: RequestFields,
    /// What every event says.
    pub event: EventFields,
    /// What the events mean; the first step that fits is taken.
    pub steps: Steps,
    /// What becomes of an event that no step fits.
    pub otherwise: Otherwise,
}

/// What names a case. Its templates see the attributes of the trace only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of the case in its log.
    pub id: Template,
}

/// The fields of the request. Their templates see the attributes of the trace, then those of the
/// first event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFields {
    /// The title. Required.
    pub title: Template,
    /// The kind. Required.
    pub kind: Template,
    /// The group whose queue the work begins in. Required.
    pub group: Template,
    /// Who asks for it; left out, or without its attributes, it is whoever the event says acts.
    pub requester: Option<Template>,
    /// What is to be done; left out without its attributes.
    pub description: Option<Template>,
    /// The name of the case elsewhere; left out without its attributes.
    pub external_ref: Option<Template>,
    /// The priority; 3 if not said.
    pub priority: Option<PriorityRule>,
    /// Labels; one whose attributes are not there is left out.
    #[serde(default)]
    pub labels: LabelTemplates,
}

/// Templates of labels by their keys, no more than an assignment may have.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(try_from = "BTreeMap<Name, Template>")]
pub struct LabelTemplates(BTreeMap<Name, Template>);

/// How a text becomes a priority.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorityRule {
    /// The text.
    pub from: Template,
    /// Which text is which priority.
    pub map: BTreeMap<String, Priority>,
    /// The priority of every other text, and of none.
    pub default: Priority,
}

/// What every event says. Its templates, as those of the steps, see the attributes of the event.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFields {
    /// When it happened. Required.
    pub time: Template,
    /// The zone of times that have none: `UTC` or an offset such as `+01:00`.
    pub zone: Option<Zone>,
    /// On whose behalf the import acts. Required.
    pub actor: Template,
    /// To whom work is given; the actor if not said.
    pub assignee: Option<Template>,
    /// The group it is given to; where it is missing, the work stays in the group it is in.
    pub group: Template,
    /// The text of a note that does not have its own.
    pub note: Template,
}

/// A fixed distance from UTC. Named zones are left out on purpose: their rules differ by machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(pub jiff::tz::TimeZone);

/// The steps in their order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Vec<Step>")]
pub struct Steps(Vec<Step>);

/// What becomes of an event that no step fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It is counted and listed.
    Reject,
    /// It becomes a note.
    Note,
}

/// Why a mapping was refused.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It is longer than a mapping can be.
    #[error("the mapping has `{bytes}` bytes, more than the limit of `{MAPPING_BYTES_MAX}`")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It is no YAML, or does not say what a mapping says.
    #[error("the mapping is wrong: {problem}")]
    Wrong {
        /// The line, from 1; 0 when it is nowhere in particular.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong, with its line and the lines around it.
        problem: String,
    },
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// When it is no mapping, or larger than one can be.
    pub fn from_yaml(yaml: &str) -> Result<Self, MappingError> {
        if yaml.len() > MAPPING_BYTES_MAX {
            return Err(MappingError::TooLong { bytes: yaml.len() });
        }
        serde_saphyr::from_str_with_options(yaml, yaml_options()).map_err(|error| {
            let location = error.location();
            MappingError::Wrong {
                line: location.map_or(0, |location| location.line()),
                column: location.map_or(0, |location| location.column()),
                problem: error.to_string(),
            }
        })
    }
}

fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: YAML_EVENTS_MAX,
            max_nodes: YAML_EVENTS_MAX,
            max_depth: YAML_DEPTH_MAX,
            flow_nesting_limit: YAML_DEPTH_MAX,
            max_documents: 1,
            max_aliases: YAML_ALIASES_MAX,
            max_anchors: YAML_ALIASES_MAX,
            max_recorded_anchor_events: YAML_REPLAYED_EVENTS_MAX,
            max_recorded_anchor_bytes: MAPPING_BYTES_MAX,
            max_total_scalar_bytes: MAPPING_BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: YAML_REPLAYED_EVENTS_MAX,
            max_replay_stack_depth: 4,
            max_alias_expansions_per_anchor: YAML_ALIASES_MAX,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        emit_comments: false,
    }
}

impl Steps {
    /// The first step that fits the event.
    #[must_use]
    pub fn fitting(&self, facts: &Facts<'_>) -> Option<&Step> {
        self.0.iter().find(|step| step.fits(facts))
    }
}

impl TryFrom<Vec<Step>> for Steps {
    type Error = String;

    fn try_from(steps: Vec<Step>) -> Result<Self, Self::Error> {
        match steps.len() {
            0 => Err("a mapping needs at least one step".to_owned()),
            1..=STEPS_MAX => Ok(Self(steps)),
            more => Err(format!(
                "`{more}` steps are more than the limit of `{STEPS_MAX}`"
            )),
        }
    }
}

impl LabelTemplates {
    /// The templates by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Template)> {
        self.0.iter()
    }
}

impl TryFrom<BTreeMap<Name, Template>> for LabelTemplates {
    type Error = String;

    fn try_from(labels: BTreeMap<Name, Template>) -> Result<Self, Self::Error> {
        let (count, max) = (labels.len(), Labels::ENTRIES_MAX);
        if count > max {
            return Err(format!(
                "`{count}` labels are more than the limit of `{max}`"
            ));
        }
        Ok(Self(labels))
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(zone: String) -> Result<Self, Self::Error> {
        let offset = match zone.as_str() {
            "UTC" | "Z" => Some(jiff::tz::Offset::UTC),
            _ => jiff::fmt::strtime::parse("%:z", &zone)
                .ok()
                .and_then(|parsed| parsed.offset()),
        };
        let offset =
            offset.ok_or_else(|| format!("`{zone}` is neither `UTC` nor an offset as `+01:00`"))?;
        Ok(Self(offset.to_time_zone()))
    }
}
