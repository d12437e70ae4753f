//! Offices that move before their holders know, and a checkpoint that forgets.

use std::sync::{Arc, Mutex, MutexGuard};

use commands::journal::BoxError;
use commands::office::{InOffice, Office};
use commands::reactions::Checkpoint;
use domain::Position;
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Outside, Planned};
use crate::sabotage::Sabotage;

/// One office, for all processes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Counts the stays, to tell the present one from those that were ended.
    stay: u64,
    holder: Option<CancellationToken>,
}

/// Leaves the office, if it is still one's own.
struct Leaves {
    desk: Desk,
    stay: u64,
}

impl Desk {
    /// The office is free at once; its holder hears of it when the token that is given back is cancelled.
    pub(crate) fn oust(&self) -> Option<CancellationToken> {
        let ousted = self.state().holder.take();
        self.0.freed.notify_one();
        ousted
    }

    fn take(&self) -> Option<InOffice> {
        let mut state = self.state();
        if state.holder.is_some() {
            return None;
        }
        let lost = CancellationToken::new();
        state.stay += 1;
        state.holder = Some(lost.clone());
        let desk = self.clone();
        let stay = state.stay;
        let guard = Box::new(Leaves { desk, stay });
        Some(InOffice { lost, guard })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .expect("nothing panics while it is held")
    }
}

impl Office for Desk {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, BoxError>> {
        async {
            loop {
                match self.take() {
                    Some(in_office) => return Ok(in_office),
                    None => self.0.freed.notified().await,
                }
            }
        }
        .boxed()
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        if state.stay == self.stay {
            state.holder = None;
            self.desk.0.freed.notify_one();
        }
    }
}

impl Checkpoint for Outside {
    fn load(&self) -> BoxFuture<'_, Result<Position, BoxError>> {
        async {
            self.way().await;
            if self.world.strikes(10) {
                return Err(Planned.into());
            }
            if self.world.is_sabotaged(Sabotage::CheckpointAhead) {
                return Ok(self.world.table().await.head());
            }
            Ok(*self.world.checkpoint())
        }
        .boxed()
    }

    fn save(&self, position: Position) -> BoxFuture<'_, Result<(), BoxError>> {
        async move {
            self.way().await;
            // More than the contract allows: what was saved may be forgotten, and its effects follow again.
            if !self.world.strikes(3) {
                let mut saved = self.world.checkpoint();
                *saved = position.max(*saved);
            }
            self.way().await;
            if self.world.strikes(20) {
                return Err(Planned.into());
            }
            Ok(())
        }
        .boxed()
    }
}
