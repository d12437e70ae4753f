//! The bodies of commands on jobs, and the domain's commands that they become.
//!
//! A payload and a result are kept as they were written: nothing here looks into them.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::job::{Command, Job, Parent, ParentKind, Spec, Unique};
use domain::{Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::template::{BackoffBody, PriorityView, TemplateBody, any_json, json};
use super::views::ParentKindView;
use crate::command::body::body;
use crate::command::{Body, By, Common};
use crate::fields::{Fields, whole, whole_required};
use crate::labels::labels_schema;
use crate::texts::{ErrorText, IdText, LineText, NameText, ReasonText, TimeText, TokenText};

body! {
    /// Say that it is done.
    CompleteJob of Job: "job.complete" {
        /// The attempt that it was done in.
        #[serde(deserialize_with = "whole_required")]
        #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
        attempt: i64,
        /// What came of it: any JSON, kept as it is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(schema_with = any_json)]
        result: Option<Box<RawValue>>,
    }
    |body, _by, fields| {
        let attempt = attempt(body.attempt, fields);
        let result = json("/result", body.result, fields);
        Some(Command::Complete { attempt: attempt?, result: result? })
    }
}

body! {
    /// Say that the attempt failed.
    FailJob of Job: "job.fail" {
        /// The attempt that failed.
        #[serde(deserialize_with = "whole_required")]
        #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
        attempt: i64,
        /// What went wrong.
        error: ErrorText,
        /// Whether another attempt may do better; yes, if nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retryable: Option<bool>,
    }
    |body, _by, fields| {
        let attempt = attempt(body.attempt, fields);
        let error = fields.text("/error", body.error);
        let retryable = body.retryable.unwrap_or(true);
        Some(Command::Fail { attempt: attempt?, error: error?, retryable })
    }
}

body! {
    /// Give it back undone.
    ReleaseJob of Job: "job.release" {
        /// The attempt that is given back.
        #[serde(deserialize_with = "whole_required")]
        #[schema(minimum = 1, maximum = 4_294_967_295_i64)]
        attempt: i64,
    }
    |body, _by, fields| {
        Some(Command::Release { attempt: attempt(body.attempt, fields)? })
    }
}

body! {
    /// End it undone.
    CancelJob of Job: "job.cancel" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<ReasonText>,
    }
    |body, _by, fields| {
        Some(Command::Cancel { reason: fields.optional("/reason", body.reason)? })
    }
}

body! {
    /// Let a dead job wait again.
    RequeueJob of Job: "job.requeue" {}
    |_body, _by, _fields| Some(Command::Requeue)
}

/// Put a job into its queue.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnqueueJob {
    /// Its id; without one it gets one, the same for every try under one `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<IdText>,
    /// In which queue it waits.
    pub(crate) queue: TokenText,
    /// The sort of work, by which a worker knows what to do.
    pub(crate) kind: NameText,
    /// What comes first within the queue; `normal` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PriorityView>)]
    pub(crate) priority: Option<String>,
    /// What the worker needs to know: any JSON of at most 256 KiB, kept as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = any_json)]
    pub(crate) payload: Option<Box<RawValue>>,
    /// Not handed out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_after: Option<TimeText>,
    /// Given up at, whether it waits or runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<TimeText>,
    /// How long one attempt may run, whatever its worker says.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 604_800)]
    pub(crate) timeout_s: Option<i64>,
    /// After how many failed attempts it is dead; 5 if nothing is said.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 100)]
    pub(crate) attempts_max: Option<i64>,
    /// How long it waits after a failure: a second, two, four, up to five minutes, with jitter, if
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backoff: Option<BackoffBody>,
    /// Jobs of one key share a limit, and take turns with those of other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fairness_key: Option<NameText>,
    /// What a worker must be able to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20)]
    pub(crate) capabilities: Option<Vec<NameText>>,
    /// Up to 50 labels, whatever the house wants to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = labels_schema)]
    pub(crate) labels: Option<BTreeMap<String, LineText>>,
    /// What it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<ParentBody>,
    /// By what a second enqueue of the same work is known: it is answered by the first job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unique: Option<UniqueBody>,
    /// Read only to be refused: a job is enqueued now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore = true)]
    pub(crate) occurred_at: Option<TimeText>,
    /// For whom; taken from admins and operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_behalf_of: Option<NameText>,
}

