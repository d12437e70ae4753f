//! What is said once of jobs, whether they are enqueued now or by something else later.
//!
//! A payload is kept as it was written: nothing here looks into it.

use std::collections::BTreeMap;

use domain::Json;
use domain::job::{Backoff, Capabilities, Priority, Retry, Template, TooManyCapabilities};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType};

use crate::fields::{Fields, whole, whole_required};
use crate::labels::{labels, labels_schema};
use crate::texts::{LineText, NameText, TokenText};

/// A job that is enqueued later.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "JobTemplate")]
pub(crate) struct TemplateBody {
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

/// What comes first within a queue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(title = "Priority")]
pub(crate) enum PriorityView {
    /// Before everything else.
    Critical,
    /// Before what is normal.
    High,
    /// What nothing was said of.
    Normal,
    /// When nothing else waits, and now and then all the same.
    Low,
}

impl TemplateBody {
    /// The checked template.
    pub(crate) fn template(self, fields: &mut Fields) -> Option<Template> {
        let queue = fields.text("/queue", self.queue);
        let kind = fields.text("/kind", self.kind);
        let priority = self.priority.map(|priority| {
            let rule = "must be one of `critical`, `high`, `normal`, `low`";
            fields.check("/priority", priority.parse().map_err(|_| rule))
        });
        let payload = json("/payload", self.payload, fields);
        let timeout_s = fields.optional_number("/timeout_s", self.timeout_s);
        let retry = retry(self.attempts_max, self.backoff, fields);
        let fairness_key = fields.optional("/fairness_key", self.fairness_key);
        let capabilities = capabilities(self.capabilities, fields);
        let labels = labels(self.labels, fields);
        Some(Template {
            queue: queue?,
            kind: kind?,
            priority: priority.unwrap_or(Some(Priority::default()))?,
            payload: payload?,
            timeout_s: timeout_s?,
            retry: retry?,
            fairness_key: fairness_key?,
            capabilities: capabilities?,
            labels: labels?,
        })
    }
}

/// What a worker can do, or a job wants.
pub(crate) fn capabilities(
    names: Option<Vec<NameText>>,
    fields: &mut Fields,
) -> Option<Capabilities> {
    let names = names.unwrap_or_default();
    if names.len() > Capabilities::ENTRIES_MAX {
        return fields.check("/capabilities", Err(TooManyCapabilities));
    }
    let names = fields.texts("/capabilities", names)?;
    fields.check("/capabilities", Capabilities::try_from(names))
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

pub(super) fn json(
    pointer: &str,
    json: Option<Box<RawValue>>,
    fields: &mut Fields,
) -> Option<Option<Json>> {
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
    let attempts_max = fields.optional_number("/attempts_max", attempts_max);
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
    let delay_ms = fields.number("/backoff/delay_ms", body.delay_ms);
    let longest = "/backoff/delay_ms_max";
    let delay_ms_max = fields.optional_number(longest, body.delay_ms_max);
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
