//! Fault 14: three nats-servers as one cluster, every stream on all of them, and `serve` on it. Leaders
//! are killed, servers restarted and cut off while clients work; their history is judged as elsewhere.
//!
//! - [`servers`]: the cluster, with the configuration of `docs/guides/production.md`.
//! - [`network`]: network namespaces, where they can be made, to cut a server off.
//! - [`house`]: the cluster with a Postgres and processes of the service.
//! - [`freshness`], [`leader`], [`partition`]: what is done with it, and to it.

#[path = "../support/mod.rs"]
mod support;

#[path = "../faults/feed_checker.rs"]
mod feed_checker;
#[path = "../faults/load.rs"]
#[expect(dead_code, reason = "some of it is for faults of one node only")]
mod load;
#[path = "../faults/record.rs"]
mod record;

mod freshness;
mod house;
mod leader;
mod network;
mod partition;
mod servers;
