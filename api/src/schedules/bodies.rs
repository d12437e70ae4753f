//! The bodies of commands on schedules, and the domain's commands that they become.

use domain::schedule::{Command, Overlap, Schedule, Spec};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::recurrence::{BusinessDaysBody, CatchUpBody, RecurrenceBody};
use crate::command::body::body;
use crate::command::{Body, By, Common};
use crate::fields::{Fields, whole};
use crate::jobs::template::TemplateBody;
use crate::routes::WORKER_ROLES;
use crate::texts::{IdText, NameText, ReasonText, TimeText};

/// Under which the jobs of triggers are derived from the commands that ask for them.
const TRIGGERED: Uuid = Uuid::from_u128(0x91c4_7d0e_3b58_5f6a_8d21_c07f_9e64_1ab3);

/// A whole spec stands in three bodies, each with its own further fields: serde cannot both flatten
/// shared fields and keep a payload as it was written.
macro_rules! specified {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$attribute])* pub(crate) $field: $type,)*
            /// What people call it.
            pub(crate) name: NameText,
            /// What is enqueued.
            pub(crate) job: TemplateBody,
            /// When.
            pub(crate) recurrence: RecurrenceBody,
            /// On which days; on all if nothing is said.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) business_days: Option<BusinessDaysBody>,
            /// Each job is ready up to so many milliseconds later, so that not all are at once.
            #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
            #[schema(minimum = 0, maximum = 3_600_000)]
            pub(crate) jitter_ms: Option<i64>,
            /// What becomes of a time while the job of an earlier one runs: both run (`allow`, if nothing is
            /// said), it is left out (`skip`), waits (`queue`), or takes its place (`cancel_running`).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(pattern = "^(allow|skip|queue|cancel_running)$", example = "skip")]
            pub(crate) overlap: Option<String>,
            /// What becomes of the times that passed while nobody decided, or it was paused; the `last` of
            /// them is made up for if nothing is said.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) catch_up: Option<CatchUpBody>,
            /// Nothing is due before.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) starts_at: Option<TimeText>,
            /// Nothing is due from then on.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) ends_at: Option<TimeText>,
            /// After so many failures in a row it pauses itself.
            #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
            #[schema(minimum = 1, maximum = 1_000)]
            pub(crate) failures_max: Option<i64>,
            /// Whether the end of a run tells what changed since the last result, as JSON Patch.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) compare_previous: Option<bool>,
        }

        impl $name {
            /// The checked spec.
            pub(crate) fn spec(self, fields: &mut Fields) -> Option<Box<Spec>> {
                let name = fields.text("/name", self.name);
                let job = fields.within("/job", |fields| self.job.template(fields));
                let recurrence = self.recurrence;
                let recurrence = fields.within("/recurrence", |fields| recurrence.recurrence(fields));
                let business_days = match self.business_days {
                    Some(days) => fields
                        .within("/business_days", |fields| days.business_days(fields))
                        .map(Some),
                    None => Some(None),
                };
                let jitter_ms = fields.optional_number("/jitter_ms", self.jitter_ms);
                let overlap = overlap(self.overlap.as_deref(), fields);
                let catch_up = match self.catch_up {
                    Some(catch_up) => fields.within("/catch_up", |fields| catch_up.catch_up(fields)),
                    None => Some(domain::schedule::CatchUp::default()),
                };
                let starts_at = fields.optional_time("/starts_at", self.starts_at.as_ref());
                let ends_at = fields.optional_time("/ends_at", self.ends_at.as_ref());
                let failures_max =
                    fields.optional_number("/failures_max", self.failures_max);
                let spec = Spec {
                    name: name?,
                    job: job?,
                    recurrence: recurrence?,
                    business_days: business_days?,
                    jitter_ms: jitter_ms?.unwrap_or_default(),
                    overlap: overlap?,
                    catch_up: catch_up?,
                    starts_at: starts_at?,
                    ends_at: ends_at?,
                    failures_max: failures_max?,
                    compare_previous: self.compare_previous.unwrap_or_default(),
                };
                fields.check("/ends_at", spec.check())?;
                Some(Box::new(spec))
            }
        }
    };
}

