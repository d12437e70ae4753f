//! The adapters: what the ports of the other crates look like on real machines.
//!
//! Each module implements ports of `commands` and `projections` or serves the composition root. No
//! rule of the business is here, and nothing here knows HTTP routes.

pub mod backup;
pub mod ceilings;
pub mod clock;
pub mod disk;
pub mod dispatch;
pub mod embedded;
pub mod keys;
pub mod nats;
pub mod office;
pub mod postgres;
pub mod reactions;
pub mod receipts;
pub mod seals;
pub mod telemetry;
pub mod tickets;
pub mod worker;

pub use clock::SystemClock;
