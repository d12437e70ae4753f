//! Commands that cannot be carried out while servers are away.

use ledgerline_check::Outcome;
use serde_json::json;

use crate::record::{self, Recorder};
use crate::support::http::Answer;
use crate::support::{Api, TestResult, fresh_id, until};

/// A command whose outcome is known only when the servers are one again.
pub(crate) struct Pending {
    id: String,
    began: u64,
}

impl Pending {
    pub(crate) fn some(recorder: &Recorder, count: usize) -> Vec<Self> {
        let began = recorder.now();
        let some = (0..count).map(|_| fresh_id());
        some.map(|id| Self { id, began }).collect()
    }

    /// Sends it, and fails unless it is answered that the journal cannot be reached now, and when to try again.
    pub(crate) async fn is_refused(&self, api: &Api) -> TestResult {
        let answer = self.send(api).await?.refused(503, "unavailable");
        anyhow::ensure!(answer.header("retry-after").is_some(), "no `Retry-After`");
        let detail = answer.json()?["detail"].as_str().map(str::to_owned);
        let names_it = detail.is_some_and(|detail| detail.contains("journal"));
        anyhow::ensure!(names_it, "{}", answer.text());
        Ok(())
    }

    async fn send(&self, api: &Api) -> TestResult<Answer> {
        let body = json!({"id": self.id, "title": "T", "kind": "k", "group": "g"});
        let headers = [("Idempotency-Key", &*self.id)];
        api.post_with("/v1/assignments", &body, &headers).await
    }

    /// Sends it until its outcome is known.
    pub(crate) async fn resolve(self, api: &Api, recorder: &Recorder) -> TestResult {
        let outcome = until("a command has an outcome", async || {
            let outcome = record::outcome(&self.send(api).await?)?;
            Ok((outcome != Outcome::Unknown).then_some(outcome))
        });
        let outcome = outcome.await?;
        let asked = record::write("parted", "assignment", &self.id, &self.id);
        recorder.add(asked, self.began, outcome);
        Ok(())
    }
}
