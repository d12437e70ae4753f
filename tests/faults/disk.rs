//! Fault 5: the disk is full, first under NATS, then under Postgres.

use std::time::Instant;

use reqwest::Method;

use crate::clients::Clients;
use crate::load::{Load, check};
use crate::recovery::Recoveries;
use crate::support::disk::Disk;
use crate::support::http::Answer;
use crate::support::program::Folder;
use crate::support::{Api, Dice, TestResult, Up, asked_at_all, say, until};

/// How often each disk is filled where it can be; `LEDGERLINE_DISK_FULLS` asks for more, or for none.
const FULLS: usize = 1;

/// Room for what a long test writes, and for a cluster with the segments of its log.
const DISK_MIB: u64 = 1_536;

const CLIENTS: usize = 4;

/// A disk is filled within this many calls after the last recovery.
const CALLS_BETWEEN_MAX: u64 = 250;

/// What a full disk has left at most: a few more commits, or half of one.
const BYTES_LEFT_MAX: u64 = 512 * 1024;

/// What the system says in a server's log.
const NO_SPACE: &str = "no space left on device";

/// Where a disk fills.
struct Place {
    /// Its folder in the data folder.
    folder: &'static str,
    /// Its check in `/health`.
    check: &'static str,
    /// What that says.
    health: &'static str,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_nats_nothing_is_acknowledged_that_is_not_stored() -> TestResult {
    let reasons = fills(&Place {
        folder: "nats",
        check: "journal_disk",
        health: "failed",
    })
    .await?;
    let Some(reasons) = reasons else {
        return Ok(());
    };
    anyhow::ensure!(reasons > 0, "no call was told that it cannot be answered");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_postgres_the_read_side_falls_behind_and_catches_up() -> TestResult {
    fills(&Place {
        folder: "postgres",
        check: "read_side_disk",
        health: "degraded",
    })
    .await
    .map(drop)
}

/// How often calls were told a reason why they cannot be answered; nothing where no disk can be filled.
async fn fills(place: &Place) -> TestResult<Option<usize>> {
    let asked = asked_at_all("LEDGERLINE_DISK_FULLS");
    if asked == Some(0) {
        say("not run: full disks, since `LEDGERLINE_DISK_FULLS` is 0");
        return Ok(None);
    }
    if let Some(why) = Disk::why_not() {
        say(&format!("not run: full disks, which {why}"));
        return Ok(None);
    }
    let fulls = asked.unwrap_or(FULLS);
    let mut dice = Dice::thrown();
    let folder = Folder::new("disk")?;
    let at = folder.data().join(place.folder);
    // In this order, so that the program goes before its disk.
    let disk = Disk::mounted(&folder, &at, DISK_MIB)?;
    let up = Up::on(folder)?;
    let load = Load::on(&up.endpoints.http);
    let api = up.api("default", "member")?;
    let clients = Clients::start(&load, &api, CLIENTS, &mut dice);
    let mut recoveries = Recoveries::default();
    for _ in 0..fulls {
        clients.have_done(1 + dice.below(CALLS_BETWEEN_MAX)).await?;
        let before = times_full(&up, place)?;
        disk.fill(dice.below(BYTES_LEFT_MAX))?;
        until("the server has met the end of its disk", async || {
            clients.all_work()?;
            Ok((times_full(&up, place)? > before).then_some(()))
        })
        .await?;
        until("health names the cause", async || {
            let (status, detail) = health(&api, place.check).await?;
            Ok((status == place.health && detail.contains("disk is full")).then_some(()))
        })
        .await?;
        disk.make_room()?;
        recoveries.add(&load, &api, Instant::now()).await?;
        until_well(&api).await?;
    }
    clients.end().await?;
    let reasons = load.reasons.lock().map(|reasons| reasons.clone());
    let reasons = reasons.map_err(|_| anyhow::anyhow!("a client failed"))?;
    say(&format!(
        "the disk under {} was full {fulls} times; {} calls; reasons given: {reasons:?}",
        place.folder,
        load.recorder.history().calls.len(),
    ));
    check(&up, &load.recorder).await?;
    recoveries.tell(&format!("there is room under {} again", place.folder))?;
    Ok(Some(reasons.values().sum()))
}

/// How often the log of the server says that there is no space.
fn times_full(up: &Up, place: &Place) -> TestResult<usize> {
    let log = up.data().join(format!("logs/{}.log", place.folder));
    let log = std::fs::read(log)?.to_ascii_lowercase();
    Ok(String::from_utf8_lossy(&log).matches(NO_SPACE).count())
}

/// One check of the report: its status, and what it says.
async fn health(api: &Api, check: &str) -> TestResult<(String, String)> {
    let report = Answer::read(api.bare(Method::GET, "/health").send().await?).await?;
    let report = report.json()?;
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let found = checks.iter().find(|one| one["name"] == check);
    let text = |field: &str| {
        let text = found.and_then(|found| found[field].as_str());
        text.unwrap_or_default().to_owned()
    };
    Ok((text("status"), text("detail")))
}

/// Waits until the whole report is well.
async fn until_well(api: &Api) -> TestResult {
    until("everything is well", async || {
        let report = Answer::read(api.bare(Method::GET, "/health").send().await?).await?;
        Ok((report.json()?["status"] == "ok").then_some(()))
    })
    .await
}
