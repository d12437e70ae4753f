//! The composition root: the only place that sees every crate and puts the parts together.
//!
//! [`up`] starts the embedded servers and then does what [`serve`] does on servers of one's own:
//! connect, check, migrate (only `up`), start the roles, serve HTTP.
//!
//! Order of the end: no new requests, answers without an end are ended, the roles stop, and the
//! servers go last.

pub mod audit;
pub mod backup;
mod checks;
pub mod doctor;
pub mod endpoints;
mod keys;
mod messages;
mod roles;
mod seals;
mod servers;
mod settings;
mod workers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use infra::embedded::Servers;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use self::checks::DiskCheck;

pub use self::doctor::doctor;
pub use self::endpoints::Endpoints;
pub use self::roles::Running;
pub use self::seals::{DATA_FILES, SealArgs, key_folder, new_seal_key};
pub use self::servers::{Addresses, Compared, Connections};
pub use self::settings::{Lines, Role, ServeSettings, ServiceArgs};
pub use self::workers::WorkerArgs;

/// How the embedded servers are asked for.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// Everything is kept in it.
    pub data_dir: PathBuf,
    /// NATS' port; `None` for that of the last run, or a free one.
    pub nats_port: Option<u16>,
    /// Postgres' port; `None` for that of the last run, or a free one.
    pub postgres_port: Option<u16>,
}

/// A service with servers of its own.
pub struct Up {
    servers: Servers,
    running: Running,
    endpoints: Endpoints,
    data_dir: PathBuf,
}

/// Every role.
const ALL_ROLES: [Role; 3] = [Role::Api, Role::Projector, Role::Reactor];

/// Starts the embedded servers and every role on them.
///
/// # Errors
/// One message for whatever is in the way; nothing runs then.
pub async fn up(embedded: Embedded, service: &ServiceArgs) -> anyhow::Result<Up> {
    // Before the servers: a port that is taken is found at once.
    let listener = listen(service.listen).await?;
    let address = listener
        .local_addr()
        .context("ask for the address of HTTP")?;
    let servers = servers::start(&embedded).await?;
    let started = start_on(&servers, &embedded.data_dir, service, listener, address).await;
    match started {
        Ok((running, endpoints)) => Ok(Up {
            servers,
            running,
            endpoints,
            data_dir: embedded.data_dir,
        }),
        Err(error) => {
            servers.stop().await;
            Err(error)
        }
    }
}

async fn start_on(
    servers: &Servers,
    data_dir: &Path,
    service: &ServiceArgs,
    listener: TcpListener,
    address: SocketAddr,
) -> anyhow::Result<(Running, Endpoints)> {
    let keys = data_dir.join("keys");
    let token_file = keys::first_token(data_dir, &keys)?;
    let embedded = servers.endpoints();
    let addresses = Addresses::of_embedded(embedded);
    let mut connections = Connections::open(&addresses).await?;
    connections.disks = vec![
        DiskCheck::of_journal(servers.nats_folder()),
        DiskCheck::of_read_side(servers.postgres_folder()),
    ];
    projections::migrate(&connections.pool)
        .await
        .context("migrate the database")?;
    let mut service = service.clone();
    let files = &mut service.seals.seal_files;
    files.get_or_insert_with(|| data_dir.join(seals::DATA_FILES));
    let running = roles::start(&connections, &ALL_ROLES, &keys, &service, Some(listener)).await?;
    let endpoints = Endpoints {
        http: format!("http://{address}"),
        nats: embedded.nats.url(),
        nats_feed: embedded.nats_feed.url(),
        nats_subscriber: embedded.nats_subscriber.url(),
        nats_worker: embedded.nats_worker.url(),
        nats_system: embedded.nats_system.url(),
        postgres: embedded.postgres.clone(),
        token_file: std::path::absolute(token_file).context("name the token file")?,
    };
    endpoints.write(data_dir)?;
    Ok((running, endpoints))
}

/// Starts the roles that `settings` names on the servers that it names.
///
/// # Errors
/// One message for whatever is in the way; nothing runs then.
pub async fn serve(settings: &ServeSettings) -> anyhow::Result<Running> {
    let listener = match settings.roles.contains(&Role::Api) {
        true => Some(listen(settings.service.listen).await?),
        false => None,
    };
    let connections = Connections::open(&Addresses::of_settings(settings)?).await?;
    projections::check_migrated(&connections.pool)
        .await
        .context("look at the database; `ledgerline migrate` brings it up to date")?;
    roles::start(
        &connections,
        &settings.roles,
        &settings.keys,
        &settings.service,
        listener,
    )
    .await
}

/// Waits for Ctrl-C or SIGTERM.
///
/// # Errors
/// When signals cannot be waited for.
pub async fn until_told_to_stop() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for signals")?;
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("interrupted, stopping"),
        _ = terminate.recv() => tracing::info!("terminated, stopping"),
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("serve HTTP on `{address}`; choose another address with `--listen`")
    })
}

impl Up {
    /// What a person who has just started it wants to know.
    #[must_use]
    pub fn greeting(&self) -> Vec<String> {
        let data_dir = self.data_dir.display();
        vec![
            format!("Ledgerline serves {}", self.endpoints.http),
            format!("  API docs   {}/docs", self.endpoints.http),
            format!(
                "  token      {} (role admin, tenant default)",
                self.endpoints.token_file.display()
            ),
            format!(
                "  endpoints  {data_dir}/endpoints.json (NATS for subscribers, Postgres for analysts)"
            ),
            format!("  try        ledgerline --data-dir {data_dir} assignment list"),
        ]
    }

    /// Where everything is.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Stops the service and then its servers.
    pub async fn stop(self) {
        Endpoints::remove(&self.data_dir);
        self.running.stop().await;
        self.servers.stop().await;
    }
}
