//! Two of the three servers die: there is no majority, so nothing is acknowledged until one of them is back,
//! and whoever asks is told so. What can be read without the journal is read on.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rustix::process::Signal;

use crate::house::{House, SCHEDULES, readiness};
use crate::leader::{CLIENTS, Clients};
use crate::load::Load;
use crate::pending::Pending;
use crate::servers::MEMBERS;
use crate::support::service::Service as _;
use crate::support::{Dice, TestResult, say, until};
use crate::times::EverySecond;

/// Commands that are sent while two servers are away.
const COMMANDS: usize = 4;

/// Two die within so many acknowledgements after the first ones.
const ACKNOWLEDGED_BEFORE_MAX: u64 = 100;

/// Two servers are gone.
struct Away {
    died: Instant,
    /// How many commands of the load were acknowledged before.
    acknowledged: u64,
}

impl Away {
    /// Fails unless commands are refused, what is `known` can be read at its position, and everybody who asks
    /// is told why: after how long the process is not ready, and what it says.
    async fn is_told(
        &self,
        house: &House,
        load: &Load,
        pending: &[Pending],
        known: (&str, u64),
    ) -> TestResult<(Duration, String)> {
        let (api, (known, position)) = (house.client("default", "admin")?, known);
        try_join_all(pending.iter().map(|command| command.is_refused(&api))).await?;
        let failing = until("it says that it is not ready", async || {
            api.assignment(known, position).await?;
            let listed = api.get("/v1/assignments?limit=10").await?.is(200);
            anyhow::ensure!(listed.position()? >= position, "an older state is listed");
            let (is_ready, failing) = readiness(&api).await?;
            Ok((!is_ready).then_some(failing))
        })
        .await?;
        let not_ready = self.died.elapsed();
        anyhow::ensure!(failing[0]["name"] == "journal", "{failing}");
        for command in pending {
            command.is_refused(&api).await?;
        }
        let examined = house.examined()?;
        let (verdict, found) = &examined["stream `JOURNAL`"];
        anyhow::ensure!(verdict == "failed", "{found}");
        // What was under way when the servers died had its answer before; nothing has had one since.
        let since = load.acknowledged.load(Ordering::SeqCst) - self.acknowledged;
        anyhow::ensure!(
            since <= CLIENTS as u64,
            "`{since}` commands were acknowledged by one server of three"
        );
        let detail = failing[0]["detail"].as_str().unwrap_or_default();
        Ok((not_ready, detail.to_owned()))
    }
}

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
    let path = format!("/v1/assignments/{known}");
    until(
        "it is ready, and the read side has what is known",
        async || {
            let is_known = api.get_at(&path, position).await?.status == 200;
            Ok((is_known && readiness(&api).await?.0).then_some(()))
        },
    )
    .await?;

    // The leader stays, alone with its lead, or is one of those that go.
    let leader = house.servers.leader(&[0, 1, 2]).await?;
    let stays = (leader + dice.below(MEMBERS as u64) as usize) % MEMBERS;
    let gone: Vec<_> = (0..MEMBERS).filter(|member| *member != stays).collect();
    for member in &gone {
        house.servers.end(*member, Signal::KILL)?;
    }
    let away = Away {
        died: Instant::now(),
        acknowledged: load.acknowledged.load(Ordering::SeqCst),
    };
    let pending = Pending::some(recorder, COMMANDS);
    let (not_ready, detail) = away
        .is_told(&house, load, &pending, (&known, position))
        .await?;
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
        "two of three servers killed, the leader {}: not ready {not_ready:.1?} later: {detail}; one is started again: \
         writes go on {writes:.1?} later, followed by all that follows the journal {follows:.1?} later",
        if stays == leader {
            "stays"
        } else {
            "among them"
        },
    ));
    house.is_whole(&load.recorder, &schedules).await
}
