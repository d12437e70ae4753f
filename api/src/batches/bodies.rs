//! The bodies of commands on batches, and the jobs that come with them.

use std::collections::BTreeMap;

use domain::batch::{Batch, Command, Spec};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::command::body::body;
use crate::command::{Body, By, Common};
use crate::fields::{Fields, whole, whole_required};
use crate::jobs::bodies::{EnqueueJob, ParentBody};
use crate::jobs::template::{BackoffBody, PriorityView, TemplateBody, any_json};
use crate::labels::{labels, labels_schema};
use crate::texts::{IdText, LineText, NameText, TimeText, TokenText};

body! {
    /// Say how many jobs it has; it completes when as many have ended.
    CloseBatch of Batch: "batch.close" {
        /// The number.
        #[serde(deserialize_with = "whole_required")]
        #[schema(minimum = 0, maximum = 10_000)]
        jobs: i64,
    }
    |body, _caller, fields| {
        let jobs = fields.number("/jobs", body.jobs)?;
        Some(Command::Close { jobs })
    }
}

/// Open a batch, whose jobs come afterwards.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenBatch {
    /// Its id; without one it gets one, the same for every try under one `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<IdText>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<NameText>,
    /// Up to 50 labels, whatever the house wants to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, LineText>>,
    /// The job that follows when all of its jobs have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_complete: Option<TemplateBody>,
    /// How many jobs it has, where that is known: it is then closed from the start.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) jobs: Option<i64>,
    /// Read only to be refused: a batch is opened now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) occurred_at: Option<TimeText>,
    /// For whom; taken from admins and operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_behalf_of: Option<NameText>,
}

/// A job of a batch, or what its jobs have in common; what is left out is as it is for any job.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "JobDraft")]
pub(crate) struct JobDraft {
    /// In which queue it waits; must be there, or among the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<TokenText>,
    /// The sort of work; must be there, or among the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<NameText>,
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
    /// How long it waits after a failure.
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
}

impl Body for OpenBatch {
    type Target = Batch;
    const COMMAND: &'static str = "batch.open";
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

    fn command(self, _by: By<'_>, fields: &mut Fields) -> Option<Command> {
        let name = fields.optional("/name", self.name);
        let labels = labels(self.labels, fields);
        let jobs = fields.optional_number("/jobs", self.jobs);
        let on_complete = match self.on_complete {
            Some(template) => fields
                .within("/on_complete", |fields| template.template(fields))
                .map(|template| Some(Box::new(template))),
            None => Some(None),
        };
        Some(Command::Open(Box::new(Spec {
            name: name?,
            jobs: jobs?,
            on_complete: on_complete?,
            labels: labels?,
        })))
    }
}

impl JobDraft {
    /// The job, with whatever it does not say itself from `defaults`.
    pub(crate) fn or(self, defaults: &Self) -> Self {
        fn or<T: Clone>(own: Option<T>, default: &Option<T>) -> Option<T> {
            own.or_else(|| default.clone())
        }
        Self {
            queue: or(self.queue, &defaults.queue),
            kind: or(self.kind, &defaults.kind),
            priority: or(self.priority, &defaults.priority),
            payload: or(self.payload, &defaults.payload),
            run_after: or(self.run_after, &defaults.run_after),
            deadline: or(self.deadline, &defaults.deadline),
            timeout_s: or(self.timeout_s, &defaults.timeout_s),
            attempts_max: or(self.attempts_max, &defaults.attempts_max),
            backoff: or(self.backoff, &defaults.backoff),
            fairness_key: or(self.fairness_key, &defaults.fairness_key),
            capabilities: or(self.capabilities, &defaults.capabilities),
            labels: or(self.labels, &defaults.labels),
        }
    }

    /// What enqueues it.
    pub(crate) fn enqueue(
        self,
        parent: Option<ParentBody>,
        fields: &mut Fields,
    ) -> Option<EnqueueJob> {
        let rule = "must be there";
        let queue = fields.check("/queue", self.queue.ok_or(rule));
        let kind = fields.check("/kind", self.kind.ok_or(rule));
        Some(EnqueueJob {
            id: None,
            queue: queue?,
            kind: kind?,
            priority: self.priority,
            payload: self.payload,
            run_after: self.run_after,
            deadline: self.deadline,
            timeout_s: self.timeout_s,
            attempts_max: self.attempts_max,
            backoff: self.backoff,
            fairness_key: self.fairness_key,
            capabilities: self.capabilities,
            labels: self.labels,
            parent,
            unique: None,
            occurred_at: None,
            on_behalf_of: None,
        })
    }
}
