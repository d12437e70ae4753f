//! Labels: whatever else the house wants to find a thing by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Name, Text};

/// The value of a label: one line of at most 500 bytes.
pub type LabelValue = Text<500, false>;

/// Up to [`Labels::ENTRIES_MAX`] keys with a value each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<Name, LabelValue>",
    into = "BTreeMap<Name, LabelValue>"
)]
pub struct Labels(BTreeMap<Name, LabelValue>);

/// Too many labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at most `50` labels")]
pub struct TooManyLabels;

impl Labels {
    /// How many labels one thing may have.
    pub const ENTRIES_MAX: usize = 50;

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with `key` standing for `id`, in place of what it stood for. Where there are as many labels
    /// as there may be, they stay as they are.
    #[must_use]
    pub fn with_id(mut self, key: &Name, id: Uuid) -> Self {
        if self.0.len() < Self::ENTRIES_MAX || self.0.contains_key(key) {
            let id = LabelValue::new(id.to_string()).expect("36 characters are within the limit");
            self.0.insert(key.clone(), id);
        }
        self
    }

    /// The labels, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &LabelValue)> {
        self.0.iter()
    }
}

impl TryFrom<BTreeMap<Name, LabelValue>> for Labels {
    type Error = TooManyLabels;

    fn try_from(labels: BTreeMap<Name, LabelValue>) -> Result<Self, Self::Error> {
        if labels.len() > Self::ENTRIES_MAX {
            Err(TooManyLabels)
        } else {
            Ok(Self(labels))
        }
    }
}

impl From<Labels> for BTreeMap<Name, LabelValue> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}
