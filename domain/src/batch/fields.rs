//! The fields of a batch.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::job::Template;
use crate::labels::Labels;
use crate::{Json, Name, Whole};

/// What is said of a batch when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// How many jobs it has, where that is known: it is then closed from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobCount>,
    /// The job that follows when all of its jobs have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_complete: Option<Box<Template>>,
    /// Whatever else the house wants to find it by.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// The states of a batch.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
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
    /// It may get more jobs.
    Open,
    /// The number of its jobs is said.
    Closed,
    /// All of its jobs have ended, once at least.
    Completed,
}

/// How the jobs of a batch ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that are done.
    pub succeeded: u32,
    /// Those that came to nothing, and wait for somebody to look at them.
    pub dead: u32,
    /// Those that somebody ended undone.
    pub cancelled: u32,
}

/// How many jobs a batch has: as many as one request opens it with. Its end is known by counting its jobs,
/// which is one look at so many rows.
pub type JobCount = Whole<0, 10_000>;

/// The key of the label by which a follow-up names its batch.
pub(super) fn label() -> Name {
    Name::new("batch").expect("a short word is a name")
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn ended(self) -> u64 {
        u64::from(self.succeeded) + u64::from(self.dead) + u64::from(self.cancelled)
    }

    /// What a follow-up needs to know that was told nothing else.
    pub(super) fn payload(self, batch: Uuid) -> Json {
        #[derive(Serialize)]
        struct Payload {
            batch: Uuid,
            #[serde(flatten)]
            counts: Counts,
        }
        let payload = serde_json::to_string(&Payload {
            batch,
            counts: self,
        });
        let payload = payload.expect("an id and numbers are JSON");
        let payload = RawValue::from_string(payload).expect("it was just written");
        Json::new(payload).expect("an id and three numbers are within the limits")
    }
}

impl Status {
    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
