//! What is said once of jobs that are enqueued later.

use serde::{Deserialize, Serialize};

use super::{Capabilities, Parent, Priority, Retry, Spec, TimeoutSeconds};
use crate::labels::Labels;
use crate::{Json, Name, Timestamp, Token};

/// A job that something else enqueues: a schedule for each of its times, a batch at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// In which queue it waits.
    pub queue: Token,
    /// The sort of work.
    pub kind: Name,
    /// What comes first within the queue.
    #[serde(default)]
    pub priority: Priority,
    /// What the worker needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// How long one attempt may run; in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<TimeoutSeconds>,
    /// What follows a failure.
    #[serde(default)]
    pub retry: Retry,
    /// Jobs of one key share a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness_key: Option<Name>,
    /// What a worker must be able to do.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
    /// Whatever else the house wants to find it by.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl Template {
    /// The job.
    #[must_use]
    pub fn spec(self, run_after: Option<Timestamp>, parent: Option<Parent>) -> Spec {
        Spec {
            queue: self.queue,
            kind: self.kind,
            priority: self.priority,
            payload: self.payload,
            run_after,
            deadline: None,
            timeout_s: self.timeout_s,
            retry: self.retry,
            fairness_key: self.fairness_key,
            capabilities: self.capabilities,
            labels: self.labels,
            parent,
            unique: None,
        }
    }
}
