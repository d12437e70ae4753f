//! Which cases an import has seen. Two traces of one name would become commands with the same keys,
//! and whatever says the same in both would be taken for a repeat and vanish.

use std::collections::HashSet;

use uuid::Uuid;

use super::{CasePlan, Outcome, Rejection};

/// Cases of one import: 16 bytes and a little more each, so at most some 150 MB.
pub const CASES_MAX: usize = 4_000_000;

/// The cases that an import has seen.
#[derive(Debug, Default)]
pub struct SeenCases(HashSet<Uuid>);

/// There are more cases than an import can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log has more than `{CASES_MAX}` cases; split it, and import one part after another")]
pub struct TooManyCases;

impl SeenCases {
    /// The plan as it is for a case seen for the first time; for another trace of the same name, a
    /// plan that rejects each of its events.
    ///
    /// # Errors
    /// When there are more than [`CASES_MAX`] cases.
    pub fn check(&mut self, mut plan: CasePlan) -> Result<CasePlan, TooManyCases> {
        let Some(id) = plan.id else { return Ok(plan) };
        if self.0.contains(&id) {
            for event in &mut plan.events {
                event.outcome = Outcome::Rejected(Rejection::RepeatedCase);
            }
            return Ok(plan);
        }
        if self.0.len() == CASES_MAX {
            return Err(TooManyCases);
        }
        self.0.insert(id);
        Ok(plan)
    }
}
