//! Fault 1: the program is killed at any moment, and with it its servers.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::clients::Clients;
use crate::load::{Load, check, cut_behind_the_append};
use crate::recovery::Recoveries;
use crate::support::{Dice, TestResult, Up, asked, say};

/// `LEDGERLINE_KILLS` asks for more.
const KILLS: usize = 20;
const CLIENTS: usize = 6;

/// A kill comes within this many calls after the first answers of a start.
const CALLS_BETWEEN_KILLS_MAX: u64 = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_acknowledged_and_leave_nothing_that_nobody_asked_for() -> TestResult {
    let kills = asked("LEDGERLINE_KILLS", KILLS);
    let mut dice = Dice::thrown();
    let mut up = Up::start("crash")?;
    let listen = up.listen().to_owned();
    let load = Load::on(&up.endpoints.http);
    let api = up.api("default", "member")?;
    let clients = Clients::start(&load, &api, CLIENTS, &mut dice);
    let mut recoveries = Recoveries::default();
    let (mut hit, mut cut) = (0, 0);
    for _ in 0..kills {
        let calls = 1 + dice.below(CALLS_BETWEEN_KILLS_MAX);
        clients.have_done(calls).await?;
        // Somewhere within the next append, not just behind an answer.
        tokio::time::sleep(Duration::from_micros(dice.below(2_000))).await;
        let in_flight = load.in_flight.load(Ordering::SeqCst);
        hit += usize::from(in_flight > 0);
        cut += in_flight;
        let folder = up.kill()?;
        let began = Instant::now();
        up = Up::on_address(folder, &listen)?;
        // The next kill may also come before the read side moves: not every start is measured.
        if dice.below(2) == 0 {
            recoveries.add(&load, &api, began).await?;
        }
    }
    clients.end().await?;
    let between = cut_behind_the_append(&up, &load).await?;
    say(&format!(
        "{kills} kills, {hit} of them with calls in flight ({cut} in all), {between} calls cut between \
         append and answer; {} calls, {} commands acknowledged",
        load.recorder.history().calls.len(),
        load.acknowledged.load(Ordering::SeqCst)
    ));
    assert!(hit > 0, "no kill hit a call: the test has shown nothing");
    check(&up, &load.recorder).await?;
    recoveries.tell("the start of the program")
}
