//! The program as a child process: `up` in a folder of its own, and the short-lived subcommands.
//!
//! A server that all tests of a program share ends with the test program: a small shell waits for
//! the end of its input, which comes whichever way the test program ends.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use rustix::process::{Pid, Signal};
use serde::Deserialize;

use super::http::Api;
use super::process::{server_of, servers_of};
use super::{LOOK_EVERY, PATIENCE, TestResult};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ledgerline");

/// Ends the program `$0` and removes the folders behind it, when the test program has ended.
const GUARD: &str = r#"cat >/dev/null
kill -TERM "$0" 2>/dev/null
tries=0
while kill -0 "$0" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$0" 2>/dev/null
rm -rf "$(readlink -f "$1/data/postgres")" "$1""#;

/// What is logged: also a line for each commit that is projected.
const LOGGED: &str = "info,projections=debug,sqlx=warn";

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A temporary folder, removed with the last handle.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> TestResult<Arc<Self>> {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("ledgerline-e2e-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("make `{}`", path.display()))?;
        Ok(Arc::new(Self(path)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The data folder in it.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // For root below a closed folder the cluster lies elsewhere, and `postgres` is a link.
        if let Ok(elsewhere) = fs::read_link(self.data().join("postgres")) {
            fs::remove_dir_all(elsewhere).ok();
        }
        // A failed test may still have servers in it; what is left is in the temporary folder.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The lines about the request `id` in the logs of all programs that these tests have started.
pub(crate) fn logged(id: &str) -> String {
    let of_this_process = format!("-{}-", std::process::id());
    let files = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = files(&std::env::temp_dir()).filter(|folder| {
        folder
            .file_name()
            .to_string_lossy()
            .contains(&of_this_process)
    });
    let logs = folders
        .flat_map(|folder| files(&folder.path()))
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let mut lines = String::new();
    for log in logs.filter_map(|path| fs::read_to_string(path).ok()) {
        for line in log.lines().filter(|line| line.contains(id)) {
            lines.push('\n');
            lines.push_str(line);
        }
    }
    lines
}

/// `endpoints.json`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) http: String,
    pub(crate) nats: String,
    pub(crate) nats_feed: String,
    pub(crate) nats_subscriber: String,
    pub(crate) nats_worker: String,
    pub(crate) nats_system: String,
    pub(crate) postgres: String,
    pub(crate) token_file: PathBuf,
}

impl Endpoints {
    pub(crate) fn read(data: &Path) -> TestResult<Self> {
        let path = data.join("endpoints.json");
        let text = fs::read(&path).with_context(|| format!("read `{}`", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// A running `ledgerline up`. Dropped, it is killed, and its folder removed with the last handle.
pub(crate) struct Up {
    child: Child,
    folder: Arc<Folder>,
    pub(crate) endpoints: Endpoints,
    tokens: Mutex<HashMap<String, String>>,
}

impl Up {
    /// One on a new folder, for a test of its own.
    pub(crate) fn start(name: &str) -> TestResult<Self> {
        Self::on(Folder::new(name)?)
    }

    /// One on a folder that may have been used before.
    pub(crate) fn on(folder: Arc<Folder>) -> TestResult<Self> {
        Self::on_address(folder, "127.0.0.1:0")
    }

    /// One that serves HTTP on `listen`.
    pub(crate) fn on_address(folder: Arc<Folder>, listen: &str) -> TestResult<Self> {
        Self::of(folder, listen, &[])
    }

    /// One with more arguments.
    pub(crate) fn with_arguments(folder: Arc<Folder>, arguments: &[&str]) -> TestResult<Self> {
        Self::of(folder, "127.0.0.1:0", arguments)
    }

    fn of(folder: Arc<Folder>, listen: &str, arguments: &[&str]) -> TestResult<Self> {
        let mut command = up_command(OsStr::new(PROGRAM), &folder, listen)?;
        command.args(arguments);
        // What an earlier run left would be taken for what this one says.
        fs::remove_file(folder.data().join("endpoints.json")).ok();
        let child = command.spawn().context("start the program")?;
        let (child, endpoints) = until_it_serves(child, &folder)?;
        Ok(Self {
            child,
            folder,
            endpoints,
            tokens: Mutex::default(),
        })
    }

    /// The one that all tests of this test program share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Up> = LazyLock::new(|| {
            let started = Instant::now();
            let up = Up::start("shared").expect("the program starts");
            guard(&up).expect("a shell starts");
            // Whoever writes thousands of commits at once is not to be before it.
            while !up.log().expect("it logs").contains("read side begins") {
                assert!(started.elapsed() < PATIENCE, "the read side does not begin");
                std::thread::sleep(LOOK_EVERY);
            }
            up
        });
        &SHARED
    }

    /// Starts one with `FAILPOINTS` set, and waits until it has died at one of them.
    pub(crate) fn dies_at(folder: &Folder, listen: &str, points: &str) -> TestResult {
        let mut command = up_command(OsStr::new(PROGRAM), folder, listen)?;
        let mut child = command.env("FAILPOINTS", points).spawn()?;
        let ended = wait(&mut child)?;
        if ended.is_none() {
            child.kill()?;
            child.wait()?;
        }
        let signal = ended.and_then(|status| status.signal());
        let aborted = Some(Signal::ABORT.as_raw());
        anyhow::ensure!(
            signal == aborted,
            "it did not die at `{points}`: {ended:?}; its log ends:\n{}",
            last_words(folder)
        );
        Ok(())
    }

    pub(crate) fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.data()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The address that HTTP is served on, for another start on the same one.
    pub(crate) fn listen(&self) -> &str {
        self.endpoints.http.trim_start_matches("http://")
    }

    /// What it has logged, one JSON object a line.
    pub(crate) fn log(&self) -> TestResult<String> {
        Ok(fs::read_to_string(self.folder.path().join("up.log"))?)
    }

    /// A client with the roles, with commas between them, in the tenant.
    pub(crate) fn api(&self, tenant: &str, roles: &str) -> TestResult<Api> {
        self.api_as("tester", tenant, roles)
    }

    /// A client as somebody.
    pub(crate) fn api_as(&self, subject: &str, tenant: &str, roles: &str) -> TestResult<Api> {
        Api::new(&self.endpoints.http, &self.token(subject, tenant, roles)?)
    }

    pub(crate) fn token(&self, subject: &str, tenant: &str, roles: &str) -> TestResult<String> {
        let wanted = format!("{subject} {tenant} {roles}");
        let mut tokens = self
            .tokens
            .lock()
            .map_err(|_| anyhow::anyhow!("a test failed"))?;
        if let Some(token) = tokens.get(&wanted) {
            return Ok(token.clone());
        }
        let token = self.run(&[
            "token",
            "--subject",
            subject,
            "--tenant",
            tenant,
            "--role",
            roles,
        ])?;
        anyhow::ensure!(token.status.success(), "no token: {}", text(&token.stderr));
        let token = text(&token.stdout).trim().to_owned();
        tokens.insert(wanted, token.clone());
        Ok(token)
    }

    /// Runs a subcommand on its data folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> TestResult<Output> {
        run(&self.data(), arguments)
    }

    /// Fails unless the program itself finds that every read model is the fold of the journal.
    pub(crate) fn verify(&self) -> TestResult {
        let verified = self.run(&["verify"])?;
        let said = || format!("{}{}", text(&verified.stdout), text(&verified.stderr));
        anyhow::ensure!(verified.status.code() == Some(0), "verify: {}", said());
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> TestResult {
        let pid = Pid::from_raw(self.pid()).context("a process has a number")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Kills one of its servers; the program starts it again.
    pub(crate) fn kill_server(&self, name: &str) {
        // It may be on its way up again after the last kill.
        if let Some(pid) = server_of(&self.data(), name).and_then(Pid::from_raw) {
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
    }

    /// Kills it as a crash would, and gives its folder back.
    pub(crate) fn kill(mut self) -> TestResult<Arc<Folder>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.folder())
    }

    /// Asks it to end, and gives its exit code.
    pub(crate) fn end(mut self, signal: Signal) -> TestResult<Option<i32>> {
        self.signal(signal)?;
        Ok(wait(&mut self.child)?
            .context("the program does not end")?
            .code())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
            // Its servers end with it; the folder can only be removed when they have.
            let started = Instant::now();
            while !servers_of(&self.data()).is_empty() && started.elapsed() < PATIENCE {
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
}

/// How `up` is started in a folder.
pub(crate) fn up_command(program: &OsStr, folder: &Folder, listen: &str) -> TestResult<Command> {
    let log = log_file(folder, "up.log")?;
    let mut command = Command::new(program);
    command
        .arg("--data-dir")
        .arg(folder.data())
        .args([
            "up",
            "--listen",
            listen,
            "--log-format",
            "json",
            "--log",
            LOGGED,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Ok(command)
}

/// The end of what a program on `folder` has logged.
fn last_words(folder: &Folder) -> String {
    const LINES: usize = 40;
    let log = fs::read_to_string(folder.path().join("up.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

pub(crate) fn log_file(folder: &Folder, name: &str) -> TestResult<File> {
    let path = folder.path().join(name);
    Ok(OpenOptions::new().create(true).append(true).open(path)?)
}

/// Waits until `up` has said where it serves.
pub(crate) fn until_it_serves(mut child: Child, folder: &Folder) -> TestResult<(Child, Endpoints)> {
    let started = Instant::now();
    loop {
        if let Ok(endpoints) = Endpoints::read(&folder.data()) {
            return Ok((child, endpoints));
        }
        let ended = child.try_wait()?;
        if ended.is_some() || started.elapsed() > PATIENCE {
            child.kill().ok();
            child.wait()?;
            let log = fs::read_to_string(folder.path().join("up.log")).unwrap_or_default();
            let tail = log.len().saturating_sub(4_000);
            anyhow::bail!(
                "the program does not serve ({ended:?}): {}",
                &log[log.ceil_char_boundary(tail)..]
            );
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Runs a subcommand to its end.
pub(crate) fn run(data: &Path, arguments: &[&str]) -> TestResult<Output> {
    let mut command = Command::new(PROGRAM);
    command
        .arg("--data-dir")
        .arg(data)
        .args(arguments)
        .stdin(Stdio::null());
    Ok(command.output()?)
}

/// The exit status, once it has ended; nothing when it does not.
pub(crate) fn wait(child: &mut Child) -> TestResult<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(None)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn guard(up: &Up) -> TestResult {
    // Held until the process ends: its end is what the shell waits for.
    static GUARD_INPUT: OnceLock<Child> = OnceLock::new();
    let shell = Command::new("sh")
        .args(["-c", GUARD])
        .arg(up.pid().to_string())
        .arg(up.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    GUARD_INPUT
        .set(shell)
        .map_err(|_| anyhow::anyhow!("there is one shared program"))
}
