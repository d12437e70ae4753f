//! `ledgerline serve` as a child process, on the servers of an `up` or on others.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use rustix::process::{Pid, Signal};

use super::program::{Endpoints, Folder, PROGRAM, log_file};
use super::{LOOK_EVERY, PATIENCE, TestResult, Up};

/// A process of the service, killed with the test.
pub(crate) struct Serve {
    child: Child,
    log: std::path::PathBuf,
    pub(crate) base: String,
}

impl Serve {
    /// Starts it with `roles`, with commas between them, of which one is `api`; its log is `name`'s.
    pub(crate) fn beside(up: &Up, name: &str, roles: &str) -> TestResult<Self> {
        let Endpoints {
            nats,
            nats_feed,
            nats_system,
            postgres,
            ..
        } = &up.endpoints;
        let arguments = [
            ["--roles", roles],
            ["--nats", nats],
            ["--nats-feed", nats_feed],
            ["--nats-system", nats_system],
            ["--database", postgres],
        ];
        Self::start(&up.folder(), name, arguments.as_flattened())
    }

    /// Starts it with `arguments` and the keys of `folder`; it has the role `api`, and its log is `name`'s.
    pub(crate) fn start(folder: &Folder, name: &str, arguments: &[&str]) -> TestResult<Self> {
        let out_file = format!("{name}.out");
        let out = log_file(folder, &out_file)?;
        let log_name = format!("{name}.log");
        let child = Command::new(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .args(["--log-format", "json", "--keys"])
            .arg(folder.data().join("keys"))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log_file(folder, &log_name)?)
            .spawn()?;
        let mut serve = Self {
            child,
            log: folder.path().join(log_name),
            base: String::new(),
        };
        let started = Instant::now();
        while serve.base.is_empty() {
            let said = std::fs::read_to_string(folder.path().join(&out_file))?;
            if let Some((_, base)) = said.split_once("serving ")
                && let Some((base, _)) = base.split_once('\n')
            {
                base.clone_into(&mut serve.base);
            }
            let ended = serve.child.try_wait()?;
            anyhow::ensure!(ended.is_none(), "it ended: {}", serve.log()?);
            let is_time = started.elapsed() < PATIENCE;
            anyhow::ensure!(is_time, "it does not serve: {}", serve.log()?);
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(serve)
    }

    /// What it has logged, one JSON object a line.
    pub(crate) fn log(&self) -> TestResult<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    pub(crate) fn signal(&self, signal: Signal) -> TestResult {
        let pid = Pid::from_raw(self.child.id() as i32).context("a process has a number")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
