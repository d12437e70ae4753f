//! Fault 3: a power cut. NATS' store and Postgres' cluster lie on a disk of their own; everything is
//! stopped, what has reached that disk is copied, and the program goes on with the copy.
//!
//! The same without `sync_interval: always` must lose what was acknowledged: else the copy holds what
//! was still in the kernel's memory, and the test would see nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ledgerline_check::judge;
use rustix::process::{Pid, Signal};

use crate::clients::Clients;
use crate::load::{Load, check};
use crate::record::stored;
use crate::recovery::Recoveries;
use crate::support::disk::Disk;
use crate::support::process::{all_of, server_of};
use crate::support::program::Folder;
use crate::support::{Dice, TestResult, Up, asked_at_all, say, until};

/// How often the power is cut where it can be; `LEDGERLINE_POWER_CUTS` asks for more, or for none.
const CUTS: usize = 1;

/// Room for a cluster with the segments of its log, and for what a long test writes.
const DISK_MIB: u64 = 1_536;

const CLIENTS: usize = 6;

/// A cut comes within this many calls after the recovery from the last one.
const CALLS_BETWEEN_CUTS_MAX: u64 = 600;

/// How often the control run is tried: the kernel writes by itself now and then, and a cut just behind
/// that finds everything on the disk.
const CONTROLS_MAX: usize = 5;

/// How often the power is to be cut; nothing, and a note, where it cannot be.
fn cuts() -> TestResult<Option<usize>> {
    let asked = asked_at_all("LEDGERLINE_POWER_CUTS");
    if asked == Some(0) {
        say("not run: power cuts, since `LEDGERLINE_POWER_CUTS` is 0");
        return Ok(None);
    }
    match Disk::why_not() {
        Some(why) => {
            say(&format!("not run: power cuts, which {why}"));
            Ok(None)
        }
        None => Ok(Some(asked.unwrap_or(CUTS))),
    }
}

/// Everything of `up` lies on a disk of its own.
fn on_a_disk(name: &str) -> TestResult<(Disk, Up)> {
    let folder = Folder::new(name)?;
    let disk = Disk::mounted(&folder, &folder.data(), DISK_MIB)?;
    let up = Up::on(folder)?;
    Ok((disk, up))
}

/// Cuts the power: from this moment nothing reaches the disk, and what had not reached it is gone.
async fn cut(disk: &Disk, up: Up) -> TestResult<Arc<Folder>> {
    // The program first: no answer leaves it after the moment of the copy. Twice, since whoever was
    // not stopped yet may have started another.
    for _ in 0..2 {
        for pid in all_of(&up.data()) {
            signal(pid, Signal::STOP);
        }
    }
    let copied = disk.copy();
    let left = all_of(&up.data());
    let folder = up.kill()?;
    for pid in left {
        signal(pid, Signal::KILL);
    }
    until("nothing runs on the disk", async || {
        Ok(all_of(&folder.data()).is_empty().then_some(()))
    })
    .await?;
    disk.go_on_with(&copied?)?;
    Ok(folder)
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // One that has ended meanwhile needs no signal.
        rustix::process::kill_process(pid, signal).ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_acknowledged() -> TestResult {
    let Some(cuts) = cuts()? else { return Ok(()) };
    let mut dice = Dice::thrown();
    // In this order, so that the program goes before its disk.
    let (disk, mut up) = on_a_disk("power")?;
    let listen = up.listen().to_owned();
    let load = Load::on(&up.endpoints.http);
    let api = up.api("default", "member")?;
    let clients = Clients::start(&load, &api, CLIENTS, &mut dice);
    let mut recoveries = Recoveries::default();
    for _ in 0..cuts {
        let calls = 1 + dice.below(CALLS_BETWEEN_CUTS_MAX);
        clients.have_done(calls).await?;
        tokio::time::sleep(Duration::from_micros(dice.below(2_000))).await;
        let folder = cut(&disk, up).await?;
        let began = Instant::now();
        up = Up::on_address(folder, &listen)?;
        recoveries.add(&load, &api, began).await?;
    }
    clients.end().await?;
    say(&format!(
        "{cuts} power cuts; {} calls",
        load.recorder.history().calls.len()
    ));
    check(&up, &load.recorder).await?;
    recoveries.tell("a power cut")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncing_a_power_cut_does_lose_so_the_test_is_not_blind() -> TestResult {
    if cuts()?.is_none() {
        return Ok(());
    }
    let mut dice = Dice::thrown();
    for number in 1..=CONTROLS_MAX {
        let lost = lost_without_syncing(&mut dice).await?;
        if lost > 0 {
            say(&format!(
                "without `sync_interval: always` power cut {number} lost {lost} acknowledged commands"
            ));
            return Ok(());
        }
    }
    anyhow::bail!(
        "nothing was lost without syncing: what is copied is not what has reached the disk"
    )
}

/// Cuts the power of a NATS that acknowledges before it syncs: how many acknowledged commands are gone.
async fn lost_without_syncing(dice: &mut Dice) -> TestResult<usize> {
    let (disk, up) = on_a_disk("unsynced")?;
    acknowledge_before_syncing(&up).await?;
    let load = Load::on(&up.endpoints.http);
    let api = up.api("default", "member")?;
    load.one_more(&api).await?;
    let clients = Clients::start(&load, &api, CLIENTS, dice);
    clients.have_done(CALLS_BETWEEN_CUTS_MAX).await?;
    clients.vanish().await;
    let folder = cut(&disk, up).await?;
    let up = Up::on(folder)?;
    let journal = stored(&up).await?;
    let history = load.recorder.history();
    let findings = judge::judge(&history, &journal);
    let lost = findings.iter().filter(|finding| finding.is_loss());
    Ok(lost.count())
}

/// Has NATS started again by the program, with its own default for syncing.
async fn acknowledge_before_syncing(up: &Up) -> TestResult {
    let file = up.data().join("nats/server.conf");
    let configuration = std::fs::read_to_string(&file)?;
    let (before, after) = configuration
        .split_once("sync_interval: always")
        .context("the configuration syncs")?;
    std::fs::write(&file, format!("{before}{after}"))?;
    let old = server_of(&up.data(), "nats-server");
    up.kill_server("nats-server");
    until("another NATS runs", async || {
        let new = server_of(&up.data(), "nats-server");
        Ok((new.is_some() && new != old).then_some(()))
    })
    .await
}