specified! {
    /// Begin a schedule.
    CreateSchedule {
        /// Its id; without one it gets one, the same for every try under one `Idempotency-Key`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<IdText>,
        /// Read only to be refused: a schedule begins now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(ignore = true)]
        occurred_at: Option<TimeText>,
        /// For whom; taken from admins and operators only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<NameText>,
    }
}

specified! {
    /// Go on otherwise from now on; what is left out is as if nothing had ever been said.
    ChangeSchedule {
        /// Read only to be refused: it is changed now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(ignore = true)]
        occurred_at: Option<TimeText>,
        /// The version that the decision is made on; `If-Match` says the same.
        #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
        #[schema(maximum = 9_007_199_254_740_991_i64)]
        expected_version: Option<u64>,
        /// For whom; taken from admins and operators only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<NameText>,
    }
}

specified! {
    /// A schedule that need not be.
    PreviewSchedule {}
}

impl Body for CreateSchedule {
    type Target = Schedule;
    const COMMAND: &'static str = "schedule.create";
    const CREATES: bool = true;

    fn id(&self) -> Option<&IdText> {
        self.id.as_ref()
    }

    fn common(&self) -> Common {
        Common {
            occurred_at: self.occurred_at.clone(),
            // What does not exist has no version to expect.
            expected_version: None,
            on_behalf_of: self.on_behalf_of.clone(),
        }
    }

    fn set_common(&mut self, common: Common) {
        self.occurred_at = common.occurred_at;
        self.on_behalf_of = common.on_behalf_of;
    }

    fn command(self, by: By<'_>, fields: &mut Fields) -> Option<Command> {
        let id = by.id.and_then(|id| Uuid::try_parse(id.as_str()).ok());
        let spec = self.spec(fields);
        Some(Command::Create {
            id: id?,
            spec: spec?,
        })
    }
}

impl Body for ChangeSchedule {
    type Target = Schedule;
    const COMMAND: &'static str = "schedule.change";

    fn common(&self) -> Common {
        Common {
            occurred_at: self.occurred_at.clone(),
            expected_version: self.expected_version,
            on_behalf_of: self.on_behalf_of.clone(),
        }
    }

    fn set_common(&mut self, common: Common) {
        self.occurred_at = common.occurred_at;
        self.expected_version = common.expected_version;
        self.on_behalf_of = common.on_behalf_of;
    }

    fn command(self, _by: By<'_>, fields: &mut Fields) -> Option<Command> {
        Some(Command::Change(self.spec(fields)?))
    }
}

body! {
    /// Decide on nothing until it is resumed.
    PauseSchedule of Schedule: "schedule.pause" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<ReasonText>,
    }
    |body, _by, fields| {
        Some(Command::Pause { reason: fields.optional("/reason", body.reason)? })
    }
}

body! {
    /// Go on.
    ResumeSchedule of Schedule: "schedule.resume" {}
    |_body, _by, _fields| Some(Command::Resume)
}

body! {
    /// Enqueue one job now, whatever the recurrence says.
    TriggerSchedule of Schedule for WORKER_ROLES: "schedule.trigger" {}
    |_body, by, _fields| {
        // A retry meets the job of its first try.
        Some(Command::Trigger { job: Uuid::new_v5(&TRIGGERED, by.command.0.as_bytes()) })
    }
}

body! {
    /// Enqueue a job for each time of a range.
    BackfillSchedule of Schedule: "schedule.backfill" {
        /// The first moment of the range.
        from: TimeText,
        /// The first moment behind it.
        to: TimeText,
    }
    |body, _by, fields| {
        let from = fields.check("/from", body.from.parse());
        let to = fields.check("/to", body.to.parse());
        Some(Command::Backfill { from: from?, to: to? })
    }
}

body! {
    /// End it. Jobs that it enqueued stay.
    DeleteSchedule of Schedule: "schedule.delete" {}
    |_body, _by, _fields| Some(Command::Delete)
}

fn overlap(overlap: Option<&str>, fields: &mut Fields) -> Option<Overlap> {
    let Some(overlap) = overlap else {
        return Some(Overlap::default());
    };
    let rule = "must be one of `allow`, `skip`, `queue`, `cancel_running`";
    fields.check("/overlap", overlap.parse().map_err(|_| rule))
}
