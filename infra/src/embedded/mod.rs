//! The servers of `ledgerline up`: a nats-server and a Postgres of the program's own, as its
//! children, in one data folder (`folder.rs` has its layout).
//!
//! ```text
//! Options ─▶ Servers::start ─▶ Servers ─▶ endpoints()   where they are, and the passwords
//!                                      └▶ stop()         orderly; dropping it ends them too
//! ```
//! Invariants:
//! - No server outlives the program, however the program ends (`shim.rs`).
//! - One program a data folder (`folder.rs`); what an earlier one left is cleared (`leftover.rs`).
//! - A server that ends by itself, or that a full disk has left unable to write, is started again on
//!   the same port (`supervise.rs`).
//! - Both listen on the loopback interface only, and take nobody without a password.
//!
//! Not here: migrations, streams, the file `endpoints.json`, and anything about servers that
//! somebody else runs.

mod account;
mod child;
mod error;
mod folder;
mod leftover;
pub mod locate;
mod nats;
mod ports;
mod postgres;
mod secrets;
mod shim;
mod supervise;

use std::fmt;
use std::path::{Path, PathBuf};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::folder::DataFolder;
use self::locate::{Program, Search};
use self::nats::Nats;
use self::ports::Ports;
use self::postgres::Postgres;
use self::secrets::{Secret, Secrets};

pub(crate) use self::child::Spawner;
pub(crate) use self::shim::DeathSignal;

pub use self::account::Account;
pub use self::error::Error;
pub use self::shim::{Shim, child_main};

/// How often a start chooses ports: another program that starts at the same time may be given a port
/// that was free when it was looked at.
const PORT_ATTEMPTS_MAX: u32 = 4;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything the servers keep lies in it. It is made if there is none.
    pub data_folder: PathBuf,
    /// NATS' port on the loopback interface; `None` for that of the last run, or any free one.
    pub nats_port: Option<u16>,
    /// Postgres' port on the loopback interface; `None` for that of the last run, or any free one.
    pub postgres_port: Option<u16>,
    /// Where to look for the servers' programs.
    pub search: Search,
    /// How this program is started again to become a server.
    pub shim: Shim,
}

/// Where a NATS server takes one user.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsEndpoint {
    /// `nats://127.0.0.1:<port>`, without user and password.
    pub address: String,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: String,
}

impl NatsEndpoint {
    /// The address with user and password in it, as the `nats` command line takes it.
    #[must_use]
    pub fn url(&self) -> String {
        let bare = self.address.trim_start_matches("nats://");
        format!("nats://{}:{}@{bare}", self.user, self.password)
    }
}

impl fmt::Debug for NatsEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} as {}", self.address, self.user)
    }
}

/// Where the servers are and how they are entered. Holds passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The service, in the account of the journal: may do everything there.
    pub nats: NatsEndpoint,
    /// The service, in the account of the feed: may do everything there.
    pub nats_feed: NatsEndpoint,
    /// For subscribers: may read the stream `FEED` and `replay.>`, and write nothing.
    pub nats_subscriber: NatsEndpoint,
    /// For workers: may send requests to `worker.v1.>` and hear the answers, and nothing else.
    pub nats_worker: NatsEndpoint,
    /// For questions about the server itself (`$SYS.REQ.>`).
    pub nats_system: NatsEndpoint,
    /// `postgres://…`, with user and password, of the program's own database.
    pub postgres: String,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoints")
            .field("nats", &self.nats.address)
            .finish_non_exhaustive()
    }
}

impl Endpoints {
    fn new(ports: Ports, secrets: &Secrets) -> Self {
        let nats = |user: &str, password: &Secret| NatsEndpoint {
            address: format!("nats://127.0.0.1:{}", ports.nats),
            user: user.to_owned(),
            password: password.as_str().to_owned(),
        };
        Self {
            nats: nats(nats::USER_LEDGER, &secrets.nats_ledger),
            nats_feed: nats(nats::USER_FEED, &secrets.nats_feed),
            nats_subscriber: nats(nats::USER_SUBSCRIBER, &secrets.nats_subscriber),
            nats_worker: nats(nats::USER_WORKER, &secrets.nats_worker),
            nats_system: nats(nats::USER_SYSTEM, &secrets.nats_system),
            postgres: format!(
                "postgres://{owner}:{password}@127.0.0.1:{port}/{owner}?sslmode=disable",
                owner = postgres::OWNER,
                password = secrets.postgres.as_str(),
                port = ports.postgres,
            ),
        }
    }
}

