//! Fault 14: three nats-servers as one cluster, every stream on all of them, and `serve` on it. Leaders
//! are killed, servers restarted and cut off while clients work; their history is judged as elsewhere.
//!
//! - [`servers`]: the cluster, with the configuration of `docs/guides/production.md`.
//! - [`network`]: network namespaces, where they can be made, to cut a server off.
//! - [`house`]: the cluster with a Postgres and processes of the service.
//! - [`pending`]: commands that cannot be carried out while servers are away.
//! - [`freshness`], [`leader`], [`majority`], [`partition`]: what is done with it, and to it.

#[path = "../support/mod.rs"]
mod support;

#[path = "../faults/feed_checker.rs"]
mod feed_checker;
#[path = "../faults/load.rs"]
#[expect(dead_code, reason = "some of it is for faults of one node only")]
mod load;
#[path = "../faults/record.rs"]
mod record;
#[path = "../faults/times.rs"]
#[expect(
    dead_code,
    reason = "how late a time is fired is measured on one node only"
)]
mod times;

mod freshness;
mod house;
mod leader;
mod majority;
mod network;
mod partition;
mod pending;
mod servers;
