//! Receipts of earlier commands, from the read model `command`.
//!
//! Every command with an idempotency key asks here first, and nearly every key is new. So it is first
//! asked, in memory, whether the id can have been committed at all (`seen`); only where it may have
//! been is the table asked (`batched`), many questions in one statement.
//!
//! Whatever the journal has behind the position that an answer names, the handler finds out from the
//! aggregate's own stream.

mod batched;
mod seen;

use std::sync::Arc;

use commands::{Lookup, Receipts};
use domain::{CommandId, Tenant};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use projections::ReadSide;
use sqlx::PgPool;
use tokio_util::task::AbortOnDropHandle;

use self::batched::Batched;
use self::seen::Seen;

/// What was answered before, for one process.
pub struct ReadSideReceipts {
    seen: Arc<Seen>,
    table: Batched,
    _follower: AbortOnDropHandle<()>,
}

impl ReadSideReceipts {
    /// Asks through `pool`. Begins to learn which ids were committed, and goes on whenever `read_side`
    /// has moved; must be called within a runtime.
    #[must_use]
    pub fn follow(pool: PgPool, read_side: &ReadSide) -> Self {
        let seen = Arc::new(Seen::default());
        let follower = seen::follow(Arc::clone(&seen), pool.clone(), read_side.watch());
        Self {
            seen,
            table: Batched::new(pool),
            _follower: AbortOnDropHandle::new(tokio::spawn(follower)),
        }
    }
}

impl Receipts for ReadSideReceipts {
    fn find<'a>(&'a self, tenant: &'a Tenant, command: CommandId) -> BoxFuture<'a, Lookup> {
        async move {
            match self.seen.never(command) {
                Some(read_to) => Lookup {
                    known: None,
                    read_to,
                },
                None => self.table.find(tenant, command).await,
            }
        }
        .boxed()
    }
}
