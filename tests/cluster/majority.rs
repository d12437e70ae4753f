//! Two of the three servers die: there is no majority, so nothing is acknowledged until one of them is back,
//! and whoever asks is told so. What can be read without the journal is read on.

use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::future::try_join_all;
use rustix::process::Signal;

use crate::house::{House, SCHEDULES, readiness};
use crate::leader::{CLIENTS, Clients};
use crate::pending::Pending;
use crate::servers::MEMBERS;
use crate::support::service::Service as _;
use crate::support::{Dice, TestResult, say, until};
use crate::times::EverySecond;

/// Commands that are sent while two servers are away.
const COMMANDS: usize = 4;

/// Two die within so many acknowledgements after the first ones.
const ACKNOWLEDGED_BEFORE_MAX: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_of_three_servers_gone_nothing_is_acknowledged_and_queries_go_on() -> TestResult {
    let mut dice = Dice::thrown();
    let mut house = House::start("majority", None, &[0, 1, 2]).await?;
    let clients = Clients::on(&house, &mut dice)?;
    let (load, api) = (&clients.load, house.client("default", "admin")?);
    let recorder = &load.recorder;
    let schedules = EverySecond::create(&api, recorder, SCHEDULES).await?;
    clients
        .go_on(1 + dice.below(ACKNOWLEDGED_BEFORE_MAX))
        .await?;
    let (known, position) = load.one_more(&api).await?;
    api.assignment(&known, position).await?;

    anyhow::ensure!(readiness(&api).await?.0, "it is ready");

    // The leader stays, alone with its lead, or is one of those that go.
    let leader = house.servers.leader(&[0, 1, 2]).await?;
    let stays = (leader + dice.below(MEMBERS as u64) as usize) % MEMBERS;
    let gone: Vec<_> = (0..MEMBERS).filter(|member| *member != stays).collect();
    for member in &gone {
        house.servers.end(*member, Signal::KILL)?;
    }
    let died = Instant::now();
    let acknowledged = load.acknowledged.load(Ordering::SeqCst);
    let pending = Pending::some(recorder, COMMANDS);
    try_join_all(pending.iter().map(|command| command.is_refused(&api))).await?;
    let failing = until("it says that it is not ready", async || {
        api.assignment(&known, position).await?;
        let listed = api.get("/v1/assignments?limit=10").await?.is(200);
        anyhow::ensure!(listed.position()? >= position, "an older state is listed");
        let (is_ready, failing) = readiness(&api).await?;
        Ok((!is_ready).then_some(failing))
    })
    .await?;
    anyhow::ensure!(failing[0]["name"] == "journal", "{failing}");
    let not_ready = died.elapsed();
    for command in &pending {
        command.is_refused(&api).await?;
    }
    let examined = house.examined()?;
    let (verdict, found) = &examined["stream `JOURNAL`"];
    anyhow::ensure!(verdict == "failed", "{found}");
    // What was under way when the servers died had its answer before; nothing has had one since.
    let since = load.acknowledged.load(Ordering::SeqCst) - acknowledged;
    anyhow::ensure!(
        since <= CLIENTS as u64,
        "`{since}` commands were acknowledged by one server of three"
    );

    let back = Instant::now();
    house.servers.run(gone[0])?;
    clients.go_on(1).await?;
    let writes = back.elapsed();
    for command in pending {
        command.resolve(&api, recorder).await?;
    }
    house.follows(recorder, "two-of-three").await?;
    let follows = back.elapsed();
    until("it is ready again", async || {
        Ok(readiness(&api).await?.0.then_some(()))
    })
    .await?;
    let examined = house.examined()?;
    for check in ["nats addresses", "nats servers", "stream `JOURNAL`"] {
        let (verdict, found) = &examined[check];
        anyhow::ensure!(verdict == "warning", "{check}: {verdict} {found}");
    }
    house.servers.run(gone[1])?;
    house.servers.are_current().await?;
    clients.go_on(20).await?;
    house.follows(recorder, "three-of-three").await?;
    let examined = house.examined()?;
    let wrong = examined.values().find(|(verdict, _)| verdict != "ok");
    anyhow::ensure!(wrong.is_none(), "{examined:#?}");
    let load = clients.end().await?;
    say(&format!(
        "two of three servers killed, the leader {}: not ready {not_ready:.1?} later, with `{}`; one is started again: \
         writes go on {writes:.1?} later, followed by all that follows the journal {follows:.1?} later",
        if stays == leader {
            "stays"
        } else {
            "among them"
        },
        failing[0]["detail"].as_str().unwrap_or_default(),
    ));
    house.is_whole(&load.recorder, &schedules).await
}
