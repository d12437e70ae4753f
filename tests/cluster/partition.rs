//! The server that leads the journal, then one that does not, is parted from the two others, while
//! clients reach both sides.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};

use crate::house::{House, SCHEDULES, pauses, readiness, spread, times};
use crate::leader::Clients;
use crate::load::{Load, check};
use crate::network::Network;
use crate::pending::Pending;
use crate::servers::MEMBERS;
use crate::support::service::Service as _;
use crate::support::{Dice, TestResult, say, until};
use crate::times::EverySecond;

/// How often; `LEDGERLINE_PARTITIONS` asks for more.
const PARTITIONS: usize = 1;

/// The server that is parted.
const PARTED: usize = 0;

/// Those that go on without it.
const OTHERS: [usize; 2] = [1, 2];

/// Commands that are sent to the parted side at once.
const COMMANDS: usize = 4;

/// What the others acknowledge while the one is parted.
const ACKNOWLEDGED: u64 = 100;

/// A process is found not to be ready within this time after its server was cut off: the server notices at
/// the latest when it hears nothing for 4 s, a check takes up to 2 s and is kept for 1 s, and what was well
/// 15 s before is still taken for ready. The rest is for a machine that does other things besides.
const NOT_READY_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parted_server_acknowledges_nothing_and_what_the_others_did_is_there_when_it_is_back()
-> TestResult {
    let Some(network) = network() else {
        return Ok(());
    };
    let partitions = times("LEDGERLINE_PARTITIONS", PARTITIONS);
    let mut dice = Dice::thrown();
    let house = House::start("partition", Some(network), &OTHERS).await?;
    let process = house.process("parted", "api", &[PARTED])?;
    let parted = house.client("default", "admin")?.at(&process.base);
    let clients = Clients::on(&house, &mut dice)?;
    let recorder = &clients.load.recorder;
    let (mut cut, mut healed) = (Vec::new(), Vec::new());
    let schedules =
        EverySecond::create(&house.client("default", "admin")?, recorder, SCHEDULES).await?;
    let mut refused = 0;
    for partition in 0..partitions {
        let leader = if partition % 2 == 0 {
            PARTED
        } else {
            OTHERS[0]
        };
        house.servers.lead(leader).await?;
        clients.go_on(1 + dice.below(ACKNOWLEDGED)).await?;
        cut.push(recorder.now());
        house.servers.part(PARTED, true)?;
        let pending = Pending::some(recorder, COMMANDS);
        // The first answers may take until the parted server knows that it is.
        let answers = pending.iter().map(|command| command.is_refused(&parted));
        try_join_all(answers).await?;
        clients.go_on(ACKNOWLEDGED).await?;
        house
            .follows(recorder, &format!("partition-{partition}"))
            .await?;
        for command in &pending {
            command.is_refused(&parted).await?;
        }
        refused += 2 * COMMANDS;
        let joined = Instant::now();
        house.servers.part(PARTED, false)?;
        for command in pending {
            command.resolve(&parted, recorder).await?;
        }
        healed.push(joined.elapsed());
        house.servers.are_current().await?;
    }
    house.follows(recorder, "healed").await?;
    let load = clients.end().await?;
    let calls = load.recorder.history().calls;
    say(&format!(
        "{partitions} partitions, the others' writes paused for {}; the parted side answered {refused} commands with \
         \"not known\", and took them {} after it was joined again; {} calls, {} acknowledged",
        spread(pauses(&calls, &cut)),
        spread(healed),
        calls.len(),
        load.acknowledged.load(Ordering::SeqCst)
    ));
    house.is_whole(&load.recorder, &schedules).await
}

/// A server that is cut off goes on answering about the journal, first as its leader, then with what it has
/// itself: a process took that for health, and stayed with it for as long as the cut lasted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_leaves_a_server_that_is_cut_off_and_is_not_ready_where_it_knows_no_other()
-> TestResult {
    let Some(network) = network() else {
        return Ok(());
    };
    let house = House::start("cut-off", Some(network), &[0, 1, 2]).await?;
    let held = house.servers.of_client("ledgerline").await?;
    let others: Vec<_> = (0..MEMBERS).filter(|member| *member != held).collect();
    let stays = house.process("stays", "api", &[held])?;
    let elsewhere = house.process("elsewhere", "api", &others)?;
    let api = house.client("default", "admin")?;
    let (stays, elsewhere) = (api.at(&stays.base), api.at(&elsewhere.base));
    let load = Load::on(&house.first.base);
    // As the leader it notices last.
    house.servers.lead(held).await?;
    until("all are ready", async || {
        let are_ready = [&api, &stays, &elsewhere].map(readiness);
        let are_ready = try_join_all(are_ready).await?;
        Ok(are_ready
            .iter()
            .all(|(is_ready, _)| *is_ready)
            .then_some(()))
    })
    .await?;
    let cut = Instant::now();
    house.servers.part(held, true)?;
    let one_more = async {
        load.one_more(&api).await?;
        TestResult::Ok(cut.elapsed())
    };
    // Where an election takes longer than usual.
    let mut elsewhere_not_ready = 0;
    let not_ready = async {
        let failing = until("the process says that it is not ready", async || {
            let (is_ready, failing) = readiness(&stays).await?;
            elsewhere_not_ready += usize::from(!readiness(&elsewhere).await?.0);
            Ok((!is_ready).then_some(failing))
        });
        let failing = failing.await?;
        anyhow::ensure!(failing[0]["name"] == "journal", "{failing}");
        Ok(cut.elapsed())
    };
    let (moved, not_ready) = try_join(one_more, not_ready).await?;
    house.follows(&load.recorder, "cut-off").await?;
    anyhow::ensure!(
        !readiness(&stays).await?.0,
        "it is ready on a server that is cut off"
    );
    let (is_ready, failing) = readiness(&elsewhere).await?;
    anyhow::ensure!(is_ready, "it goes on, and is not ready: {failing}");
    say(&format!(
        "a process acknowledges {moved:.1?} after its server was cut off; one that knows no other says after \
         {not_ready:.1?} that it is not ready, one elsewhere {elsewhere_not_ready} times"
    ));
    anyhow::ensure!(not_ready < NOT_READY_WITHIN, "found after {not_ready:?}");
    house.servers.part(held, false)?;
    until("both are ready", async || {
        let are_ready = readiness(&api).await?.0 && readiness(&stays).await?.0;
        Ok(are_ready.then_some(()))
    })
    .await?;
    house.servers.are_current().await?;
    check(&house, &load.recorder).await
}

/// Namespaces, where they can be made.
fn network() -> Option<Network> {
    match Network::make() {
        Ok(network) => Some(network),
        Err(error) => {
            say(&format!(
                "nothing is parted: no network namespaces here: {error:#}"
            ));
            None
        }
    }
}
