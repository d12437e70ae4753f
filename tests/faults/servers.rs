//! Fault 2: NATS, Postgres, or everything at once is killed under load, and heals alone.

use std::time::{Duration, Instant};

use crate::clients::Clients;
use crate::load::{Load, check};
use crate::recovery::Recoveries;
use crate::support::{Dice, TestResult, Up, asked, say};

/// How often each is killed; `LEDGERLINE_SERVER_KILLS` asks for more.
const KILLS: usize = 4;

const CLIENTS: usize = 6;

/// A kill comes within this many calls after the recovery from the last one.
const CALLS_BETWEEN_KILLS_MAX: u64 = 250;

#[derive(Clone, Copy)]
enum Victim {
    Nats,
    Postgres,
    All,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_server_is_killed_it_heals_alone_and_nothing_acknowledged_is_lost() -> TestResult
{
    let kills = asked("LEDGERLINE_SERVER_KILLS", KILLS);
    let mut dice = Dice::thrown();
    let mut up = Up::start("servers")?;
    let listen = up.listen().to_owned();
    let load = Load::on(&up.endpoints.http);
    let api = up.api("default", "member")?;
    let clients = Clients::start(&load, &api, CLIENTS, &mut dice);
    let (mut nats, mut postgres, mut all) = Default::default();
    let mut left = [
        (Victim::Nats, kills),
        (Victim::Postgres, kills),
        (Victim::All, kills),
    ];
    for _ in 0..3 * kills {
        clients
            .have_done(1 + dice.below(CALLS_BETWEEN_KILLS_MAX))
            .await?;
        tokio::time::sleep(Duration::from_micros(dice.below(2_000))).await;
        let victim = drawn(&mut left, &mut dice);
        let began = Instant::now();
        let recoveries: &mut Recoveries = match victim {
            Victim::Nats => {
                up.kill_server("nats-server");
                &mut nats
            }
            Victim::Postgres => {
                up.kill_server("postgres");
                &mut postgres
            }
            Victim::All => {
                up.kill_server("nats-server");
                up.kill_server("postgres");
                up = Up::on_address(up.kill()?, &listen)?;
                &mut all
            }
        };
        recoveries.add(&load, &api, began).await?;
    }
    clients.end().await?;
    say(&format!(
        "{kills} kills each of NATS, of Postgres and of everything; {} calls",
        load.recorder.history().calls.len()
    ));
    check(&up, &load.recorder).await?;
    nats.tell("a kill of NATS")?;
    postgres.tell("a kill of Postgres")?;
    all.tell("a kill of everything")
}

/// One of those who are still to be killed.
fn drawn(left: &mut [(Victim, usize)], dice: &mut Dice) -> Victim {
    let waiting = left.iter_mut().filter(|(_, kills)| *kills > 0);
    let mut waiting: Vec<_> = waiting.collect();
    let number = dice.below(waiting.len() as u64) as usize;
    waiting[number].1 -= 1;
    waiting[number].0
}
