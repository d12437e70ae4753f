//! The servers: started, or reached where somebody else runs them, and found fit.

use std::sync::Arc;

use commands::Journal as _;
use infra::embedded::locate::Search;
use infra::embedded::{self, Options, Servers, Shim};
use infra::nats::server::SyncEvidence;
use infra::nats::{
    self, JetStreamFeed, JetStreamJournal, JetStreamSeals, JetStreamSnapshots, NatsReplays, feed,
    journal,
};
use infra::postgres::PgPool;

use super::checks::DiskCheck;
use super::{Embedded, ServeSettings};

/// Where the servers are, and what is known of them.
#[derive(Clone)]
pub struct Addresses {
    nats: String,
    nats_feed: String,
    sync: Sync,
    database: String,
    replicas: Option<usize>,
}

/// From where it is known that NATS syncs before it acknowledges.
#[derive(Clone)]
enum Sync {
    Stated,
    System(String),
}

/// Open connections to every server.
#[derive(Clone)]
pub struct Connections {
    /// NATS, in the account of the journal.
    pub nats: nats::Client,
    /// NATS, in the account of the feed.
    pub nats_feed: nats::Client,
    /// The log.
    pub journal: Arc<JetStreamJournal>,
    /// The seals of the log.
    pub seals: Arc<JetStreamSeals>,
    /// The public events.
    pub feed: Arc<JetStreamFeed>,
    /// Where replays are sent.
    pub replays: Arc<NatsReplays>,
    /// States of long streams.
    pub snapshots: Arc<JetStreamSnapshots>,
    /// Postgres.
    pub pool: PgPool,
    /// The disks that the servers lie on, where they are the program's own.
    pub disks: Vec<DiskCheck>,
}

/// What is compared by one who looks and changes nothing: no stream is made, and no setting mended.
pub struct Compared {
    /// The log.
    pub journal: JetStreamJournal,
    /// Postgres.
    pub pool: PgPool,
}

/// Starts the embedded servers.
pub(super) async fn start(embedded: &Embedded) -> anyhow::Result<Servers> {
    let options = Options {
        data_folder: embedded.data_dir.clone(),
        nats_port: embedded.nats_port,
        postgres_port: embedded.postgres_port,
        search: Search::of_environment(),
        shim: Shim::of_this_program(crate::CHILD_ARGUMENT),
    };
    Ok(Servers::start(options).await?)
}

impl Addresses {
    /// Those of the embedded servers.
    #[must_use]
    pub fn of_embedded(endpoints: &embedded::Endpoints) -> Self {
        Self {
            nats: endpoints.nats.url(),
            nats_feed: endpoints.nats_feed.url(),
            sync: Sync::System(endpoints.nats_system.url()),
            database: endpoints.postgres.clone(),
            replicas: Some(1),
        }
    }

    /// Those that a running `up` has written down.
    #[must_use]
    pub fn of_endpoints(endpoints: &super::Endpoints) -> Self {
        Self {
            nats: endpoints.nats.clone(),
            nats_feed: endpoints.nats_feed.clone(),
            sync: Sync::System(endpoints.nats_system.clone()),
            database: endpoints.postgres.clone(),
            replicas: Some(1),
        }
    }

    /// Those that were given.
    ///
    /// # Errors
    /// When nothing says whether NATS syncs.
    pub fn of_settings(settings: &ServeSettings) -> anyhow::Result<Self> {
        let sync = match (&settings.nats_system, settings.trust_nats_sync) {
            (Some(system), _) => Sync::System(system.clone()),
            (None, true) => Sync::Stated,
            (None, false) => anyhow::bail!(
                "whether nats-server has `sync_interval: always` cannot be seen with `--nats` alone: \
                 give `--nats-system`, a user of the system account, or state it with `--trust-nats-sync`"
            ),
        };
        Ok(Self {
            nats: settings.nats.clone(),
            nats_feed: settings
                .nats_feed
                .clone()
                .unwrap_or_else(|| settings.nats.clone()),
            sync,
            database: settings.database.clone(),
            replicas: settings.replicas.map(usize::from),
        })
    }
}

impl Addresses {
    /// Those that were named for a look; without the system account nothing is known of syncing.
    #[must_use]
    pub fn named(nats: &str, feed: Option<&str>, system: Option<&str>, database: &str) -> Self {
        Self {
            nats: nats.to_owned(),
            nats_feed: feed.unwrap_or(nats).to_owned(),
            sync: system.map_or(Sync::Stated, |system| Sync::System(system.to_owned())),
            database: database.to_owned(),
            replicas: None,
        }
    }

    /// Where the journal is.
    pub(super) fn nats(&self) -> &str {
        &self.nats
    }

    /// Where the feed is.
    pub(super) fn nats_feed(&self) -> &str {
        &self.nats_feed
    }

    /// Where NATS' system account is, as far as that was told.
    pub(super) fn nats_system(&self) -> Option<&str> {
        match &self.sync {
            Sync::Stated => None,
            Sync::System(url) => Some(url),
        }
    }

    /// How often the streams are kept, as far as that was told.
    pub(super) fn replicas(&self) -> Option<usize> {
        self.replicas
    }

    /// Where the database is.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Makes sure that `client`'s server syncs before it acknowledges; `false` where that is only stated.
    pub(super) async fn check_sync(&self, client: &nats::Client) -> anyhow::Result<bool> {
        match &self.sync {
            Sync::Stated => Ok(false),
            Sync::System(url) => {
                let system = nats::connect(url, "ledgerline-check").await?;
                nats::server::check_sync(client, &SyncEvidence::SystemAccount(system)).await?;
                Ok(true)
            }
        }
    }
}

impl Compared {
    /// Connects, and refuses servers that are not fit, or have no journal.
    ///
    /// # Errors
    /// One message for the first thing that is in the way.
    pub async fn open(addresses: &Addresses) -> anyhow::Result<Self> {
        let pool = infra::postgres::connect(&addresses.database).await?;
        let client = nats::connect(&addresses.nats, "ledgerline-look").await?;
        nats::server::check(&client)?;
        let journal = JetStreamJournal::of(client, journal::Settings::default());
        // Whoever reads on for ever where there is no stream waits for ever.
        journal.head().await?;
        Ok(Self { journal, pool })
    }
}

impl Connections {
    /// Connects, refuses servers that are not fit, and sees to the streams' settings.
    ///
    /// # Errors
    /// One message for the first thing that is in the way.
    pub async fn open(addresses: &Addresses) -> anyhow::Result<Self> {
        let pool = infra::postgres::connect(&addresses.database).await?;
        let client = nats::connect(&addresses.nats, "ledgerline").await?;
        nats::server::check(&client)?;
        addresses.check_sync(&client).await?;
        let feed_client = nats::connect(&addresses.nats_feed, "ledgerline-feed").await?;
        let replicas = addresses.replicas;
        let journal = journal::Settings::kept(replicas);
        let feed = feed::Settings::kept(replicas);
        Ok(Self {
            journal: Arc::new(JetStreamJournal::open(client.clone(), journal).await?),
            seals: Arc::new(JetStreamSeals::open(client.clone(), replicas).await?),
            feed: Arc::new(JetStreamFeed::open(feed_client.clone(), feed).await?),
            replays: Arc::new(NatsReplays::new(feed_client.clone())),
            snapshots: Arc::new(JetStreamSnapshots::open(client.clone(), replicas).await?),
            pool,
            nats: client,
            nats_feed: feed_client,
            disks: Vec::new(),
        })
    }
}
