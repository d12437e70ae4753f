//! Steps: which events they fit, and what these events do.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::template::{Facts, Order, Reference, Template};

/// Actions of one step. An event that does more than this is more than one event.
const ACTIONS_MAX: usize = 8;
/// Alternatives of one pattern.
const ALTERNATIVES_MAX: usize = 1_000;

/// What events of one sort mean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The attributes of the event and what they must be; all of them must fit.
    when: BTreeMap<Reference, Patterns>,
    /// What is done. All but the last prepare for it and are skipped where the case does not need
    /// them or its rules do not allow them.
    #[serde(rename = "do")]
    actions: Actions,
    /// What is done when the last action would change nothing.
    #[serde(default)]
    pub unchanged: Unchanged,
}

/// What is done when an action would change nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unchanged {
    /// The event is counted as unchanged.
    #[default]
    Nothing,
    /// It becomes a note.
    Note,
}

/// The actions of a step, at least one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Vec<Action>")]
struct Actions {
    preparations: Vec<Action>,
    last: Action,
}

/// A command with where its fields come from. A group or assignee that is not said comes from the
/// mapping's `event`, the text of a note too.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Into the queue of a group.
    Requeue {
        /// The group.
        group: Option<Template>,
    },
    /// To a person.
    Assign {
        /// The person.
        assignee: Option<Template>,
        /// Their group.
        group: Option<Template>,
    },
    /// A person works on it.
    Start {
        /// The person.
        assignee: Option<Template>,
        /// Their group.
        group: Option<Template>,
    },
    /// Something is written down.
    Note {
        /// What.
        text: Option<Template>,
    },
    /// It waits.
    Hold {
        /// For what.
        reason: Template,
    },
    /// It goes on.
    Resume,
    /// It is done.
    Complete {
        /// What came of it.
        outcome: Template,
    },
    /// Its end is confirmed.
    Close,
    /// It is taken up again.
    Reopen {
        /// Why.
        reason: Option<Template>,
    },
    /// It ends undone.
    Cancel {
        /// Why.
        reason: Option<Template>,
    },
}

/// Texts of which one must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns(Vec<Pattern>);

/// A text in which `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub(super) String);

impl Step {
    /// Whether the step is for this event.
    #[must_use]
    pub fn fits(&self, facts: &Facts<'_>) -> bool {
        self.when.iter().all(|(reference, patterns)| {
            let text = facts.text(reference, Order::Event);
            text.is_some_and(|text| patterns.fit(&text))
        })
    }

    /// What prepares for the last action.
    #[must_use]
    pub fn preparations(&self) -> &[Action] {
        &self.actions.preparations
    }

    /// What the event is for.
    #[must_use]
    pub fn last(&self) -> &Action {
        &self.actions.last
    }
}

impl Patterns {
    /// Whether one of them fits.
    #[must_use]
    pub fn fit(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fits(text))
    }
}

impl Pattern {
    /// Whether the whole text is as the pattern says.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        // The leftmost place of each piece leaves the most for those behind it.
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl TryFrom<Vec<Action>> for Actions {
    type Error = String;

    fn try_from(mut preparations: Vec<Action>) -> Result<Self, Self::Error> {
        let count = preparations.len();
        if count > ACTIONS_MAX {
            return Err(format!(
                "`{count}` actions are more than the limit of `{ACTIONS_MAX}`"
            ));
        }
        let last = preparations
            .pop()
            .ok_or("a step needs at least one action")?;
        Ok(Self { preparations, last })
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PatternsVisitor)
    }
}

struct PatternsVisitor;

impl<'de> Visitor<'de> for PatternsVisitor {
    type Value = Patterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts; numbers and truth values in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Patterns(vec![Pattern(text.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Self::Value, A::Error> {
        let mut patterns = Vec::new();
        while let Some(text) = texts.next_element::<String>()? {
            if patterns.len() == ALTERNATIVES_MAX {
                let problem = format!("more than the limit of `{ALTERNATIVES_MAX}` alternatives");
                return Err(de::Error::custom(problem));
            }
            patterns.push(Pattern(text));
        }
        if patterns.is_empty() {
            return Err(de::Error::custom("an empty list fits nothing"));
        }
        Ok(Patterns(patterns))
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ActionVisitor)
    }
}

/// The commands that a step may name.
const COMMANDS: &[&str] = &[
    "requeue", "assign", "start", "note", "hold", "resume", "complete", "close", "reopen", "cancel",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupOnly {
    group: Option<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssigneeAndGroup {
    assignee: Option<Template>,
    group: Option<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextOnly {
    text: Template,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonOnly {
    reason: Template,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeOnly {
    outcome: Template,
}

struct ActionVisitor;

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = Action;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command as `close`, or one with its fields as `{hold: {reason: \"…\"}}`")
    }

    fn visit_str<E: de::Error>(self, command: &str) -> Result<Self::Value, E> {
        match command {
            "requeue" => Ok(Action::Requeue { group: None }),
            "assign" => Ok(Action::Assign {
                assignee: None,
                group: None,
            }),
            "start" => Ok(Action::Start {
                assignee: None,
                group: None,
            }),
            "note" => Ok(Action::Note { text: None }),
            "resume" => Ok(Action::Resume),
            "close" => Ok(Action::Close),
            "reopen" => Ok(Action::Reopen { reason: None }),
            "cancel" => Ok(Action::Cancel { reason: None }),
            "hold" => Err(E::custom(
                "`hold` needs a reason: `{hold: {reason: \"…\"}}`",
            )),
            "complete" => Err(E::custom(
                "`complete` needs an outcome: `{complete: {outcome: \"…\"}}`",
            )),
            _ => Err(E::unknown_variant(command, COMMANDS)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Some(command) = entries.next_key::<String>()? else {
            return Err(de::Error::custom("an action names one command"));
        };
        let action = match command.as_str() {
            "requeue" => {
                let GroupOnly { group } = entries.next_value()?;
                Action::Requeue { group }
            }
            "assign" => {
                let AssigneeAndGroup { assignee, group } = entries.next_value()?;
                Action::Assign { assignee, group }
            }
            "start" => {
                let AssigneeAndGroup { assignee, group } = entries.next_value()?;
                Action::Start { assignee, group }
            }
            "note" => Action::Note {
                text: Some(entries.next_value::<TextOnly>()?.text),
            },
            "hold" => Action::Hold {
                reason: entries.next_value::<ReasonOnly>()?.reason,
            },
            "complete" => Action::Complete {
                outcome: entries.next_value::<OutcomeOnly>()?.outcome,
            },
            "reopen" => Action::Reopen {
                reason: Some(entries.next_value::<ReasonOnly>()?.reason),
            },
            "cancel" => Action::Cancel {
                reason: Some(entries.next_value::<ReasonOnly>()?.reason),
            },
            "resume" | "close" => {
                return Err(de::Error::custom(format!("`{command}` takes no fields")));
            }
            _ => return Err(de::Error::unknown_variant(&command, COMMANDS)),
        };
        if entries.next_key::<String>()?.is_some() {
            return Err(de::Error::custom("an action names one command only"));
        }
        Ok(action)
    }
}
