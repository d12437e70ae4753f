//! Receipts of earlier commands: how a retry finds its first answer at any later time.

use domain::{CommandId, Digest, Position, Tenant};
use futures_util::future::BoxFuture;

use crate::Receipt;

/// Finds what an earlier command was answered.
pub trait Receipts: Send + Sync + 'static {
    /// Looks for `command`. Never fails: a read side that does not answer in time has reached
    /// nothing, and the caller reads the journal itself.
    fn find<'a>(&'a self, tenant: &'a Tenant, command: CommandId) -> BoxFuture<'a, Lookup>;
}

/// What the read side knows of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The command's first answer, if the read side has met its commit.
    pub known: Option<Known>,
    /// How far the read side had read the journal: commits behind this position may be unknown to it.
    pub read_to: Position,
}

/// A command that was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// What it was answered.
    pub receipt: Receipt,
    /// The digest of its body.
    pub request: Digest,
}
