//! Office: who does what only one process at a time is to do.

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio_util::sync::CancellationToken;

use crate::journal::BoxError;

/// Where whoever holds it is alone.
pub trait Office: Send + Sync + 'static {
    /// Waits until nobody else is in office.
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, BoxError>>;
}

/// A stay in office, which ends when it is dropped.
pub struct InOffice {
    /// Cancelled when another may be in office.
    pub lost: CancellationToken,
    /// Whatever holds the office.
    pub guard: Box<dyn Send>,
}

/// An office without competition.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnlyOne;

impl Office for OnlyOne {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, BoxError>> {
        let in_office = InOffice {
            lost: CancellationToken::new(),
            guard: Box::new(()),
        };
        std::future::ready(Ok(in_office)).boxed()
    }
}
