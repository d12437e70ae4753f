//! How a client connects, and how it gets over losing the connection.

use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectOptions, Event, ServerAddr};
use futures_util::future::join_all;

use super::percent;

/// How long a server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the connection is tried for life: two unanswered pings and it counts as lost.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The first and the longest wait before connecting again; it doubles in between.
const RECONNECT_DELAY_MS: (u64, u64) = (50, 2_000);

/// Messages that may wait in one subscription. A consumer's flow control lets 32 MiB be under way,
/// and the smallest commit has about 250 bytes with its headers; a message beyond it is dropped, and
/// the reader begins again behind the last one it met.
const SUBSCRIPTION_MESSAGES_MAX: usize = 128 * 1024;

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of the addresses is none.
    #[error("nats: `{address}` is no server's address")]
    Address {
        /// The address, without what may be a password.
        address: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// No server took the connection.
    #[error("connect to nats at `{addresses}`")]
    Connect {
        /// Where.
        addresses: String,
        /// Why not.
        #[source]
        source: ConnectError,
    },
}

/// Connects to one of `urls` (`nats://user:password@host:port`, several with commas between them) as
/// `name`. The connection is renewed for ever; what is asked while it is away fails at once.
///
/// # Errors
/// When no server takes the connection now.
pub async fn connect(urls: &str, name: &str) -> Result<Client, Error> {
    let addresses = parse(urls)?;
    connect_to(addresses.clone(), &addresses, name).await
}

/// Connects to each of `urls` by itself: which of them can be reached from here. Each comes with its
/// address, without what may be a password.
///
/// # Errors
/// When one of them is no address.
pub async fn connect_each(
    urls: &str,
    name: &str,
) -> Result<Vec<(String, Result<Client, Error>)>, Error> {
    let addresses = parse(urls)?;
    let each = addresses.iter().map(async |address| {
        let connected = connect_to(vec![address.clone()], &addresses, name).await;
        (host(address), connected)
    });
    Ok(join_all(each).await)
}

fn parse(urls: &str) -> Result<Vec<ServerAddr>, Error> {
    let addresses = urls.split(',').map(str::trim).map(|url| {
        url.parse::<ServerAddr>().map_err(|source| Error::Address {
            address: without_password(url).to_owned(),
            source,
        })
    });
    addresses.collect()
}

/// Connects to one of `addresses`, as the user whom `all` name.
async fn connect_to(
    addresses: Vec<ServerAddr>,
    all: &[ServerAddr],
    name: &str,
) -> Result<Client, Error> {
    let named: Vec<_> = addresses.iter().map(host).collect();
    let options = with_credentials(all)
        .name(name)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(|event| async { log(event) });
    options
        .connect(addresses)
        .await
        .map_err(|source| Error::Connect {
            addresses: named.join(","),
            source,
        })
}

/// Where a server is.
fn host(address: &ServerAddr) -> String {
    format!("{}:{}", address.host(), address.port())
}

/// The library does not look at user and password in an address: those of the first that has them
/// are taken for all.
fn with_credentials(addresses: &[ServerAddr]) -> ConnectOptions {
    let credentials = addresses.iter().find_map(|address| {
        let user = percent::decode(address.username()?)?.into_owned();
        let password = percent::decode(address.password()?)?.into_owned();
        Some((user, password))
    });
    match credentials {
        Some((user, password)) => ConnectOptions::with_user_and_password(user, password),
        None => ConnectOptions::new(),
    }
}

/// The part of `url` behind user and password.
fn without_password(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = attempts.saturating_sub(1).min(10);
    let delay_ms = (RECONNECT_DELAY_MS.0 << doublings).min(RECONNECT_DELAY_MS.1);
    Duration::from_millis(if attempts == 0 { 0 } else { delay_ms })
}

fn log(event: Event) {
    match event {
        Event::Connected => tracing::info!("connected to nats"),
        Event::Disconnected => tracing::warn!("lost the connection to nats, connecting again"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(
                subscription,
                "dropped a message, its reader will begin again"
            );
        }
        other => tracing::info!(event = %other, "nats"),
    }
}
