//! The bodies of commands on queues, and the domain's commands that they become.

use domain::queue::{Command, Limits, Queue, Rate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::command::body::body;
use crate::fields::{Fields, whole, whole_required};
use crate::texts::ReasonText;

body! {
    /// Replace all limits; what is left out has none.
    ConfigureQueue of Queue: "queue.configure" {
        /// How many jobs run at once.
        #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 1_000_000)]
        running_max: Option<i64>,
        /// How many jobs of one fairness key run at once.
        #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 1_000_000)]
        running_per_key_max: Option<i64>,
        /// How many jobs begin in a period.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<RateBody>,
    }
    |body, _by, fields| {
        let running_max = fields.optional_number("/running_max", body.running_max);
        let per_key = "/running_per_key_max";
        let per_key = fields.optional_number(per_key, body.running_per_key_max);
        let rate = match body.rate {
            Some(body) => rate(&body, fields).map(Some),
            None => Some(None),
        };
        Some(Command::Configure(Limits {
            running_max: running_max?,
            running_per_key_max: per_key?,
            rate: rate?,
        }))
    }
}

body! {
    /// Hand out nothing until it is resumed; what runs goes on.
    PauseQueue of Queue: "queue.pause" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<ReasonText>,
    }
    |body, _by, fields| {
        Some(Command::Pause { reason: fields.optional("/reason", body.reason)? })
    }
}

body! {
    /// Hand out again.
    ResumeQueue of Queue: "queue.resume" {}
    |_body, _by, _fields| Some(Command::Resume)
}

/// So many jobs begin in so long.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "Rate")]
pub(crate) struct RateBody {
    /// How many.
    #[serde(deserialize_with = "whole_required")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub(crate) jobs: i64,
    /// In how long, in milliseconds.
    #[serde(deserialize_with = "whole_required")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub(crate) period_ms: i64,
}

fn rate(body: &RateBody, fields: &mut Fields) -> Option<Rate> {
    let jobs = fields.number("/rate/jobs", body.jobs);
    let period_ms = fields.number("/rate/period_ms", body.period_ms);
    Some(Rate {
        jobs: jobs?,
        period_ms: period_ms?,
    })
}
