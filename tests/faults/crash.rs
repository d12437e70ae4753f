//! Fault 1: the program is killed at any moment, and with it its servers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::load::{Load, check, cut_behind_the_append};
use crate::support::{Dice, TestResult, Up, fresh_id, say, until};

const KILLS: usize = 20;
const CLIENTS: usize = 6;

/// A kill comes within this many calls after the first answers of a start.
const CALLS_BETWEEN_KILLS_MAX: u64 = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_acknowledged_and_leave_nothing_that_nobody_asked_for()
-> TestResult {
    let mut dice = Dice::thrown();
    let mut up = Up::start("crash")?;
    let listen = up.listen().to_owned();
    let load = Load::on(&up.endpoints.http);
    let ids: Arc<Vec<String>> = Arc::new((0..24).map(|_| fresh_id()).collect());
    let api = up.api("default", "member")?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| {
            let dice = Dice::of(dice.below(u64::MAX));
            tokio::spawn(Arc::clone(&load).client(api.clone(), name, Arc::clone(&ids), dice))
        })
        .collect();
    let (mut hit, mut cut) = (0, 0);
    for _ in 0..KILLS {
        let goal = load.resolved.load(Ordering::SeqCst) + 1 + dice.below(CALLS_BETWEEN_KILLS_MAX);
        until("clients have worked for a while", async || {
            // A client that has failed never comes to the goal.
            anyhow::ensure!(
                !clients.iter().any(|client| client.is_finished()),
                "a client failed"
            );
            Ok((load.resolved.load(Ordering::SeqCst) >= goal).then_some(()))
        })
        .await?;
        // Somewhere within the next append, not just behind an answer.
        tokio::time::sleep(Duration::from_micros(dice.below(2_000))).await;
        let in_flight = load.in_flight.load(Ordering::SeqCst);
        hit += usize::from(in_flight > 0);
        cut += in_flight;
        let folder = up.kill()?;
        up = Up::on_address(folder, &listen)?;
    }
    load.stop();
    for client in clients {
        client.await??;
    }
    let between = cut_behind_the_append(&up, &load).await?;
    say(&format!(
        "{KILLS} kills, {hit} of them with calls in flight ({cut} in all), {between} calls cut between \
         append and answer; {} calls, {} commands acknowledged",
        load.recorder.history().calls.len(),
        load.acknowledged.load(Ordering::SeqCst)
    ));
    assert!(hit > 0, "no kill hit a call: the test has shown nothing");
    check(&up, &load.recorder).await
}
