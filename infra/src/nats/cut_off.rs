//! A connection leaves a server that is cut off from the others.
//!
//! A client moves to another server when its own one dies. One that lives on and reaches no other server
//! keeps its clients, and nothing that they write is ever acknowledged. Where several servers are named,
//! such a one is left.
//!
//! Where no server has a majority nobody is better off elsewhere; moving costs nothing then, since
//! whatever is under way is not answered anyway.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use tokio::time::Instant;

use super::quorum;

/// How often it is looked whether the server is of use.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long it has to be of none: longer than the election of a leader, which takes up to 9 seconds.
const CUT_OFF_AFTER: Duration = Duration::from_secs(10);

/// The client takes any of the servers, so it may come back to the one that it left.
const MOVES_MAX: usize = 8;

/// How long to wait for another connection, and how often it is looked whether there is one.
const MOVED_WITHIN: Duration = Duration::from_secs(10);
const MOVED_CHECK: Duration = Duration::from_millis(50);

/// Moves `client` to another server whenever its own one does not get messages into `stream`. Ends where
/// the client knows of one server only.
pub async fn leave(client: Client, stream: String) {
    // An error here says that the connection is closed for good.
    let servers = client
        .server_pool()
        .await
        .map_or(0, |servers| servers.len());
    if servers < 2 {
        return;
    }
    let mut of_use = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if is_of_use(&client, &stream).await {
            of_use = Instant::now();
        } else if of_use.elapsed() >= CUT_OFF_AFTER {
            move_on(&client, &stream).await;
            of_use = Instant::now();
        }
    }
}

async fn is_of_use(client: &Client, stream: &str) -> bool {
    if client.connection_state() != State::Connected {
        // The client looks for another server already.
        return true;
    }
    match quorum::of(client, stream).await {
        Ok(Some(quorum)) => quorum.check().is_ok(),
        // That is for others to notice, and no other server has it either.
        Ok(None) => true,
        Err(_) => false,
    }
}

async fn move_on(client: &Client, stream: &str) {
    let left = client.server_info();
    tracing::warn!(
        server = left.server_name,
        stream,
        "the stream takes nothing here, moving to another nats-server"
    );
    for _ in 0..MOVES_MAX {
        if let Err(error) = moved(client).await {
            tracing::warn!(error, "connect to another nats-server");
            return;
        }
        if client.server_info().server_id != left.server_id {
            return;
        }
    }
}

/// Connects to any of the servers.
async fn moved(client: &Client) -> Result<(), String> {
    let statistics = client.statistics();
    let connects = statistics.connects.load(Ordering::Relaxed);
    let reconnect = client.force_reconnect().await;
    reconnect.map_err(|error| error.to_string())?;
    let connected = async {
        while statistics.connects.load(Ordering::Relaxed) == connects
            || client.connection_state() != State::Connected
        {
            tokio::time::sleep(MOVED_CHECK).await;
        }
    };
    let moved = tokio::time::timeout(MOVED_WITHIN, connected).await;
    moved.map_err(|_elapsed| "no server takes the connection".to_owned())
}
