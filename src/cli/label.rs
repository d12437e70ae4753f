//! Labels on the command line.

use std::str::FromStr;

/// A label on the command line: `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) key: String,
    pub(super) value: String,
}

impl FromStr for Label {
    type Err = &'static str;

    fn from_str(label: &str) -> Result<Self, Self::Err> {
        match label.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => Err("must be `<key>=<value>`"),
        }
    }
}
