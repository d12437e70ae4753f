//! The clients of a load, together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;

use crate::load::Load;
use crate::support::{Api, Dice, TestResult, fresh_id, until};

/// Few enough that clients meet on them.
const AGGREGATES: usize = 24;

/// Clients that work until they are told to end.
pub(crate) struct Clients {
    load: Arc<Load>,
    tasks: Vec<JoinHandle<TestResult>>,
}

impl Clients {
    /// Lets so many work at once.
    pub(crate) fn start(load: &Arc<Load>, api: &Api, count: usize, dice: &mut Dice) -> Self {
        let ids: Arc<Vec<String>> = Arc::new((0..AGGREGATES).map(|_| fresh_id()).collect());
        let tasks = (0..count).map(|name| {
            let dice = Dice::of(dice.below(u64::MAX));
            let client = Arc::clone(load).client(api.clone(), name, Arc::clone(&ids), dice);
            tokio::spawn(client)
        });
        Self {
            load: Arc::clone(load),
            tasks: tasks.collect(),
        }
    }

    /// Waits until so many more calls have their outcome.
    pub(crate) async fn have_done(&self, calls: u64) -> TestResult {
        let goal = self.load.resolved.load(Ordering::SeqCst) + calls;
        until("clients have worked for a while", async || {
            self.all_work()?;
            Ok((self.load.resolved.load(Ordering::SeqCst) >= goal).then_some(()))
        })
        .await
    }

    /// Fails where one has failed.
    pub(crate) fn all_work(&self) -> TestResult {
        let failed = self.tasks.iter().any(JoinHandle::is_finished);
        anyhow::ensure!(!failed, "a client failed");
        Ok(())
    }

    /// Lets each end with the call that it is at.
    pub(crate) async fn end(self) -> TestResult {
        self.load.stop();
        for task in self.tasks {
            task.await??;
        }
        Ok(())
    }

    /// Lets them go: whatever they are at has no outcome.
    pub(crate) async fn vanish(self) {
        for task in self.tasks {
            task.abort();
            // Aborted, as it was to be.
            task.await.ok();
        }
    }
}
