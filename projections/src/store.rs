//! The port to the tables: what the runner asks of whoever keeps them, and nothing more.
//!
//! Rows go over it in Postgres' binary form, a batch in one call. [`Postgres`](crate::postgres::Postgres)
//! answers it in operation, [`MemoryStore`](crate::memory::MemoryStore) in a simulation; one contract suite
//! (`tests/read_side/contract.rs`) runs against both. Queries, rebuilds and the proof stay off it: they are
//! Postgres' own (ADR 12).

use std::sync::Arc;

use domain::Position;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fold::Model;
use crate::live::HandOver;
use crate::source::Source;
use crate::table::{Columns, Fields, Relation, Writes};

/// Where the tables are, with the checkpoint.
pub trait Store: Send + Sync + 'static {
    /// Waits until nobody else is in office. May be dropped while it waits.
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, sqlx::Error>>;

    /// Begins a term: makes the tables that are missing, and finds out what is live. From here on nobody
    /// of an earlier term moves anything.
    fn begin<'a>(&'a self, models: &'a [Model]) -> BoxFuture<'a, Result<Begun, sqlx::Error>>;

    /// Builds the models that are pending, and whatever is asked for, in its own way, for as long as it is
    /// polled.
    fn rebuild(&self, rebuilds: Rebuilds) -> BoxFuture<'static, ()>;
}

/// One runner's way to the tables. Its calls come one after the other; what became of a call that was
/// dropped, or that failed, is not known.
pub trait Session: Send {
    /// Gives `each` those rows of `keys` that there are, in any order, with a null for what is large.
    fn load<'a>(
        &'a mut self,
        relation: &'a Relation,
        keys: Columns,
        each: &'a mut EachRow<'a>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// Writes everything, or nothing. None where the guard did not let it; else the store's time, in
    /// seconds since 1970.
    fn write(&mut self, writes: Writes) -> BoxFuture<'_, Result<Option<f64>, sqlx::Error>>;

    /// Finds out whether `writes` could be stored, and leaves nothing of them.
    fn rehearse(&mut self, writes: Writes) -> BoxFuture<'_, Result<(), sqlx::Error>>;
}

/// A term, and its runner's way to the tables.
pub type Begun = (Term, Box<dyn Session>);

/// Takes one row.
pub type EachRow<'a> = dyn FnMut(&dyn Fields) -> Result<(), sqlx::Error> + Send + 'a;

/// Office, as long as it is held: until this is dropped, or `lost`.
pub struct InOffice {
    /// Cancelled when the office may be somebody else's.
    pub lost: CancellationToken,
    /// Leaves the office when it is dropped.
    pub guard: Box<dyn Send>,
}

/// A term of office as it begins.
#[derive(Debug)]
pub struct Term {
    /// No other has it.
    pub number: i64,
    /// Where the read side is.
    pub position: Position,
    /// The models that stand there.
    pub live: Vec<Model>,
    /// The models that have to be built: new, changed, stopped, or asked for.
    pub pending: Vec<Model>,
}

/// What rebuilds need of the term that they are of.
pub struct Rebuilds {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) models: Vec<Model>,
    pub(crate) term: i64,
    pub(crate) pending: Vec<Model>,
    pub(crate) hand_over: mpsc::Sender<HandOver>,
}
