//! The fields of an assignment, each with its limit, and the standing that its events move.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};

pub use crate::labels::{LabelValue, Labels};
use crate::{Name, Text, Timestamp, Whole};

/// What the work is called: one line of at most 500 bytes.
pub type Title = Text<500, false>;
/// What is to be done: at most 20,000 bytes.
pub type Description = Text<20_000, true>;
/// Something written down on the way: at most 20,000 bytes.
pub type Note = Text<20_000, true>;
/// Why it waits, was cancelled or reopened: at most 2,000 bytes.
pub type Reason = Text<2_000, true>;
/// What came of it: at most 2,000 bytes.
pub type Outcome = Text<2_000, true>;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What it is called.
    pub title: Title,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// The sort of work, in the words of the house.
    pub kind: Name,
    /// Whose queue it waits in.
    pub group: Name,
    /// Who asks for it.
    pub requester: Name,
    /// To whom it is given at once, if to anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<Name>,
    /// How much it presses.
    pub priority: Priority,
    /// Whatever else the house wants to find it by.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// When it may be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// How much work it is thought to be, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort_minutes: Option<EffortMinutes>,
    /// Its name in another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_ref: Option<Name>,
}

/// The states of an assignment.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Waits in its group's queue.
    Queued,
    /// Somebody has it and has not begun.
    Assigned,
    /// Somebody works on it.
    InProgress,
    /// Waits for something.
    OnHold,
    /// The work is done.
    Completed,
    /// Its end was confirmed.
    Closed,
    /// It ended undone.
    Cancelled,
}

/// Who has the work, and in which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The state.
    pub status: Status,
    /// The group it lies in.
    pub group: Name,
    /// The person or agent who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<Name>,
}

/// A standing that has come to its end, with its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The state.
    pub status: Status,
    /// The group it lay in.
    pub group: Name,
    /// The person or agent who had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<Name>,
    /// When the standing began.
    pub since: Timestamp,
}

/// A move from one standing to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What ended.
    pub from: Period,
    /// What began.
    pub to: Standing,
}

/// 1, the most pressing, to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

/// A span of time whose end lies after its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Span", into = "Span")]
pub struct Window {
    start: Timestamp,
    end: Timestamp,
}

/// A minute to a year of work.
pub type EffortMinutes = Whole<1, 525_600>;

/// Why a field was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// Not a priority.
    #[error("must be a priority from `1` to `5`")]
    Priority,
    /// An end that does not lie after its start.
    #[error("must end after it starts")]
    Window,
}

/// How a window is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    start: Timestamp,
    end: Timestamp,
}

impl Status {
    /// Whether only a reopening leads on from here.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Closed | Self::Cancelled)
    }

    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Standing {
    /// In the queue of `group`.
    #[must_use]
    pub fn queued(group: Name) -> Self {
        Self {
            status: Status::Queued,
            group,
            assignee: None,
        }
    }

    /// This standing, which began at `since`, as something that ends.
    #[must_use]
    pub fn since(self, since: Timestamp) -> Period {
        Period {
            status: self.status,
            group: self.group,
            assignee: self.assignee,
            since,
        }
    }

    /// Where it goes on when it is reopened: with whoever had it, else in the queue.
    #[must_use]
    pub fn status_when_taken_up(&self) -> Status {
        match self.assignee {
            Some(_) => Status::Assigned,
            None => Status::Queued,
        }
    }
}

impl From<Period> for Standing {
    fn from(period: Period) -> Self {
        Self {
            status: period.status,
            group: period.group,
            assignee: period.assignee,
        }
    }
}

impl Priority {
    /// Neither pressing nor idle.
    pub const NORMAL: Self = Self(3);

    /// From 1 to 5.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Priority {
    type Error = InvalidField;

    fn try_from(priority: u8) -> Result<Self, Self::Error> {
        if (1..=5).contains(&priority) {
            Ok(Self(priority))
        } else {
            Err(InvalidField::Priority)
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl Window {
    /// The window from `start` to `end`.
    ///
    /// # Errors
    /// When `end` does not lie after `start`.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, InvalidField> {
        if start < end {
            Ok(Self { start, end })
        } else {
            Err(InvalidField::Window)
        }
    }

    /// Its start.
    #[must_use]
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// Its end.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.end
    }
}

impl TryFrom<Span> for Window {
    type Error = InvalidField;

    fn try_from(span: Span) -> Result<Self, Self::Error> {
        Self::new(span.start, span.end)
    }
}

impl From<Window> for Span {
    fn from(window: Window) -> Self {
        Self {
            start: window.start,
            end: window.end,
        }
    }
}

impl FromStr for Priority {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u8>()
            .map_err(|_| InvalidField::Priority)?
            .try_into()
    }
}
