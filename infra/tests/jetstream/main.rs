//! The adapters for JetStream, each claim on a real server of its own.

mod contract;
mod faults;
mod feed;
mod group;
mod server;
mod settings;
mod snapshots;
mod tail;
mod tamper;
