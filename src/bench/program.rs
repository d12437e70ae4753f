//! The program under test: a child process on servers of its own, known by what it writes into its
//! data folder and by its HTTP API.
//!
//! The child ends with this process at the latest, and its servers with it. Its folder is removed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::http::Target;
use super::processes::Cpu;

/// How long the program may take to serve: two servers are set up first.
const START_MAX: Duration = Duration::from_secs(120);

/// How long it may take until nothing of the killed program's servers is left.
const END_MAX: Duration = Duration::from_secs(20);

/// How often something is looked at that tells nobody when it changes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long the read side may take to come to the end of the journal.
const SETTLE_MAX: Duration = Duration::from_secs(600);

/// How much of its log is shown when something went wrong.
const LAST_WORDS_BYTES: usize = 2_000;

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    endpoints: Endpoints,
    own: Option<Own>,
}

/// One that was started here.
#[derive(Debug)]
struct Own {
    child: Child,
    folder: PathBuf,
}

/// What `endpoints.json` says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Endpoints {
    pub(super) http: String,
    /// In the account of the journal, with user and password.
    pub(super) nats: String,
    pub(super) postgres: String,
    token_file: PathBuf,
}

/// What `/v1/positions` says.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Positions {
    pub(super) journal: u64,
    pub(super) read_side: u64,
    /// `<position>.<index>`
    feed: Option<String>,
    pub(super) models: Vec<Model>,
}

/// One read model of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) status: String,
}

impl Program {
    /// Starts the program in a new folder below `folder`.
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join(format!("ledgerline-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("make `{}`", folder.display()))?;
        let folder = folder.canonicalize()?;
        let log = File::create(folder.join("program.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start the program")?;
        let mut own = Own { child, folder };
        let endpoints = own.serving().await?;
        Ok(Self {
            endpoints,
            own: Some(own),
        })
    }

    /// A program that somebody else runs.
    pub(super) fn attach(endpoints: &Path) -> anyhow::Result<Self> {
        let endpoints = read_endpoints(endpoints)?;
        let endpoints = endpoints.context("no program runs there: there is no `endpoints.json`")?;
        Ok(Self {
            endpoints,
            own: None,
        })
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Where it is asked, as its first administrator.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let token = fs::read_to_string(&self.endpoints.token_file).context("read the token")?;
        Target::new(&self.endpoints.http, token.trim())
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        let own = self.own.as_ref();
        let pid = own.and_then(|own| own.child.id());
        pid.context("memory is that of a program started here, not of a running one")
    }

    /// The time that it, its servers and this process had on the processors; none of one that somebody else runs.
    pub(super) fn cpu(&self) -> Option<Cpu> {
        self.pid().and_then(Cpu::of).ok()
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        self.own.as_ref().map(Own::last_words).unwrap_or_default()
    }

    /// Ends it, if it was started here, and removes its folder.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Some(mut own) = self.own else {
            return Ok(());
        };
        // There is nothing in there to be saved, and its servers end with it.
        own.child.kill().await?;
        let deadline = Instant::now() + END_MAX;
        while let Err(error) = fs::remove_dir_all(&own.folder) {
            if Instant::now() > deadline {
                return Err(error).with_context(|| format!("remove `{}`", own.folder.display()));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Own {
    /// Waits until it serves.
    async fn serving(&mut self) -> anyhow::Result<Endpoints> {
        let deadline = Instant::now() + START_MAX;
        loop {
            if let Some(ended) = self.child.try_wait()? {
                bail!("the program ended with {ended}:\n{}", self.last_words());
            }
            if let Some(endpoints) = read_endpoints(&self.folder.join("data/endpoints.json"))? {
                let target = Target::new(&endpoints.http, "")?;
                let ready = target.once(target.get("/health/ready")).await;
                if ready.is_ok_and(|answer| answer.status.is_success()) {
                    return Ok(endpoints);
                }
            }
            if Instant::now() > deadline {
                bail!(
                    "the program does not serve after {START_MAX:?}:\n{}",
                    self.last_words()
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read(self.folder.join("program.log")).unwrap_or_default();
        let start = log.len().saturating_sub(LAST_WORDS_BYTES);
        String::from_utf8_lossy(&log[start..]).into_owned()
    }
}

impl Positions {
    pub(super) async fn of(target: &Target) -> anyhow::Result<Self> {
        target.json("/v1/positions").await
    }

    /// Waits until everything that is derived from the journal has come to its end.
    pub(super) async fn settled(target: &Target) -> anyhow::Result<Self> {
        Self::when(target, |positions| {
            positions.read_side >= positions.journal && positions.feed() >= positions.journal
        })
        .await
    }

    /// The position of the last event in the feed.
    pub(super) fn feed(&self) -> u64 {
        let feed = self.feed.as_ref();
        let position = feed.and_then(|feed| feed.split('.').next()?.parse().ok());
        position.unwrap_or(0)
    }

    /// Waits until `reached` holds.
    pub(super) async fn when(
        target: &Target,
        reached: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<Self> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let positions = Self::of(target).await?;
            if reached(&positions) {
                return Ok(positions);
            }
            if Instant::now() > deadline {
                bail!("the program did not come so far in {SETTLE_MAX:?}: {positions:?}");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    pub(super) fn model(&self, name: &str) -> anyhow::Result<&Model> {
        let model = self.models.iter().find(|model| model.name == name);
        model.with_context(|| format!("there is no model `{name}`"))
    }
}

/// Reads `endpoints.json`; nothing where there is none yet. It is moved into its place whole.
fn read_endpoints(path: &Path) -> anyhow::Result<Option<Endpoints>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read `{}`", path.display())),
    };
    let read = serde_json::from_slice(&text);
    let mut endpoints: Endpoints = read.with_context(|| format!("read `{}`", path.display()))?;
    if let Some(folder) = path.parent() {
        endpoints.token_file = folder.join(&endpoints.token_file);
    }
    Ok(Some(endpoints))
}
