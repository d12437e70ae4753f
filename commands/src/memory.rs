//! The ports in memory, for tests and simulation.
//!
//! [`MemoryJournal`] passes the same contract suite as the real journal and can be told to lose an
//! answer, a request, or to be away. Nothing here outlives the process.

mod feed;
mod journal;
mod seals;
mod tickets;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{CommandId, Position, StreamId, Tenant};
use futures_util::future::{BoxFuture, FutureExt, ready};

pub use feed::MemoryFeed;
pub use journal::{Fault, MemoryJournal};
pub use seals::MemorySeals;
pub use tickets::MemoryTickets;

use crate::journal::BoxError;
use crate::{Known, Lookup, Receipts, Snapshot, Snapshots};

/// Snapshots in a map.
#[derive(Debug, Clone, Default)]
pub struct MemorySnapshots {
    by_stream: Arc<Mutex<HashMap<StreamId, Snapshot>>>,
}

/// Receipts in a map: what a read side would know.
#[derive(Debug, Clone, Default)]
pub struct MemoryReceipts {
    state: Arc<Mutex<ReceiptsState>>,
}

#[derive(Debug, Default)]
struct ReceiptsState {
    known: HashMap<(Tenant, CommandId), Known>,
    read_to: Position,
}

impl MemorySnapshots {
    /// How many streams have one.
    #[must_use]
    pub fn count(&self) -> usize {
        locked(&self.by_stream).len()
    }
}

impl Snapshots for MemorySnapshots {
    fn load<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> BoxFuture<'a, Result<Option<Snapshot>, BoxError>> {
        ready(Ok(locked(&self.by_stream).get(stream).cloned())).boxed()
    }

    fn save(&self, snapshot: Snapshot) -> BoxFuture<'_, Result<(), BoxError>> {
        locked(&self.by_stream).insert(snapshot.stream.clone(), snapshot);
        ready(Ok(())).boxed()
    }
}

impl MemoryReceipts {
    /// Lets the read side know `command`.
    pub fn insert(&self, tenant: Tenant, command: CommandId, known: Known) {
        let mut state = locked(&self.state);
        state.read_to = state.read_to.max(known.receipt.position);
        state.known.insert((tenant, command), known);
    }

    /// Lets the read side have read the journal to `position`.
    pub fn read_to(&self, position: Position) {
        locked(&self.state).read_to = position;
    }
}

impl Receipts for MemoryReceipts {
    fn find<'a>(&'a self, tenant: &'a Tenant, command: CommandId) -> BoxFuture<'a, Lookup> {
        let state = locked(&self.state);
        let lookup = Lookup {
            known: state.known.get(&(tenant.clone(), command)).cloned(),
            read_to: state.read_to,
        };
        ready(lookup).boxed()
    }
}

/// A test that panicked while it held the lock has failed already; the others may go on.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
