//! The HTTP API, end to end: the real program, its own servers, nothing replaced.

#[path = "../support/mod.rs"]
mod support;

mod batch;
mod batches;
mod contention;
mod events;
mod fields;
mod idempotency;
mod jobs;
mod journey;
mod lists;
mod schedules;
mod schemathesis;
mod surface;
mod tenants;
mod time;
mod watch;
