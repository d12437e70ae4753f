//! Faults on one machine, with the real program and real servers: what is promised when things break.
//!
//! Each test has a program of its own, since it is killed, stopped or poisoned.

#[path = "../support/mod.rs"]
mod support;

mod batches;
mod clients;
mod crash;
mod disk;
mod dispatch;
mod fairness;
mod feed_checker;
mod jobs;
mod keys;
mod lifecycle;
mod limits;
mod load;
#[cfg(feature = "failpoints")]
mod points;
mod poison;
mod power;
mod rebuild;
mod record;
mod recovery;
mod schedules;
mod servers;
mod standby;
mod times;
