//! Starting one server: through the shim, in a process group of its own, with its output in a
//! log file, and from a thread that lives as long as the servers may.
//!
//! The kernel sends the signal the shim asks for when the *thread* that started the process
//! ends, not the program. Threads of the async runtime come and go, so one thread of our own
//! starts every server, and ends, by its closed queue, when the last [`Spawner`] is dropped.
//! That also ends the servers when somebody forgets to stop them.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::shim::{DeathSignal, Shim};
use super::{Account, Error};

/// What of a log is shown beside an error.
const TAIL_LINES: usize = 12;

/// What of a log is read for that at most.
const TAIL_BYTES: u64 = 8 << 10;

/// What there is to know to start a server, once or again.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// As it is called in messages.
    pub(crate) server: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Variables of its own beside those of every server.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) death_signal: DeathSignal,
}

/// How long a child may take from its start to asking the kernel for the signal of its parent's end:
/// a few system calls, on a very busy machine.
const SIGNAL_ASKED_WITHIN: Duration = Duration::from_millis(500);

/// A handle on the thread that starts servers.
#[derive(Debug, Clone)]
pub(crate) struct Spawner {
    shim: Shim,
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    /// Starts the thread. Call it within the runtime that will wait for the servers.
    pub(crate) fn start(shim: Shim) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel::<Request>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("embedded-spawn".to_owned())
            .spawn(move || {
                let _runtime = runtime.enter();
                for mut request in queue {
                    // Nobody waits any more: the child is dropped, and ends with this thread.
                    request.answer.send(request.command.spawn()).ok();
                }
                // A child that was started a moment ago has not asked for its signal yet, and would
                // never get one from a thread that ends before it does.
                std::thread::sleep(SIGNAL_ASKED_WITHIN);
            })?;
        Ok(Self { shim, requests })
    }

    /// Starts a server. It is not ready yet, and may end at once.
    pub(crate) async fn spawn(&self, launch: &Launch) -> Result<Running, Error> {
        let failed = |source| Error::Spawn {
            server: launch.server,
            source,
        };
        let log = open_log(launch).map_err(Error::folder("opening", &launch.log))?;
        let log_start = log.metadata().map_or(0, |metadata| metadata.len());
        let errors = log.try_clone().map_err(failed)?;
        let mut command = Command::new(&self.shim.program);
        command
            .args(self.shim.before(
                launch.program.as_os_str(),
                launch.death_signal,
                launch.account.as_ref(),
                None,
            ))
            .args(&launch.arguments)
            .current_dir(&launch.folder)
            // What the user's shell has set for their own servers is not for ours.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .envs(launch.environment.iter().copied())
            // Ctrl-C reaches every process of the terminal's group; the servers have to outlive
            // the program's own orderly end.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let process = self.spawn_command(command).await.map_err(failed)?;
        Ok(Running {
            server: launch.server,
            process,
            log: launch.log.clone(),
            log_start,
        })
    }

    /// Starts `command`, which is to be one of the shim's: its parent is the thread, so that it ends
    /// with that at the latest.
    pub(crate) async fn spawn_command(&self, command: Command) -> io::Result<Child> {
        let (answer, answered) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts servers is gone");
        self.requests
            .send(Request { command, answer })
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn open_log(launch: &Launch) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&launch.log)
}

/// A started server.
#[derive(Debug)]
pub(crate) struct Running {
    server: &'static str,
    process: Child,
    log: PathBuf,
    /// Where in the log its own lines begin.
    log_start: u64,
}

impl Running {
    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Whether it has ended already.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Sends it a signal, if it still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It may have ended this moment, which is what a signal is for.
            rustix::process::kill_process(pid, signal).ok();
        }
    }

    /// Asks it to end with each signal in turn, and waits a while after each. The last one should
    /// be the one that cannot be refused.
    pub(crate) async fn stop(&mut self, signals: &[(Signal, Duration)]) {
        for (signal, patience) in signals {
            self.signal(*signal);
            match tokio::time::timeout(*patience, self.process.wait()).await {
                Ok(Ok(status)) => {
                    tracing::debug!(server = self.server, %status, "stopped");
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(server = self.server, %error, "waiting for its end failed");
                    return;
                }
                Err(_) => {
                    tracing::warn!(server = self.server, ?signal, "did not end when asked to");
                }
            }
        }
    }

    /// The error for a server that ended too early.
    pub(crate) fn ended_early(&self, status: ExitStatus) -> Error {
        Error::Ended {
            server: self.server,
            status: status.to_string(),
            log: self.log.clone(),
            tail: self.tail(),
        }
    }

    /// The error for a server that takes too long.
    pub(crate) fn not_ready(&self, waited: Duration) -> Error {
        Error::NotReady {
            server: self.server,
            waited_s: waited.as_secs(),
            log: self.log.clone(),
            tail: self.tail(),
        }
    }

    /// The last lines it wrote, for a person.
    pub(crate) fn tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.log)?;
            let end = fs::metadata(&self.log)?.len();
            let start = self.log_start.max(end.saturating_sub(TAIL_BYTES));
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"));
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}
