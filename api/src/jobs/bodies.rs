//! The bodies of commands on jobs, and the domain's commands that they become.
//!
//! A payload and a result are kept as they were written: nothing here looks into them.

use std::collections::BTreeMap;

use domain::job::{
    Backoff, Capabilities, Command, DelayMs, InvalidField, Job, Parent, ParentKind, Priority,
    Retry, Spec, Unique,
};
use domain::{Json, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType};
use uuid::Uuid;

use super::views::{ParentKindView, PriorityView};
use crate::auth::Caller;
use crate::command::body::body;
use crate::command::{Body, Common};
use crate::fields::{Fields, whole, whole_required};
use crate::labels::{labels, labels_schema};
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
    |body, _caller, fields| {
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
    |body, _caller, fields| {
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
    |body, _caller, fields| {
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
    |body, _caller, fields| {
        Some(Command::Cancel { reason: fields.optional("/reason", body.reason)? })
    }
}

body! {
    /// Let a dead job wait again.
    RequeueJob of Job: "job.requeue" {}
    |_body, _caller, _fields| Some(Command::Requeue)
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

/// How long a job waits after a failure.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "Backoff")]
pub(crate) struct BackoffBody {
    /// `fixed`: the same time after each; `exponential`: twice as long after each.
    #[serde(rename = "type")]
    #[schema(pattern = "^(fixed|exponential)$", example = "fixed")]
    pub(crate) kind: String,
    /// After the first failure, in milliseconds.
    #[serde(deserialize_with = "whole_required")]
    #[schema(minimum = 0, maximum = 86_400_000)]
    pub(crate) delay_ms: i64,
    /// The longest, in milliseconds; must be there where it is exponential, and only there.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 0, maximum = 86_400_000)]
    pub(crate) delay_ms_max: Option<i64>,
    /// Whether jobs that failed together come back apart; only where it is exponential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jitter: Option<bool>,
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

    fn command(self, _caller: &Caller, fields: &mut Fields) -> Option<Command> {
        let queue = fields.text("/queue", self.queue);
        let kind = fields.text("/kind", self.kind);
        let priority = self.priority.map(|priority| {
            let rule = "must be one of `critical`, `high`, `normal`, `low`";
            fields.check("/priority", priority.parse().map_err(|_| rule))
        });
        let payload = json("/payload", self.payload, fields);
        let run_after = fields.optional_time("/run_after", self.run_after.as_ref());
        let deadline = fields.optional_time("/deadline", self.deadline.as_ref());
        let timeout_s = fields.optional_number("/timeout_s", self.timeout_s, u32::MAX);
        let retry = retry(self.attempts_max, self.backoff, fields);
        let fairness_key = fields.optional("/fairness_key", self.fairness_key);
        let capabilities = capabilities(self.capabilities, fields);
        let labels = labels(self.labels, fields);
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
        Some(Command::Enqueue(Box::new(Spec {
            queue: queue?,
            kind: kind?,
            priority: priority.unwrap_or(Some(Priority::default()))?,
            payload: payload?,
            run_after: run_after?,
            deadline: deadline?,
            timeout_s: timeout_s?,
            retry: retry?,
            fairness_key: fairness_key?,
            capabilities: capabilities?,
            labels: labels?,
            parent: parent?,
            unique: unique?,
        })))
    }
}

fn unique(body: UniqueBody, fields: &mut Fields) -> Option<Unique> {
    let key = fields.text("/unique/key", body.key);
    let window_s = fields.optional_number("/unique/window_s", body.window_s, u32::MAX);
    Some(Unique {
        key: key?,
        window_s: window_s?,
    })
}

/// What a worker can do, or a job wants.
pub(super) fn capabilities(
    names: Option<Vec<NameText>>,
    fields: &mut Fields,
) -> Option<Capabilities> {
    let names = names.unwrap_or_default();
    if names.len() > Capabilities::ENTRIES_MAX {
        return fields.check("/capabilities", Err(InvalidField::Capabilities));
    }
    let names = fields.texts("/capabilities", names)?;
    fields.check("/capabilities", Capabilities::try_from(names))
}

/// The number of an attempt: any but 0, with which none was ever made.
pub(super) fn attempt(number: i64, fields: &mut Fields) -> Option<u32> {
    let number = u32::try_from(number).ok().filter(|number| *number > 0);
    fields.check("/attempt", number.ok_or("must be from `1` to `4294967295`"))
}

/// Any JSON, or none.
pub(crate) fn any_json() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some(
            "Any JSON of at most 256 KiB and 100 levels, kept as it is written.",
        ))
        .build()
}

fn json(pointer: &str, json: Option<Box<RawValue>>, fields: &mut Fields) -> Option<Option<Json>> {
    match json {
        Some(json) => fields.check(pointer, Json::new(json)).map(Some),
        None => Some(None),
    }
}

fn retry(
    attempts_max: Option<i64>,
    body: Option<BackoffBody>,
    fields: &mut Fields,
) -> Option<Retry> {
    let defaults = Retry::default();
    let attempts_max = fields.optional_number("/attempts_max", attempts_max, u32::MAX);
    let backoff = match body {
        Some(body) => backoff(body, fields),
        None => Some(defaults.backoff),
    };
    Some(Retry {
        attempts_max: attempts_max?.unwrap_or(defaults.attempts_max),
        backoff: backoff?,
    })
}

fn backoff(body: BackoffBody, fields: &mut Fields) -> Option<Backoff> {
    let delay_ms: Option<DelayMs> = fields.number("/backoff/delay_ms", body.delay_ms, u64::MAX);
    let longest = "/backoff/delay_ms_max";
    let delay_ms_max = fields.optional_number(longest, body.delay_ms_max, u64::MAX);
    match body.kind.as_str() {
        "fixed" => {
            let rule = "is taken only where `type` is `exponential`";
            let is_plain = [
                (longest, body.delay_ms_max.is_some()),
                ("/backoff/jitter", body.jitter.is_some()),
            ];
            for (pointer, _) in is_plain.into_iter().filter(|(_, is_there)| *is_there) {
                fields.check::<(), _>(pointer, Err(rule));
            }
            Some(Backoff::Fixed {
                delay_ms: delay_ms?,
            })
        }
        "exponential" => {
            let rule = "must be there where `type` is `exponential`";
            let delay_ms_max = fields.check(longest, delay_ms_max?.ok_or(rule));
            Some(Backoff::Exponential {
                delay_ms: delay_ms?,
                delay_ms_max: delay_ms_max?,
                jitter: body.jitter.unwrap_or(false),
            })
        }
        _ => fields.check("/backoff/type", Err("must be `fixed` or `exponential`")),
    }
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
