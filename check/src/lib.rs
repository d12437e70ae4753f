//! Judges a history: what clients were told, against what stands in the journal.
//!
//! Everything here is decoded anew from the documented forms; nothing is shared with the program that
//! is judged, so that no mistake of its own can hide.
//!
//! - [`journal`]: the messages of the journal as they are stored, and the commits in them.
//! - [`history`]: what clients write down, one line before and one after each call.
//! - [`mod@judge`]: everything that is wrong, each with what and where.
//!
//! Deliberately absent: the read models. `ledgerline verify` folds the journal and compares every row.

pub mod history;
pub mod journal;
pub mod judge;

pub use history::{Call, History, Outcome};
pub use journal::{Commit, Message};
pub use judge::Finding;
