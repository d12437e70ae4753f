//! What this process has written itself, on its way to its own tail.
//!
//! Nothing depends on it: what does not fit or is not told is read from the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use commands::Append;
use domain::Position;
use tokio::sync::mpsc;

/// How many groups may wait for the tail, which takes them at once unless the server delivers nothing.
const GROUPS_MAX: usize = 32;

/// Between the writer of one journal and its tail. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    tail: Mutex<Option<mpsc::Sender<Group>>>,
    /// Whether the tail goes by what is told here.
    is_followed: AtomicBool,
}

/// Commits that were acknowledged, one behind the other.
#[derive(Debug)]
pub(super) struct Group {
    /// Where the first stands.
    pub(super) first: Position,
    pub(super) appends: Vec<Append>,
}

/// The tail's end.
#[derive(Debug)]
pub(super) struct Heard {
    shared: Arc<Shared>,
    pub(super) groups: mpsc::Receiver<Group>,
}

impl Written {
    /// Tells that `appends` were acknowledged, the first of them at `first`.
    pub(super) fn tell(&self, first: Position, appends: Vec<Append>) {
        if appends.is_empty() {
            return;
        }
        if let Some(tail) = &*self.0.tail()
            && tail.try_send(Group { first, appends }).is_err()
        {
            tracing::debug!("the tail is told of no more and asks the server");
        }
    }

    /// Whether single appends are worth telling: a tail that follows the server meets them there.
    pub(super) fn is_followed(&self) -> bool {
        self.0.is_followed.load(Ordering::Relaxed)
    }

    /// What is told from now on, to this tail and to no earlier one.
    pub(super) fn listen(&self) -> Heard {
        let (tail, groups) = mpsc::channel(GROUPS_MAX);
        *self.0.tail() = Some(tail);
        self.0.is_followed.store(false, Ordering::Relaxed);
        Heard {
            shared: Arc::clone(&self.0),
            groups,
        }
    }
}

impl Shared {
    fn tail(&self) -> MutexGuard<'_, Option<mpsc::Sender<Group>>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// Says whether the tail goes by what it hears.
    pub(super) fn follow(&self, follows: bool) {
        self.shared.is_followed.store(follows, Ordering::Relaxed);
    }
}
