//! The journal's leader is killed again and again, then every server is restarted in turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::house::{House, SCHEDULES, pauses, spread, times};
use crate::load::Load;
use crate::servers::MEMBERS;
use crate::support::service::Service as _;
use crate::support::{Dice, TestResult, fresh_id, say, until};
use crate::times::EverySecond;

/// How often the leader is killed; `LEDGERLINE_LEADER_KILLS` asks for more.
const KILLS: usize = 3;

pub(crate) const CLIENTS: usize = 4;
const AGGREGATES: usize = 24;

/// A kill comes within this many acknowledgements after the first ones.
const ACKNOWLEDGED_BETWEEN_MAX: u64 = 100;

/// Clients that work on a service until they are told to end.
pub(crate) struct Clients {
    pub(crate) load: Arc<Load>,
    tasks: Vec<JoinHandle<TestResult>>,
}

impl Clients {
    pub(crate) fn on(house: &House, dice: &mut Dice) -> TestResult<Self> {
        let load = Load::on(&house.first.base);
        let ids: Arc<Vec<String>> = Arc::new((0..AGGREGATES).map(|_| fresh_id()).collect());
        let api = house.client("default", "admin")?;
        let tasks = (0..CLIENTS).map(|name| {
            let dice = Dice::of(dice.below(u64::MAX));
            tokio::spawn(Arc::clone(&load).client(api.clone(), name, Arc::clone(&ids), dice))
        });
        let tasks = tasks.collect();
        Ok(Self { load, tasks })
    }

    /// Waits until `more` commands are acknowledged from now on.
    pub(crate) async fn go_on(&self, more: u64) -> TestResult {
        let goal = self.load.acknowledged.load(Ordering::SeqCst) + more;
        until("clients go on", async || {
            // A client that has failed never comes to the goal.
            let failed = self.tasks.iter().any(JoinHandle::is_finished);
            anyhow::ensure!(!failed, "a client failed");
            Ok((self.load.acknowledged.load(Ordering::SeqCst) >= goal).then_some(()))
        })
        .await
    }

    pub(crate) async fn end(self) -> TestResult<Arc<Load>> {
        self.load.stop();
        for task in self.tasks {
            task.await??;
        }
        Ok(self.load)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leaders_and_a_rolling_restart_lose_double_and_invent_nothing() -> TestResult {
    let kills = times("LEDGERLINE_LEADER_KILLS", KILLS);
    let mut dice = Dice::thrown();
    let mut house = House::start("leader", None, &[0, 1, 2]).await?;
    let clients = Clients::on(&house, &mut dice)?;
    let recorder = &clients.load.recorder;
    let admin = house.client("default", "admin")?;
    let schedules = EverySecond::create(&admin, recorder, SCHEDULES).await?;
    let (mut killed, mut followed) = (Vec::new(), Vec::new());
    for kill in 0..kills {
        clients
            .go_on(1 + dice.below(ACKNOWLEDGED_BETWEEN_MAX))
            .await?;
        let leader = house.servers.leader(&[0, 1, 2]).await?;
        killed.push(recorder.now());
        house.servers.end(leader, Signal::KILL)?;
        // Acknowledged by the two that are left.
        clients.go_on(20).await?;
        let goes_on = Instant::now();
        house.follows(recorder, &format!("kill-{kill}")).await?;
        followed.push(goes_on.elapsed());
        house.servers.run(leader)?;
        house.servers.are_current().await?;
    }
    let mut restarted = Vec::new();
    for member in 0..MEMBERS {
        clients.go_on(20).await?;
        restarted.push(recorder.now());
        house.servers.end(member, Signal::TERM)?;
        clients.go_on(20).await?;
        house.servers.run(member)?;
        house.servers.are_current().await?;
    }
    house.follows(recorder, "restarted").await?;
    let load = clients.end().await?;
    let calls = load.recorder.history().calls;
    let faults = [&killed[..], &restarted[..]].concat();
    let pauses = pauses(&calls, &faults);
    say(&format!(
        "{kills} leaders killed, writes paused for {}; followed by all that follows the journal {} later; \
         rolling restart, writes paused for {}; {} calls, {} acknowledged",
        spread(pauses[..kills].to_vec()),
        spread(followed),
        spread(pauses[kills..].to_vec()),
        calls.len(),
        load.acknowledged.load(Ordering::SeqCst)
    ));
    house.is_whole(&load.recorder, &schedules).await
}
