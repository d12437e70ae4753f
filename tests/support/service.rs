//! What a judge asks of a running service, however it was started.

use super::{Api, TestResult, Up};

/// A service whose history can be judged.
pub(crate) trait Service {
    /// Where the journal is read, as a plain client.
    fn nats(&self) -> &str;

    /// Where the feed is read.
    fn nats_feed(&self) -> &str;

    /// A client of its API with the roles, with commas between them, in the tenant.
    fn client(&self, tenant: &str, roles: &str) -> TestResult<Api>;

    /// Fails unless the program itself finds that every read model is the fold of the journal.
    fn verified(&self) -> TestResult;

    /// By what its files are told from those of others.
    fn name(&self) -> String;
}

impl Service for Up {
    fn nats(&self) -> &str {
        &self.endpoints.nats
    }

    fn nats_feed(&self) -> &str {
        &self.endpoints.nats_feed
    }

    fn client(&self, tenant: &str, roles: &str) -> TestResult<Api> {
        self.api(tenant, roles)
    }

    fn verified(&self) -> TestResult {
        self.verify()
    }

    fn name(&self) -> String {
        self.pid().to_string()
    }
}
