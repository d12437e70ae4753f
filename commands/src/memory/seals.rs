//! Seals in memory.

use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, FutureExt, ready};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::locked;
use crate::journal::ReadError;
use crate::seal::{AppendSealError, Seal, Seals};

/// Seals in a vector. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemorySeals {
    seals: Arc<Mutex<Vec<Seal>>>,
}

impl MemorySeals {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Seal> {
        locked(&self.seals).clone()
    }
}

impl Seals for MemorySeals {
    fn append(&self, seal: Seal) -> BoxFuture<'_, Result<(), AppendSealError>> {
        let mut seals = locked(&self.seals);
        if seal.number != seals.len() as u64 + 1 {
            return ready(Err(AppendSealError::Overtaken)).boxed();
        }
        seals.push(seal);
        ready(Ok(())).boxed()
    }

    fn last(&self) -> BoxFuture<'_, Result<Option<Seal>, ReadError>> {
        ready(Ok(locked(&self.seals).last().cloned())).boxed()
    }

    fn read(&self, after: u64) -> BoxStream<'_, Result<Seal, ReadError>> {
        let all = self.all().into_iter();
        stream::iter(all.filter(move |seal| seal.number > after).map(Ok)).boxed()
    }
}
