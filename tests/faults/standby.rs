//! Fault 8: two projectors and two reactors. One works, the other stands by, and takes over when the
//! first is stopped; when that one wakes up, it does no harm.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use rustix::process::{Pid, Signal};

use crate::load::{Load, check};
use crate::record::{self, Recorder};
use crate::support::http::any_body;
use crate::support::program::{PROGRAM, log_file};
use crate::support::{Api, Dice, LOOK_EVERY, PATIENCE, TestResult, Up, fresh_id, until};

/// A second process on the servers of an `up`, killed with the test.
struct Second {
    child: Child,
    base: String,
}

impl Second {
    fn beside(up: &Up) -> TestResult<Self> {
        let endpoints = &up.endpoints;
        let log = log_file(&up.folder(), "second.log")?;
        let out = log_file(&up.folder(), "second.out")?;
        let child = Command::new(PROGRAM)
            .args([
                "serve",
                "--roles",
                "api,projector,reactor",
                "--listen",
                "127.0.0.1:0",
            ])
            .args([
                "--nats",
                &endpoints.nats,
                "--nats-feed",
                &endpoints.nats_feed,
            ])
            .args([
                "--nats-system",
                &endpoints.nats_system,
                "--database",
                &endpoints.postgres,
            ])
            .args(["--log-format", "json", "--keys"])
            .arg(up.data().join("keys"))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()?;
        let mut second = Self {
            child,
            base: String::new(),
        };
        let started = Instant::now();
        while second.base.is_empty() {
            let said = std::fs::read_to_string(up.folder().path().join("second.out"))?;
            if let Some((_, base)) = said.split_once("serving ")
                && let Some((base, _)) = base.split_once('\n')
            {
                base.clone_into(&mut second.base);
            }
            let log = || std::fs::read_to_string(up.folder().path().join("second.log"));
            anyhow::ensure!(second.child.try_wait()?.is_none(), "it ended: {}", log()?);
            anyhow::ensure!(
                started.elapsed() < PATIENCE,
                "it does not serve: {}",
                log()?
            );
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(second)
    }

    fn signal(&self, signal: Signal) -> TestResult {
        let pid = Pid::from_raw(self.child.id() as i32).context("a process has a number")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The read side and the feed get as far as one more command, asked for at `api`.
async fn moves(api: &Api, recorder: &Recorder) -> TestResult {
    let began = recorder.now();
    let answer = api.post("/v1/assignments", &any_body()).await?.is(201);
    let receipt = answer.receipt()?;
    let key = format!("between at {}", receipt.position);
    let asked = record::write("between", "assignment", &receipt.id, &key);
    recorder.add(asked, began, record::outcome(&answer)?);
    until("the read side and the feed move", async || {
        let positions = api.get("/v1/positions").await?.is(200).json()?;
        let read = positions["read_side"].as_u64() >= Some(receipt.position);
        let feed = positions["feed"]
            .as_str()
            .and_then(|last| last.split('.').next());
        let feed = feed.and_then(|last| last.parse::<u64>().ok()) >= Some(receipt.position);
        Ok((read && feed).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_works_and_a_stopped_one_that_wakes_up_does_nothing_twice()
-> TestResult {
    let up = Up::start("standby")?;
    let second = Second::beside(&up)?;
    let first_api = up.api("default", "admin,member")?;
    let second_api = first_api.at(&second.base);
    let mut dice = Dice::thrown();
    let load = Load::on(&up.endpoints.http);
    let ids: Arc<Vec<String>> = Arc::new((0..8).map(|_| fresh_id()).collect());
    let clients: Vec<_> = (0..2)
        .map(|name| {
            let dice = Dice::of(dice.below(u64::MAX));
            tokio::spawn(Arc::clone(&load).client(first_api.clone(), name, Arc::clone(&ids), dice))
        })
        .collect();
    for _ in 0..2 {
        load.goes_on_at(&second.base);
        up.signal(Signal::STOP)?;
        let moved = moves(&second_api, &load.recorder).await;
        up.signal(Signal::CONT)?;
        moved?;
        load.goes_on_at(&up.endpoints.http);
        second.signal(Signal::STOP)?;
        let moved = moves(&first_api, &load.recorder).await;
        second.signal(Signal::CONT)?;
        moved?;
    }
    load.stop();
    for client in clients {
        client.await??;
    }
    // Both work again, and agree.
    moves(&first_api, &load.recorder).await?;
    moves(&second_api, &load.recorder).await?;
    check(&up, &load.recorder).await
}
