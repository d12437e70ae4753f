//! The pool of connections to Postgres.

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::future;
use sqlx::Connection as _;
pub use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};

use commands::Clock as _;

use crate::SystemClock;

/// Connections of one process besides those that offices, the runner and receipts keep. More would not make
/// Postgres faster, and to make one costs it as much as many queries.
const CONNECTIONS_MAX: u32 = 10;

/// Connections that are there before anybody asks.
const CONNECTIONS_MIN: u32 = 4;

/// How long a query waits for a connection before it is answered that the read side is away: as long as it
/// may run.
const ACQUIRE_MAX: Duration = Duration::from_secs(5);

/// How long the first connection may take: a server that has been killed recovers first, and a machine that
/// starts has much to do at once.
const FIRST_MAX: Duration = Duration::from_secs(30);

/// How often a server is asked again that says that it is starting.
const ASKED_AGAIN: Duration = Duration::from_millis(100);

/// A connection that was used a moment ago is there. To try each one before each query would double
/// the round trips of a short query; one that has rested for longer may have lost its server.
const TRIED_AFTER_IDLE: Duration = Duration::from_millis(250);

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("database address is not of the form `postgres://user:password@host:port/database`")]
    Address(#[source] sqlx::Error),
    /// Postgres did not take the connection.
    #[error("connect to postgres at `{0}`")]
    Connect(String, #[source] sqlx::Error),
    /// Postgres is too old for what the read side needs (views that ask with the reader's own rights).
    #[error("postgres at `{address}` has version `{version}`; `15` or newer is needed")]
    TooOld {
        /// Where.
        address: String,
        /// What it says of itself.
        version: String,
    },
}

/// The oldest version that has views with `security_invoker`.
const VERSION_MIN: u32 = 150_000;

/// Connects to `url` and makes sure that the server is new enough.
///
/// # Errors
/// When the address is none, Postgres does not answer, or is too old.
pub async fn connect(url: &str) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url)
        .map_err(Error::Address)?
        .application_name("ledgerline");
    let address = format!("{}:{}", options.get_host(), options.get_port());
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .min_connections(CONNECTIONS_MIN)
        .acquire_timeout(ACQUIRE_MAX)
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for > TRIED_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone());
    let asked = tokio::time::timeout(FIRST_MAX, first_version(&options)).await;
    let asked = asked.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let (number, version) = asked.map_err(|source| Error::Connect(address.clone(), source))?;
    if number
        .parse::<u32>()
        .is_ok_and(|number| number >= VERSION_MIN)
    {
        warm(&pool).await;
        Ok(pool)
    } else {
        Err(Error::TooOld { address, version })
    }
}

/// Makes the connections that are there before anybody asks. On a machine with much to do each takes a good
/// while, and who asks first would wait for it; where they are not made, somebody waits.
async fn warm(pool: &PgPool) {
    let made = (0..CONNECTIONS_MIN).map(|_| pool.acquire());
    drop(future::join_all(made).await);
}

/// The server's version as a number and as a text, asked on a connection of its own, as soon as it takes one.
async fn first_version(options: &PgConnectOptions) -> Result<(String, String), sqlx::Error> {
    /// `cannot_connect_now`
    const STARTING: &str = "57P03";
    let mut connection = loop {
        match PgConnection::connect_with(options).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(STARTING) => {
                tokio::time::sleep(ASKED_AGAIN).await;
            }
            connected => break connected?,
        }
    };
    let version = sqlx::query_as(
        "select current_setting('server_version_num'), current_setting('server_version')",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(version)
}

/// How far the database's clock is ahead of this machine's, in milliseconds.
///
/// # Errors
/// When Postgres does not answer.
pub async fn clock_offset_ms(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let before = SystemClock.now().as_millisecond();
    let there: i64 =
        sqlx::query_scalar("select (extract(epoch from clock_timestamp()) * 1000)::bigint")
            .fetch_one(pool)
            .await?;
    let after = SystemClock.now().as_millisecond();
    // The database looked at its clock somewhere between.
    Ok(there - (before + after) / 2)
}
