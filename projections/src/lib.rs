//! The read side: read models as pure folds of the journal, and everything that carries them.
//!
//! All SQL on read models is in this crate. There is no way here to append to the journal, and no
//! side effect in a model: a rebuild repeats nothing but rows.
//!
//! - [`source`], [`store`]: the ports to the journal, and to whoever keeps the tables.
//! - [`postgres`], [`memory`]: those who keep them, in operation and in a simulation.
//! - [`model`], [`fact`], [`table`]: what a read model is.
//! - [`assignment`], [`assignment_event`], [`workload`], [`command`], [`job`], [`queue`], [`schedule`],
//!   [`batch`]: the models, each with its table and its queries.
//! - [`live`]: the one runner, which keeps them at one position.
//! - [`lease`]: how that runner, and whoever else has to, is the only one.
//! - [`verify`](mod@verify): folds the whole journal again and compares every row.
//! - [`query`], [`sort`], [`cursor`], [`positions`](mod@positions), [`read_side`]: how the rows are read.
//! - [`migrate`](mod@migrate), [`analyst`]: tables of no model, and roles.

pub mod analyst;
pub mod assignment;
pub mod assignment_event;
pub mod batch;
mod checkpoint;
pub mod command;
mod connection;
pub mod cursor;
pub mod fact;
mod fold;
mod growth;
mod hot;
mod intake;
pub mod job;
pub mod lease;
pub mod live;
pub mod memory;
pub mod migrate;
pub mod model;
mod moment;
pub mod positions;
pub mod postgres;
pub mod query;
pub mod queue;
mod read;
pub mod read_side;
mod rebuild;
pub mod schedule;
mod snapshot;
pub mod sort;
pub mod source;
pub mod store;
pub mod table;
pub mod verify;
pub mod workload;

pub use cursor::{Cursor, InvalidCursor};
pub use fold::Model;
pub use lease::{Lease, Office};
pub use live::Projector;
pub use memory::MemoryStore;
pub use migrate::{MigrateError, NotMigrated, check_migrated, migrate};
pub use model::Poison;
pub use moment::MomentError;
pub use positions::{Positions, positions, request_rebuild};
pub use postgres::Postgres;
pub use query::{Found, Page, Paging, QueryError, Reader, Whole};
pub use read_side::{Behind, ReadSide};
pub use sort::UnknownSort;
pub use source::{Source, SourceError};
pub use store::{InOffice, Session, Store, Term};
pub use verify::verify;
