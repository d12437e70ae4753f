//! All that lies outside of a process: every port of the write side, as one simulated process meets it.
//!
//! Each call is under way for a time that the seed says, and each may fail in a way that its port's contract
//! allows. A process dies at one of these calls, before or after it took effect: what is between two of
//! them is seen by nobody but the process. The calls of a dead one never end.

mod journal;
mod office;
mod read_side;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use commands::Clock;
use domain::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::{Uuid, Version};

pub(crate) use self::office::Desk;
pub(crate) use self::read_side::Table;
use crate::world::World;

/// The outside of one process.
pub(crate) struct Outside {
    world: Arc<World>,
    life: Life,
    /// How far the clock of its machine is ahead.
    skew: Duration,
}

/// How long a process lives, in calls to its outside.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    dead: CancellationToken,
    calls_left: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the fault plan says so")]
struct Planned;

impl Outside {
    pub(crate) fn new(world: &Arc<World>, life: Life, skew: Duration) -> Self {
        let world = Arc::clone(world);
        Self { world, life, skew }
    }

    /// One way of a call: a request that arrives, or an answer that comes back.
    async fn way(&self) {
        if !self.world.is_calm() {
            self.life.spend();
        }
        self.life.or_never().await;
        match self.world.delay() {
            Duration::ZERO => tokio::task::yield_now().await,
            delay => tokio::time::sleep(delay).await,
        }
        self.life.or_never().await;
    }
}

impl Life {
    pub(crate) fn of(calls: u64) -> Self {
        Self {
            dead: CancellationToken::new(),
            calls_left: Arc::new(AtomicU64::new(calls)),
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) {
        self.dead.cancelled().await;
    }

    fn spend(&self) {
        if self.calls_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.dead.cancel();
        }
    }

    async fn or_never(&self) {
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        self.world.now() + self.skew
    }

    fn fresh_id(&self) -> Uuid {
        self.world.rng.uuid_of(Version::SortRand)
    }
}
