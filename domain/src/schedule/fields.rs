//! The fields of a schedule, each with its limit.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use uuid::Uuid;

use super::{BusinessDays, Recurrence, Refusal};
use crate::job::{self, Parent, ParentKind, Template};
use crate::{Name, Text, Timestamp, Token, Whole};

/// Why it was paused: at most 2,000 bytes.
pub type Reason = Text<2_000, true>;

/// What is enqueued, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What people call it.
    pub name: Name,
    /// What is enqueued.
    pub job: Template,
    /// When.
    pub recurrence: Recurrence,
    /// On which days; on all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_days: Option<BusinessDays>,
    /// Each job is ready up to so much later, the same for the same time; in milliseconds.
    #[serde(default)]
    pub jitter_ms: JitterMs,
    /// What becomes of a time while the job of an earlier one runs.
    #[serde(default)]
    pub overlap: Overlap,
    /// What becomes of the times that passed while nobody decided.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Nothing is due before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// Nothing is due from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// After how many failures in a row it pauses itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_max: Option<Failures>,
    /// Whether the end of a run tells what changed since the last result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compare_previous: bool,
}

/// The states of a schedule.
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
    /// It decides on what is due.
    Active,
    /// It decides on nothing until it is resumed.
    Paused,
    /// It is over.
    Deleted,
}

/// What becomes of a time while the job of an earlier one runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Overlap {
    /// Both run.
    #[default]
    Allow,
    /// It is left out.
    Skip,
    /// It waits; up to a hundred times do.
    Queue,
    /// What runs is cancelled.
    CancelRunning,
}

/// What becomes of the times that passed while nobody decided, or it was paused. The last one counts
/// as passed a minute after it was due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CatchUp {
    /// They are left out.
    None,
    /// The last of them is made up for.
    #[default]
    Last,
    /// The last so many are.
    All {
        /// How many.
        at_most: Catches,
    },
}

/// Up to an hour, in milliseconds.
pub type JitterMs = Whole<0, 3_600_000>;

/// 1 to 100.
pub type Catches = Whole<1, 100>;

/// 1 to 1,000.
pub type Failures = Whole<1, 1_000>;

/// Why a job is enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FireCause {
    /// Its time has come.
    Due,
    /// Its time had passed.
    CaughtUp,
    /// Its time waited for the end of what ran.
    Queued,
    /// Somebody asked for it.
    Triggered,
    /// Somebody asked for its time.
    Backfilled,
}

/// How a job ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RunOutcome {
    /// It is done.
    Succeeded,
    /// It is dead.
    Failed,
    /// Somebody cancelled it, or a later one took its place: that is no failure.
    Cancelled,
}

/// Why nothing is done for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipCause {
    /// It had passed.
    Missed,
    /// The job of an earlier one ran.
    Overlap,
}

/// Why it was paused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PauseCause {
    /// Somebody asked for it.
    Asked,
    /// As many jobs in a row failed as may.
    Failures,
}

impl Spec {
    /// The first time behind `after` that is due.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.begins_behind(after);
        let next = self.recurrence.next(after, self.business_days.as_ref())?;
        self.ends_at.is_none_or(|ends| next < ends).then_some(next)
    }

    /// The times between `after` and `before`, both left out, at most `most` of them.
    pub fn times(&self, after: Timestamp, before: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut times = Vec::new();
        let mut last = after;
        while times.len() < most
            && let Some(next) = self.next(last).filter(|next| *next < before)
        {
            times.push(next);
            last = next;
        }
        times
    }

    /// Whether its fields fit each other.
    ///
    /// # Errors
    /// When it ends before it begins.
    pub fn check(&self) -> Result<(), Refusal> {
        let (starts, ends) = (self.starts_at, self.ends_at);
        match starts.zip(ends) {
            Some((starts, ends)) if ends <= starts => Err(Refusal::EndsBeforeItStarts),
            _ => Ok(()),
        }
    }

    /// The last moment that nothing is due at, where it begins at `at`.
    fn begins_behind(&self, at: Timestamp) -> Timestamp {
        let just_before = |starts: Timestamp| {
            let before = starts.checked_sub(jiff::SignedDuration::from_nanos(1));
            before.unwrap_or(starts)
        };
        self.starts_at
            .map_or(at, |starts| at.max(just_before(starts)))
    }

    /// The job for the schedule of this id.
    #[must_use]
    pub fn job(&self, schedule: &Token, run_after: Timestamp) -> job::Spec {
        let parent = Parent {
            kind: ParentKind::Schedule,
            id: schedule.clone(),
        };
        self.job.clone().spec(Some(run_after), Some(parent))
    }

    /// How much later than its time the job of this id is ready: from nothing to all of the jitter.
    #[must_use]
    pub fn jitter(&self, job: Uuid) -> jiff::SignedDuration {
        let (_, low) = job.as_u64_pair();
        let jitter_ms = low % (self.jitter_ms.get() + 1);
        jiff::SignedDuration::from_millis(i64::try_from(jitter_ms).unwrap_or(0))
    }

    /// The id of the job of the schedule of this id for a time.
    #[must_use]
    pub fn job_id(&self, schedule: Uuid, due: Timestamp, cause: FireCause) -> Uuid {
        let cause = match cause {
            // One time is fired once, whether in time, late, or after it waited.
            FireCause::Due | FireCause::CaughtUp | FireCause::Queued => "due",
            FireCause::Triggered => "triggered",
            FireCause::Backfilled => "backfilled",
        };
        Uuid::new_v5(&schedule, format!("{due} {cause}").as_bytes())
    }
}

impl Status {
    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl RunOutcome {
    /// How many failures in a row there are with this one behind `before`.
    pub(super) fn failures(self, before: u32) -> u32 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => before + 1,
            Self::Cancelled => before,
        }
    }
}
