//! What the tests of the embedded servers share: folders, clients, and looking at processes.
#![expect(
    dead_code,
    reason = "each test file uses a part of this, and is compiled by itself"
)]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use infra::embedded::locate::Search;
use infra::embedded::{Endpoints, NatsEndpoint, Options, Shim};
use rustix::process::{Pid, Signal};
use sqlx::{Connection, PgConnection};
use tokio::process::{Child, Command};

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A condition that does not come true in this time never will, not even on a machine that is
/// busy building: the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(180);

/// The "test" that becomes a server.
const SHIM: &str = "a_process_becomes_a_server_when_told_to";

/// The "test" that holds servers.
const HOLDER: &str = "a_program_holds_servers_until_it_is_killed";

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A temporary folder, removed when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("ledgerline-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // For root below a closed folder the cluster lies elsewhere, and `postgres` is a link.
        if let Ok(elsewhere) = fs::read_link(self.0.join("postgres")) {
            fs::remove_dir_all(elsewhere).ok();
        }
        // A failed test may still have servers in it; what is left is in the temporary folder.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What stands behind `--` on this test program's command line, if anything does.
pub(crate) fn own_arguments() -> Option<impl Iterator<Item = OsString>> {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != "--");
    arguments.next().map(|_| arguments)
}

fn as_test(name: &str) -> Vec<OsString> {
    [name, "--exact", "--nocapture", "--"]
        .map(OsString::from)
        .into()
}

pub(crate) fn options(folder: &Path) -> io::Result<Options> {
    Ok(Options {
        data_folder: folder.to_owned(),
        nats_port: None,
        postgres_port: None,
        search: Search::of_environment(),
        shim: Shim {
            arguments: as_test(SHIM),
            ..Shim::of_this_program(SHIM)
        },
    })
}

/// Another process that holds servers in `folder`, once they are ready.
pub(crate) async fn holder(folder: &Path) -> TestResult<Child> {
    let mut holder = Command::new(std::env::current_exe()?)
        .args(as_test(HOLDER))
        .arg(folder)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let held = folder.join("held");
    until("the servers are held", || {
        held.exists() || holder.try_wait().is_ok_and(|ended| ended.is_some())
    })
    .await;
    if !held.exists() {
        return Err("the program that was to hold servers has ended".into());
    }
    Ok(holder)
}

/// The servers of `folder` that run. One that has ended has no arguments any more.
pub(crate) fn processes_of(folder: &Path) -> Vec<i32> {
    let cluster = folder.join("postgres/data");
    let places = [folder.to_owned(), cluster.canonicalize().unwrap_or(cluster)];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let arguments = fs::read(entry.path().join("cmdline")).ok()?;
            let is_server = ["postgres", "nats-server"].contains(&name.trim());
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            let named = places
                .iter()
                .any(|place| arguments.contains(&*place.to_string_lossy()));
            (is_server && named).then_some(pid)
        })
        .collect()
}

pub(crate) fn signal(process: i32, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(process).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Waits for something, and fails the test rather than hang.
pub(crate) async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("what is waited for comes")
}

pub(crate) async fn nats_as(user: &NatsEndpoint) -> TestResult<async_nats::Client> {
    let options = async_nats::ConnectOptions::with_user_and_password(
        user.user.clone(),
        user.password.clone(),
    );
    Ok(options.connect(&user.address).await?)
}

pub(crate) async fn postgres_as_owner(endpoints: &Endpoints) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&endpoints.postgres).await
}
