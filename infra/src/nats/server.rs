//! Whether the server is one to trust a journal to: new enough, and syncing before it acknowledges.
//!
//! JetStream's default acknowledges before the disk has the message, so that a power cut takes
//! acknowledged commits with it. A plain user cannot see the setting. It can be seen by the system
//! account and on the monitoring port; without either, the operator must state it.

use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Message schedules, `persist_mode` and this adapter's atomic batches are tested from here on.
pub const VERSION_MIN: (u64, u64) = (2, 15);

/// What one message of the journal may need: a commit of the largest size with its headers.
pub const PAYLOAD_BYTES_MIN: usize = 1024 * 1024;

/// How long the servers of a cluster may take to report to the system account.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the system account waits for one more server after one has reported.
const REPORT_PAUSE: Duration = Duration::from_millis(300);

/// A report has about 2 KiB.
const REPORT_BYTES_MAX: u64 = 1024 * 1024;

/// From where it is known that the server syncs before it acknowledges.
#[derive(Debug, Clone)]
pub enum SyncEvidence {
    /// The operator says so (`--nats-sync-checked`).
    Stated,
    /// The monitoring port of the server, as `127.0.0.1:8222`.
    Monitor(String),
    /// A connection of a user of the system account: every server of the cluster is asked.
    SystemAccount(Client),
}

/// Why the server will not do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Too old.
    #[error("nats-server is `{found}`: `{}.{}` or newer is needed", VERSION_MIN.0, VERSION_MIN.1)]
    Version {
        /// What it is.
        found: String,
    },
    /// It takes no message of the size that a commit may have.
    #[error(
        "nats-server takes at most `{found}` bytes: set `max_payload` to `{PAYLOAD_BYTES_MIN}` or more"
    )]
    Payload {
        /// What it takes.
        found: usize,
    },
    /// JetStream is off.
    #[error(
        "nats-server has no JetStream: add `jetstream {{ sync_interval: always }}` to its configuration"
    )]
    JetStream,
    /// It acknowledges before the disk has the message.
    #[error(
        "nats-server `{server}` acknowledges before it syncs: set `sync_interval: always` in `jetstream {{}}`"
    )]
    SyncInterval {
        /// Which server.
        server: String,
    },
    /// The report could not be had.
    #[error("ask `{from}` whether nats-server syncs")]
    Report {
        /// Who was asked.
        from: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The monitoring port belongs to another server.
    #[error("`{address}` reports of server `{found}`, but the connection is to `{wanted}`")]
    OtherServer {
        /// The monitoring port.
        address: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
}

#[derive(Deserialize)]
struct Report {
    server_id: String,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    meta_cluster: Option<Meta>,
}

/// A report as it comes to the system account.
#[derive(Deserialize)]
struct Reported {
    server: Named,
    data: Report,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    ver: String,
}

/// A server of a cluster, as it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its part in JetStream; none for a server in no cluster, or without JetStream.
    pub meta: Option<Meta>,
}

/// The servers that decide together which streams there are, and who keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Meta {
    /// The name of the one that leads the others, where this server knows of one.
    #[serde(default)]
    pub leader: Option<String>,
    /// How many servers there are, with those that are away.
    pub cluster_size: usize,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    sync_always: bool,
}

/// Checks what the server told when the connection was made.
///
/// # Errors
/// When it is too old, takes too little, or has no JetStream.
pub fn check(client: &Client) -> Result<(), ServerError> {
    let info = client.server_info();
    if !is_new_enough(&info.version) {
        return Err(ServerError::Version {
            found: info.version,
        });
    }
    if info.max_payload < PAYLOAD_BYTES_MIN {
        return Err(ServerError::Payload {
            found: info.max_payload,
        });
    }
    Ok(())
}

/// Checks that what is acknowledged is on disk.
///
/// # Errors
/// When it is not, or when that cannot be found out.
pub async fn check_sync(client: &Client, evidence: &SyncEvidence) -> Result<(), ServerError> {
    let reports = match evidence {
        SyncEvidence::Stated => return Ok(()),
        SyncEvidence::Monitor(address) => {
            let report = monitored(address)
                .await
                .map_err(|source| ServerError::Report {
                    from: address.clone(),
                    source,
                })?;
            let wanted = client.server_info().server_id;
            if report.server_id != wanted {
                return Err(ServerError::OtherServer {
                    address: address.clone(),
                    found: report.server_id,
                    wanted,
                });
            }
            vec![report]
        }
        SyncEvidence::SystemAccount(system) => {
            let reported = reported(system).await?;
            reported.into_iter().map(|reported| reported.data).collect()
        }
    };
    let mut with_jetstream = reports
        .into_iter()
        .filter(|report| !report.disabled)
        .peekable();
    if with_jetstream.peek().is_none() {
        return Err(ServerError::JetStream);
    }
    match with_jetstream.find(|report| !report.config.sync_always) {
        Some(report) => Err(ServerError::SyncInterval {
            server: report.server_id,
        }),
        None => Ok(()),
    }
}

/// Asks every server of the cluster what it says of itself; `system` is of the system account.
///
/// # Errors
/// When nobody answers.
pub async fn all(system: &Client) -> Result<Vec<Server>, ServerError> {
    let reported = reported(system).await?;
    let servers = reported.into_iter().map(|reported| Server {
        name: reported.server.name,
        version: reported.server.ver,
        meta: reported.data.meta_cluster,
    });
    Ok(servers.collect())
}

/// Whether a server's version is one to trust a journal to.
#[must_use]
pub fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= VERSION_MIN,
        (Some(_) | None, _) => false,
    }
}

/// One plain request: an HTTP client would be a large tool for one line of text.
async fn monitored(address: &str) -> Result<Report, Box<dyn std::error::Error + Send + Sync>> {
    let answer = async {
        let mut connection = TcpStream::connect(address).await?;
        let request = format!("GET /jsz HTTP/1.0\r\nHost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut limited = connection.take(REPORT_BYTES_MAX);
        limited.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(REPORT_TIMEOUT, answer).await??;
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let body = body.map(|end| &answer[end + 4..]).unwrap_or_default();
    Ok(serde_json::from_slice(body)?)
}

async fn reported(system: &Client) -> Result<Vec<Reported>, ServerError> {
    let collected = collected(system).await;
    collected.map_err(|source| ServerError::Report {
        from: "the system account".to_owned(),
        source,
    })
}

async fn collected(
    system: &Client,
) -> Result<Vec<Reported>, Box<dyn std::error::Error + Send + Sync>> {
    let inbox = system.new_inbox();
    let mut answers = system.subscribe(inbox.clone()).await?;
    system
        .publish_with_reply("$SYS.REQ.SERVER.PING.JSZ", inbox, "".into())
        .await?;
    let mut reports = Vec::new();
    let mut patience = REPORT_TIMEOUT;
    while let Ok(Some(answer)) = tokio::time::timeout(patience, answers.next()).await {
        if answer.status.is_some() {
            return Err("it may not ask: this is no user of the system account".into());
        }
        reports.push(serde_json::from_slice(&answer.payload)?);
        patience = REPORT_PAUSE;
    }
    if reports.is_empty() {
        return Err("no server answered".into());
    }
    Ok(reports)
}
