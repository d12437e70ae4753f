//! Schedules under load, and under kills of everything: each of their times is fired once and has one
//! job, and without a fault none is late. Judged by the raw journal.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::load::Load;
use crate::support::{Dice, TestResult, Up, fresh_id, say};
use crate::times::EverySecond;

const SCHEDULES: usize = 50;
const CLIENTS: usize = 4;
const FAULTS: usize = 5;

/// How many times of each schedule are fired before the first fault.
const TIMES: usize = 8;

/// How late a time may be fired, and its job be enqueued, on a machine that does other things besides;
/// `ledgerline bench schedules` measures it on one that does not.
const LATE_MAX: SignedDuration = SignedDuration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_time_is_fired_once_and_has_one_job_whatever_is_killed() -> TestResult {
    let mut dice = Dice::thrown();
    let mut up = Up::start("schedules")?;
    let listen = up.listen().to_owned();
    let load = Load::on(&up.endpoints.http);
    let ids: Arc<Vec<String>> = Arc::new((0..100).map(|_| fresh_id()).collect());
    let clients = (0..CLIENTS).map(|name| {
        let api = up.api("default", "member")?;
        let dice = Dice::of(dice.below(u64::MAX));
        Ok(tokio::spawn(Arc::clone(&load).client(
            api,
            name,
            Arc::clone(&ids),
            dice,
        )))
    });
    let clients = clients.collect::<TestResult<Vec<_>>>()?;
    let api = up.api("default", "admin")?;
    let schedules = EverySecond::create(&api, &load.recorder, SCHEDULES).await?;
    let seen = schedules.fired(&up, TIMES).await?;
    let late = seen.lateness()?;
    for fault in 1..=FAULTS {
        match dice.below(3) {
            0 => up.kill_server("nats-server"),
            1 => up.kill_server("postgres"),
            _ => up = Up::on_address(up.kill()?, &listen)?,
        }
        schedules.fired(&up, TIMES + 2 * fault).await?;
    }
    load.stop();
    for client in clients {
        client.await??;
    }
    let api = up.api("default", "admin")?;
    let seen = schedules.end(&up, &api, &load.recorder).await?;
    let count = seen.count();
    say(&format!(
        "{SCHEDULES} schedules fired {count} times, {FAULTS} faults; without one, under load, fired {:?} late at most, \
         with its job in the journal {:?}",
        late.0, late.1
    ));
    anyhow::ensure!(late.0 < LATE_MAX && late.1 < LATE_MAX, "late: {late:?}");
    up.verify()
}