/// The running servers. Dropped without [`Servers::stop`], it ends them at once.
#[derive(Debug)]
pub struct Servers {
    endpoints: Endpoints,
    nats_server: Program,
    postgres: Program,
    stop: CancellationToken,
    keepers: JoinSet<()>,
    // Last, so that it is given back when nothing runs in the folder any more.
    folder: DataFolder,
}

/// Puts the journal of a data folder aside, under a name that ends with `suffix`, and removes the read
/// models, which are folded from a journal again. The data folder must not be in use.
///
/// # Errors
/// When a program runs on it, or it cannot be written.
pub fn put_aside(data_folder: &Path, suffix: &str) -> Result<(), Error> {
    DataFolder::open(data_folder)?.put_aside(suffix)
}

impl Servers {
    /// Starts both servers, heals what an earlier run left, and returns when both are ready.
    ///
    /// # Errors
    /// One [`Error`] for whatever is in the way; nothing runs then.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            match Self::start_once(options.clone()).await {
                Err(error) if error.is_lost_port() && attempt < PORT_ATTEMPTS_MAX => {
                    tracing::info!(%error, "a free port was taken in between, choosing others");
                    attempt += 1;
                }
                started => return started,
            }
        }
    }

    async fn start_once(options: Options) -> Result<Self, Error> {
        let folder = DataFolder::open(&options.data_folder)?;
        let account = Account::for_postgres(&folder.postgres().join("data"));
        let nats_program = locate::nats_server(&options.search)?;
        let postgres_program = locate::postgres_for(&options.search, folder.path())?;

        tokio::try_join!(Nats::clear(&folder), Postgres::clear(&folder))?;
        let secrets = Secrets::of(&folder)?;
        let ports = Ports::choose(&folder, options.nats_port, options.postgres_port)?;
        let spawner = Spawner::start(options.shim).map_err(|source| Error::Spawn {
            server: "the thread that starts servers",
            source,
        })?;

        let nats = Nats::prepare(&folder, &secrets, nats_program.path.clone(), ports.nats)?;
        let start_postgres = async {
            let postgres = Postgres::prepare(
                &folder,
                &secrets,
                &postgres_program,
                account,
                ports.postgres,
                &spawner,
            )
            .await?;
            let running = supervise::start(&postgres, &spawner).await?;
            postgres.make_database(&secrets.postgres).await?;
            Ok((postgres, running))
        };
        let start_nats = supervise::start(&nats, &spawner);
        let (running_nats, (postgres, running_postgres)) =
            tokio::try_join!(start_nats, start_postgres)?;

        let stop = CancellationToken::new();
        let mut keepers = JoinSet::new();
        keepers.spawn(supervise::keep(
            nats,
            running_nats,
            spawner.clone(),
            stop.clone(),
        ));
        keepers.spawn(supervise::keep(
            postgres,
            running_postgres,
            spawner,
            stop.clone(),
        ));
        Ok(Self {
            endpoints: Endpoints::new(ports, &secrets),
            nats_server: nats_program,
            postgres: postgres_program,
            stop,
            keepers,
            folder,
        })
    }

    /// Where they are. Stays the same for as long as they run, restarts included.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Where NATS keeps its streams.
    #[must_use]
    pub fn nats_folder(&self) -> PathBuf {
        self.folder.nats()
    }

    /// Where Postgres keeps its cluster.
    #[must_use]
    pub fn postgres_folder(&self) -> PathBuf {
        self.folder.postgres()
    }

    /// The nats-server that was found and runs.
    #[must_use]
    pub fn nats_server(&self) -> &Program {
        &self.nats_server
    }

    /// The Postgres that was found and runs.
    #[must_use]
    pub fn postgres(&self) -> &Program {
        &self.postgres
    }

    /// Stops both in an orderly way, by force if they do not go, and gives the data folder back.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(kept) = self.keepers.join_next().await {
            if let Err(error) = kept {
                tracing::error!(%error, "a server's keeper failed");
            }
        }
    }
}
