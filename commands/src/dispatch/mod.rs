//! Dispatch: which job goes to which worker, and when an attempt has to end.
//!
//! - [`board`]: what waits and what runs, as a fold of the journal; pure, and all decisions are in it.
//! - [`office`]: the task around it, which follows the journal, hands out and ends attempts.
//!
//! One dispatcher is in office at a time. It keeps nothing that the journal does not have but the ends
//! of leases: a new one gives every running attempt a fresh lease. Each hand-out is made true by the
//! journal (`started`, as the attempt with the next number), so two dispatchers that both believe to be
//! in office cannot hand out one attempt twice.
//!
//! Deliberately absent: a second copy of the queue in a broker. It would have to be reconciled with the
//! journal after every crash, and knows neither limits nor fairness (ADR 7).

pub mod board;
pub mod office;
mod ready;

use std::sync::Arc;
use std::time::Duration;

use domain::job::{Capabilities, Spec};
use domain::{Name, Position, Tenant, Timestamp, Token};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::office::{Dispatcher, FromTheStart, Loaded, OpenJob, OpenJobs};
pub use self::ready::JobKey;

/// How many jobs one claim may take.
pub const CLAIM_JOBS_MAX: usize = 1_000;

/// How many bytes of jobs one claim may take: a thousand of the largest would be 250 MB in one answer,
/// and several times that on its way.
pub const CLAIM_BYTES_MAX: usize = 32 << 20;

/// How long a claim may wait for a job.
pub const CLAIM_WAIT_MAX: Duration = Duration::from_secs(60);

/// How many queues one claim may name.
pub const CLAIM_QUEUES_MAX: usize = 50;

/// The shortest and the longest lease.
pub const LEASE_S: std::ops::RangeInclusive<u32> = 1..=3_600;

/// The lease of a worker that names none, and of an attempt whose worker a new dispatcher does not know.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(30);

/// A worker that asks for jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claim {
    /// Of whose jobs.
    pub tenant: Tenant,
    /// From which queues.
    pub queues: Vec<Token>,
    /// Under which name.
    pub worker: Name,
    /// What it can do.
    pub capabilities: Capabilities,
    /// How many at most, up to [`CLAIM_JOBS_MAX`].
    pub jobs_max: usize,
    /// How many bytes they may have together as JSON, where one alone has no more, up to
    /// [`CLAIM_BYTES_MAX`].
    pub bytes_max: usize,
    /// How long until it has to be heard of again.
    pub lease: Duration,
    /// How long it waits where there is none.
    pub wait: Duration,
    /// Who asks, for the record.
    pub actor: domain::Actor,
}

/// A job that was handed out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandedOut {
    /// Its id.
    pub id: Uuid,
    /// The number of the attempt, which every report names.
    pub attempt: u32,
    /// What is to be done.
    pub spec: Arc<Spec>,
    /// When the lease ends, unless the worker is heard of before.
    pub lease_until: Timestamp,
    /// Where the hand-out stands in the journal.
    pub position: Position,
}

/// A worker that is alive.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Beat {
    /// Of whose job.
    pub tenant: Tenant,
    /// The job.
    pub id: Uuid,
    /// The attempt that it works on.
    pub attempt: u32,
    /// How long until it has to be heard of again, where that is to change.
    pub lease: Option<Duration>,
}

/// What one queue has right now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// Jobs that could be handed out.
    pub ready: usize,
    /// Jobs that wait for their time.
    pub delayed: usize,
    /// Jobs that workers have.
    pub running: usize,
    /// Whether nothing is handed out.
    pub is_paused: bool,
}

/// Why the dispatcher does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DispatchError {
    /// None is in office, or it has not read the journal to its end yet.
    #[error("no dispatcher is in office")]
    NotInOffice,
    /// As many claims wait as may.
    #[error("too many claims wait")]
    TooManyClaims,
}

/// The dispatcher, as the rest of the program sees it.
pub trait Dispatch: Send + Sync + 'static {
    /// Hands out jobs; none, where there was none in time.
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<HandedOut>, DispatchError>>;

    /// Prolongs a lease. None, where this attempt does not run: the worker should stop.
    fn beat(&self, beat: Beat) -> BoxFuture<'_, Result<Option<Timestamp>, DispatchError>>;

    /// What the queues of `tenant` have.
    fn depths<'a>(
        &'a self,
        tenant: &'a Tenant,
    ) -> BoxFuture<'a, Result<Vec<(Token, Depth)>, DispatchError>>;
}
