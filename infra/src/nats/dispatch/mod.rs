//! Dispatch between processes: whichever process a worker asks, the one in office answers.
//!
//! ```text
//! worker ─▶ Forwarding ─ dispatch.v1.claim ─▶ Serving ─▶ Dispatcher (in office)
//!             │   ◀──────── taken ──────────────┤
//!             │   ◀──────── jobs, in parts ─────┤   each part is acknowledged
//!             └── dispatch.v1.cancel ──────────▶┘   where the worker has gone away
//! ```
//! - [`forward`]: the port [`commands::dispatch::Dispatch`] for every process.
//! - [`serve`]: what the process in office does.
//!
//! Invariants:
//! - Whoever does not listen on `dispatch.v1.>` is not in office, and NATS says so at once where nobody
//!   does. A process listens from the moment when its dispatcher could hand out until it no longer can.
//! - Jobs whose delivery was not acknowledged are given back at once. What remains: an
//!   acknowledgement that is lost makes jobs wait again that their worker has begun, and its report is
//!   then refused; a process that dies between hand-out and delivery leaves its jobs to their leases.
//! - It is the journal, not this, that keeps two from handing out one attempt.
//!
//! Plain messages of the journal's account, which no subscriber can see; nothing is stored.

mod forward;
mod serve;

use commands::dispatch::{DispatchError, HandedOut};
use domain::Token;
use serde::{Deserialize, Serialize};

pub use self::forward::Forwarding;
pub use self::serve::serve;

/// Who listens there is in office. Another form of the messages is another version: processes of both
/// may run while a service is brought up to date, and answer each other's claims with 503 until then.
const ALL: &str = "dispatch.v1.*";

const CLAIM: &str = "dispatch.v1.claim";
const CANCEL: &str = "dispatch.v1.cancel";
const BEAT: &str = "dispatch.v1.beat";
const DEPTHS: &str = "dispatch.v1.depths";

/// Said to everybody by whoever has come into office: claims that wait at another one wait in vain.
const IN_OFFICE: &str = "dispatch-office.v1";

/// A part of the answer to a claim.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    /// It waits here.
    Taken,
    /// Some of the jobs; each part is acknowledged by an answer to it.
    Jobs { jobs: Vec<HandedOut>, is_last: bool },
    /// There will be none.
    Refused(DispatchError),
}

/// Whether the dispatcher answered, and what.
type Answer<T> = Result<T, DispatchError>;

/// What the queues of a tenant have.
type Depths = Vec<(Token, commands::dispatch::Depth)>;

/// What is sent, as bytes.
fn encoded(message: &impl Serialize) -> bytes::Bytes {
    let json = serde_json::to_vec(message);
    json.expect("plain data with text keys is JSON").into()
}
