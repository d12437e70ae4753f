//! Snapshots on JetStream.

use bytes::Bytes;
use commands::{Snapshot, Snapshots};
use domain::{Chain, Position};
use infra::nats::JetStreamSnapshots;

use crate::server::Server;

fn snapshot(id: &str, position: u64) -> Snapshot {
    Snapshot {
        stream: format!("t.assignment.{id}").parse().expect("three tokens"),
        state_version: 3,
        position: Position(position),
        version: position * 2,
        chain: Chain([7; 32]),
        state: Bytes::from_static(b"{\"notes\":1}"),
    }
}

#[tokio::test]
async fn the_newest_snapshot_of_a_stream_is_found() {
    let server = Server::start().await;
    let client = server.client().await;
    let snapshots = JetStreamSnapshots::open(client, None).await;
    let snapshots = snapshots.expect("the server is new and empty");
    let (first, second, other) = (snapshot("a", 1), snapshot("a", 2), snapshot("b", 3));
    let found = snapshots.load(&first.stream).await;
    assert_eq!(found.expect("the server answers"), None);
    for one in [&first, &second, &other] {
        let saved = snapshots.save(one.clone()).await;
        saved.expect("the server answers");
    }
    let found = snapshots.load(&first.stream).await;
    assert_eq!(found.expect("the server answers"), Some(second));
    let found = snapshots.load(&other.stream).await;
    assert_eq!(found.expect("the server answers"), Some(other));
}
