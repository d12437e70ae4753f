//! SIGTERM: a worker of its own process, which is this test program once more.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use ledgerline_worker::Worker;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::program::wait;
use crate::support::{TestResult, Up, fresh_tenant};
use crate::{enqueue, job_in, ways};

/// Where the worker of the other process goes; it is none without it.
const WAY: &str = "LEDGERLINE_TEST_WAY";
const TOKEN: &str = "LEDGERLINE_TEST_TOKEN";

/// How long what runs has at a stop.
const DRAIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_process_becomes_a_worker_when_told_to() -> TestResult {
    let (Ok(way), Ok(token)) = (std::env::var(WAY), std::env::var(TOKEN)) else {
        return Ok(());
    };
    let worker = Worker::connect(&way, &token)
        .await?
        .queue("mail")
        .drain(DRAIN);
    let worker = worker.handle("short", async |_job| {
        tokio::time::sleep(DRAIN / 4).await;
        Ok("done")
    });
    let worker = worker.handle("endless", async |_job| {
        std::future::pending::<()>().await;
        Ok(())
    });
    Ok(worker.run().await?)
}

fn start(way: &str, token: &str) -> TestResult<Child> {
    let child = Command::new(std::env::current_exe()?)
        .args(["stop::a_process_becomes_a_worker_when_told_to", "--exact"])
        .env(WAY, way)
        .env(TOKEN, token)
        .stdout(Stdio::null())
        .spawn()?;
    Ok(child)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_told_to_stop_ends_what_it_can_and_gives_back_the_rest() -> TestResult {
    let up = Up::shared();
    for way in ways(up) {
        let tenant = fresh_tenant();
        let api = up.api(&tenant, "member")?;
        let mut child = start(&way, &up.token("rusty", &tenant, "member")?)?;
        let endless = enqueue(&api, "endless", &json!({})).await?;
        job_in(&api, &endless, "running").await?;
        let short = enqueue(&api, "short", &json!({})).await?;
        job_in(&api, &short, "running").await?;
        let pid = Pid::from_raw(child.id() as i32).context("a process has a number")?;
        kill_process(pid, Signal::TERM)?;
        let ended = wait(&mut child)?.context("the worker does not end")?;
        assert_eq!(ended.code(), Some(0), "{way}");
        assert_eq!(
            job_in(&api, &short, "completed").await?["result"],
            "done",
            "{way}"
        );
        // Given back and not failed: nothing is counted.
        assert_eq!(
            job_in(&api, &endless, "waiting").await?["failures"],
            0,
            "{way}"
        );
    }
    Ok(())
}
