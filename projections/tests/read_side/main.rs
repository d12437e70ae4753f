//! The read side on a real Postgres, fed from a journal in memory.
//!
//! One server is started for the whole run; every test has a database of its own.

mod batches;
mod contract;
mod folds;
mod job_queries;
mod jobs;
mod offices;
mod open;
mod proof;
mod queries;
mod rebuilds;
mod rechunked;
mod runner;
mod schedules;
mod support;
mod walls;
