//! Faults on one machine, with the real program and real servers: what is promised when things break.
//!
//! Each test has a program of its own, since it is killed, stopped or poisoned.

#[path = "../support/mod.rs"]
mod support;

mod checker;
mod checker_tests;
mod crash;
mod dispatch;
mod fairness;
mod job_checker;
mod jobs;
mod keys;
mod lifecycle;
mod limits;
mod load;
mod poison;
mod rebuild;
mod standby;
