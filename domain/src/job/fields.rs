//! The fields of a job, each with its limit.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::Retry;
use crate::labels::{LabelValue, Labels};
use crate::{Json, Name, Tenant, Text, Timestamp, Token, Whole};

/// What went wrong: at most 8,000 bytes.
pub type ErrorText = Text<8_000, true>;
/// Why it was cancelled: at most 2,000 bytes.
pub type Reason = Text<2_000, true>;
/// What a worker is doing: one line of at most 500 bytes.
pub type Message = Text<500, false>;

/// What is to be done, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// In which queue it waits.
    pub queue: Token,
    /// The sort of work, by which a worker knows what to do.
    pub kind: Name,
    /// What comes first within the queue.
    #[serde(default)]
    pub priority: Priority,
    /// What the worker needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// Not handed out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_after: Option<Timestamp>,
    /// Given up at, whether it waits or runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How long one attempt may run, whatever its worker says; in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<TimeoutSeconds>,
    /// What follows a failure.
    #[serde(default)]
    pub retry: Retry,
    /// Jobs of one key share a limit, and take turns with those of other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness_key: Option<Name>,
    /// What a worker must be able to do.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
    /// Whatever else the house wants to find it by.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// By what a second enqueue of the same work is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
}

impl Spec {
    /// What the names and numbers of a job have at most as JSON, with what is told of an attempt.
    const FIELDS_JSON_BYTES_MAX: usize = 1_500;

    /// As many bytes as it has at most as JSON, as a worker is given it. A text may double: every
    /// quote in it takes two.
    #[must_use]
    pub fn json_bytes_max(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, |json| json.get().len());
        let label =
            |(key, value): (&Name, &LabelValue)| key.as_str().len() + value.as_str().len() + 6;
        let texts = [Some(&self.kind), self.fairness_key.as_ref()];
        let texts = texts.into_iter().flatten().chain(&self.capabilities.0);
        let texts = texts.map(|text| text.as_str().len() + 3);
        let texts: usize = texts.chain(self.labels.iter().map(label)).sum();
        Self::FIELDS_JSON_BYTES_MAX + payload + 2 * texts
    }
}

/// By what a second enqueue of the same work is known: a key that counts within its queue, for ever or
/// for the window of the clock that the enqueue falls into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    /// The key.
    pub key: Name,
    /// How long a window is, in seconds; windows follow each other from 1970 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_s: Option<WindowSeconds>,
}

/// 1 second to a year.
pub type WindowSeconds = Whole<1, 31_536_000>;

/// The states of a job.
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
    /// Waits in its queue, perhaps for a time.
    Waiting,
    /// A worker has it.
    Running,
    /// It is done.
    Completed,
    /// It ended undone, and waits for somebody to look at it.
    Dead,
    /// Somebody ended it undone.
    Cancelled,
}

/// What comes first within a queue.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
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
pub enum Priority {
    /// Before everything else.
    Critical,
    /// Before what is normal.
    High,
    /// What nothing was said of.
    #[default]
    Normal,
    /// When nothing else waits, and now and then all the same.
    Low,
}

/// How far a worker is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Of the whole, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// What it is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
}

/// 0 to 100.
pub type Percent = Whole<0, 100>;

/// 1 second to a week.
pub type TimeoutSeconds = Whole<1, 604_800>;

/// Up to [`Capabilities::ENTRIES_MAX`] names of what a worker must be able to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Name>", into = "Vec<Name>")]
pub struct Capabilities(Vec<Name>);

/// What a job is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// What sort of whole.
    pub kind: ParentKind,
    /// Its id.
    pub id: Token,
}

/// The sorts of wholes that have jobs.
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
pub enum ParentKind {
    /// Jobs that were enqueued together.
    Batch,
    /// A run of a workflow.
    Run,
    /// The fires of a schedule.
    Schedule,
}

/// Why an attempt was ended for its worker.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Expiry {
    /// Its worker was not heard of for the length of its lease.
    Lease,
    /// It ran longer than its timeout.
    Timeout,
    /// The job's deadline passed.
    Deadline,
}

/// Why a job is dead.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
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
pub enum Death {
    /// As many attempts failed as it may have.
    AttemptsUsedUp,
    /// Its worker said that another attempt would fail as well.
    NotRetryable,
    /// It could not be done before its deadline.
    Deadline,
}

/// A list of too many capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at most `{}` capabilities", Capabilities::ENTRIES_MAX)]
pub struct TooManyCapabilities;

impl Unique {
    /// The id of the one job of this key in `queue` of `tenant`, for an enqueue at `now`.
    #[must_use]
    pub fn job_id(&self, tenant: &Tenant, queue: &Token, now: Timestamp) -> Uuid {
        let window = self.window_s.map_or(0, |window_s| {
            i128::from(now.as_second()).div_euclid(window_s.get().into())
        });
        // Neither a tenant nor a queue can hold the separator.
        let name = format!("{tenant}\0{queue}\0{window}\0{}", self.key);
        Uuid::new_v5(&UNIQUE_JOBS, name.as_bytes())
    }
}

/// Under which ids of unique jobs are made. Changing it would let each be enqueued once more.
const UNIQUE_JOBS: Uuid = Uuid::from_u128(0x7d0c_4a52_8f1e_5c3b_9a60_1b7e_d2f4_3e98);

impl Spec {
    /// The same for a job that was put back after its end: whoever does that means it.
    #[must_use]
    pub fn without_deadline(self) -> Self {
        Self {
            deadline: None,
            ..self
        }
    }
}

impl Status {
    /// Whether nothing but a requeue leads on from here.
    #[must_use]
    pub fn is_ended(self) -> bool {
        match self {
            Self::Waiting | Self::Running => false,
            Self::Completed | Self::Dead | Self::Cancelled => true,
        }
    }

    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Priority {
    /// All of them, the first first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Capabilities {
    /// How many a job may want, and a worker may have.
    pub const ENTRIES_MAX: usize = 20;

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a worker with `offered` has all of them.
    #[must_use]
    pub fn are_in(&self, offered: &Self) -> bool {
        self.0.iter().all(|wanted| offered.0.contains(wanted))
    }
}

impl TryFrom<Vec<Name>> for Capabilities {
    type Error = TooManyCapabilities;

    fn try_from(mut names: Vec<Name>) -> Result<Self, Self::Error> {
        names.sort_unstable();
        names.dedup();
        if names.len() > Self::ENTRIES_MAX {
            Err(TooManyCapabilities)
        } else {
            Ok(Self(names))
        }
    }
}

impl From<Capabilities> for Vec<Name> {
    fn from(capabilities: Capabilities) -> Self {
        capabilities.0
    }
}