/// By what a second enqueue of the same work is known; not together with an `id`.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "Unique")]
pub(crate) struct UniqueBody {
    /// The key, which counts within the queue.
    pub(crate) key: NameText,
    /// For how long: windows of so many seconds follow each other from 1970 on; for ever, if nothing
    /// is said.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub(crate) window_s: Option<i64>,
}

/// What a job is a part of.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "Parent")]
pub(crate) struct ParentBody {
    /// What sort of whole.
    #[schema(value_type = ParentKindView)]
    pub(crate) kind: String,
    /// Its id.
    pub(crate) id: TokenText,
}

impl ParentBody {
    /// The batch of this id.
    pub(crate) fn of_batch(id: Uuid) -> Self {
        Self {
            kind: "batch".to_owned(),
            id: TokenText(id.to_string()),
        }
    }
}

impl Body for EnqueueJob {
    type Target = Job;
    const COMMAND: &'static str = "job.enqueue";
    const CREATES: bool = true;

    fn id(&self) -> Option<&IdText> {
        self.id.as_ref()
    }

    /// None where a field breaks a rule, which is told with all others.
    fn unique_id(&self, tenant: &Tenant, now: Timestamp) -> Option<Uuid> {
        let mut unheard = Fields::default();
        let queue = unheard.text("/queue", self.queue.clone())?;
        let unique = unique(self.unique.clone()?, &mut unheard)?;
        Some(unique.job_id(tenant, &queue, now))
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

    fn command(self, _by: By<'_>, fields: &mut Fields) -> Option<Command> {
        let template = TemplateBody {
            queue: self.queue,
            kind: self.kind,
            priority: self.priority,
            payload: self.payload,
            timeout_s: self.timeout_s,
            attempts_max: self.attempts_max,
            backoff: self.backoff,
            fairness_key: self.fairness_key,
            capabilities: self.capabilities,
            labels: self.labels,
        };
        let template = template.template(fields);
        let run_after = fields.optional_time("/run_after", self.run_after.as_ref());
        let deadline = fields.optional_time("/deadline", self.deadline.as_ref());
        let parent = match self.parent {
            Some(whole) => parent(whole, fields).map(Some),
            None => Some(None),
        };
        if self.unique.is_some() && self.id.is_some() {
            fields.check::<(), _>("/id", Err("is not taken together with `unique`"));
        }
        let unique = match self.unique {
            Some(body) => unique(body, fields).map(Some),
            None => Some(None),
        };
        Some(Command::Enqueue(Arc::new(Spec {
            deadline: deadline?,
            unique: unique?,
            ..template?.spec(run_after?, parent?)
        })))
    }
}

fn unique(body: UniqueBody, fields: &mut Fields) -> Option<Unique> {
    let key = fields.text("/unique/key", body.key);
    let window_s = fields.optional_number("/unique/window_s", body.window_s);
    Some(Unique {
        key: key?,
        window_s: window_s?,
    })
}

/// The number of an attempt: any but 0, with which none was ever made.
pub(super) fn attempt(number: i64, fields: &mut Fields) -> Option<u32> {
    let number = u32::try_from(number).ok().filter(|number| *number > 0);
    fields.check("/attempt", number.ok_or("must be from `1` to `4294967295`"))
}

fn parent(body: ParentBody, fields: &mut Fields) -> Option<Parent> {
    let rule = "must be one of `batch`, `run`, `schedule`";
    let kind = body.kind.parse::<ParentKind>().map_err(|_| rule);
    let kind = fields.check("/parent/kind", kind);
    let id = fields.text("/parent/id", body.id);
    Some(Parent {
        kind: kind?,
        id: id?,
    })
}
