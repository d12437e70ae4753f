//! Fault 1 at named points: the program dies between two steps that are one only together, while clients
//! work, jobs run and schedules fire. Needs the feature `failpoints`, without which there are no points.

use crate::clients::Clients;
use crate::load::{Load, check};
use crate::support::{Dice, TestResult, Up, asked, say};
use crate::times::EverySecond;

/// Each is a gap that a crash may come into, and it dies within so many times that it comes there.
const POINTS: [(&str, u64); 5] = [
    // The commit stands in the journal, and its writer has no answer.
    ("command-appended", 60),
    // What follows from facts is done, and the checkpoint does not say so. The schedules are due together, and
    // what follows is done together: it comes there about once a second.
    ("effects-done", 10),
    // The feed has the events, and the pump has not noted it.
    ("events-published", 60),
    // Rows are folded in memory, and not written.
    ("rows-folded", 60),
    // Rows and checkpoint are written, and the runner has not noted it.
    ("rows-written", 60),
];

/// How often it dies at each; `LEDGERLINE_POINT_KILLS` asks for more.
const KILLS: usize = 2;

const CLIENTS: usize = 4;
const SCHEDULES: usize = 5;

/// After so many rounds there are new schedules: nobody does their jobs, and no schedule has more than 1,000 runs
/// that have not ended.
const ROUNDS_OF_SCHEDULES: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_dies_at_each_named_point_and_loses_doubles_and_invents_nothing() -> TestResult {
    let kills = asked("LEDGERLINE_POINT_KILLS", KILLS);
    let mut dice = Dice::thrown();
    let mut up = Up::start("points")?;
    let listen = up.listen().to_owned();
    let load = Load::on(&up.endpoints.http);
    let api = up.api("default", "admin")?;
    let mut schedules = EverySecond::create(&api, &load.recorder, SCHEDULES).await?;
    let clients = Clients::start(&load, &api, CLIENTS, &mut dice);
    for round in 1..=kills {
        if round % ROUNDS_OF_SCHEDULES == 0 {
            // One without connections to what has died.
            let api = up.api("default", "admin")?;
            schedules.end(&up, &api, &load.recorder).await?;
            schedules = EverySecond::create(&api, &load.recorder, SCHEDULES).await?;
        }
        for (point, passes_max) in POINTS {
            let passes = 1 + dice.below(passes_max);
            let folder = up.kill()?;
            let points = format!("{point}={passes}*off->return");
            Up::dies_at(&folder, &listen, &points)?;
            up = Up::on_address(folder, &listen)?;
            clients.all_work()?;
        }
    }
    clients.end().await?;
    let api = up.api("default", "admin")?;
    schedules.end(&up, &api, &load.recorder).await?;
    say(&format!(
        "{kills} deaths at each of {} points; {} calls",
        POINTS.len(),
        load.recorder.history().calls.len()
    ));
    check(&up, &load.recorder).await
}
