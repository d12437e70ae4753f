//! Routes on assignments: commands, queries, and the JSON of both.

pub(crate) mod bodies;
pub(crate) mod commands;
pub(crate) mod queries;
mod views;
