//! Jobs over HTTP, with a dispatcher over the journal in memory.

mod claims;
mod fields;
mod life;
mod lines;

use serde_json::{Value, json};

use super::{Answer, Service};

/// How long a claim waits for a job that is there: as long as a claim may.
pub(super) const WAIT_MS: u64 = 60_000;

/// A job that fails as often as is said and is ready again at once.
pub(super) fn mail(attempts_max: u32) -> Value {
    json!({
        "queue": "mail", "kind": "send", "attempts_max": attempts_max,
        "backoff": {"type": "fixed", "delay_ms": 0},
    })
}

impl Service {
    /// Enqueues `job` and gives its path.
    pub(super) async fn enqueue(&self, job: &Value) -> String {
        let answer = self.post("/v1/jobs", &job.to_string()).await;
        assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
        answer.header("location").to_owned()
    }

    /// What a worker gets from the queue `mail` that claims up to `jobs_max` jobs, waiting so long.
    pub(super) async fn claim(&self, jobs_max: usize, wait_ms: u64) -> Vec<Value> {
        let claim = json!({
            "queues": ["mail"], "worker": "w1", "jobs_max": jobs_max, "wait_ms": wait_ms,
        });
        let answer = self.post("/v1/jobs/claim", &claim.to_string()).await;
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        answer.json()["jobs"].as_array().expect("a list").clone()
    }

    /// The one job that there is.
    pub(super) async fn claim_one(&self) -> Value {
        let jobs = self.claim(1, WAIT_MS).await;
        let [job] = jobs.as_slice() else {
            panic!("one job was asked for: {jobs:?}");
        };
        job.clone()
    }

    /// Posts to the route `verb` of the job at `path`.
    pub(super) async fn tell(&self, path: &str, verb: &str, body: &Value) -> Answer {
        self.post(&format!("{path}/{verb}"), &body.to_string())
            .await
    }

    /// The types of a job's events, first to last.
    pub(super) async fn events_of(&self, path: &str) -> Vec<String> {
        let history = self.get(&format!("{path}/history")).await.json();
        let events = history["items"].as_array().expect("a list").iter();
        let names = events.map(|event| event["type"].as_str().expect("a type").to_owned());
        names.collect()
    }
}
