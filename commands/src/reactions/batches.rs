//! When a batch is looked at, and what is done then.
//!
//! Whether all jobs of a batch have ended is counted by somebody else, over all of its jobs. So a batch is
//! not looked at for each of them: a look that finds so many still missing is followed by the next one only
//! when so many more have ended. What was found is forgotten with the term, which costs a look at each
//! batch of which a job ends.

use std::collections::HashMap;

use domain::batch::{self, Counts, JobCount};
use domain::{EventPosition, Position, StreamId};
use futures_util::future::{BoxFuture, FutureExt as _};

use super::command::{NotNow, ask};
use super::{Effect, Parts, Reaction};
use crate::journal::BoxError;

/// Of how many batches it is known how many jobs are missing: some 20 MiB. Beyond it all are forgotten, and
/// looked at once more.
const KNOWN_MAX: usize = 100_000;

/// Counts the jobs of batches.
pub trait CountJobs: Send + Sync + 'static {
    /// How far the batch is, with everything up to `position` taken in; nothing where it was never opened.
    fn count(
        &self,
        batch: &StreamId,
        position: Position,
    ) -> BoxFuture<'_, Result<Option<Counted>, BoxError>>;
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many jobs it has, once that is said.
    pub jobs: Option<JobCount>,
    /// How many wait or run.
    pub open: u64,
    /// How those that have ended did so.
    pub ended: Counts,
    /// Whether it was completed before.
    pub is_completed: bool,
}

/// No batch was ever opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBatches;

/// What is known of the batches that were looked at.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// How many more jobs have to end before a batch can be over.
    missing: HashMap<StreamId, u64>,
}

/// A batch that was looked at, and how many more of its jobs have to end.
pub(super) type Looked = (StreamId, u64);

/// More than ever end: what changes such a batch is an event of its own.
const NOT_BY_ENDS: u64 = u64::MAX;

impl Known {
    /// Of the looks among `reactions` leaves those that can find a batch to be over, one a batch: the last.
    pub(super) fn leave_due(&mut self, reactions: &mut Vec<Reaction>) {
        let mut due: HashMap<StreamId, EventPosition> = HashMap::new();
        for reaction in reactions.iter() {
            let Effect::CompleteBatch { is_of_job } = reaction.effect else {
                continue;
            };
            let missing = self.missing.get_mut(&reaction.about);
            let is_due = match missing.filter(|_| is_of_job) {
                Some(missing) => {
                    // Those that ended before the look are counted twice, so a look may come early.
                    *missing = match *missing {
                        NOT_BY_ENDS => NOT_BY_ENDS,
                        some => some.saturating_sub(1),
                    };
                    *missing == 0
                }
                None => true,
            };
            // What comes behind a look in one chunk would not count towards the next: the last is looked at.
            if is_due || due.contains_key(&reaction.about) {
                due.insert(reaction.about.clone(), reaction.cause);
            }
        }
        reactions.retain(|reaction| match reaction.effect {
            Effect::CompleteBatch { .. } => due.get(&reaction.about) == Some(&reaction.cause),
            Effect::EnqueueRun { .. }
            | Effect::CancelRun { .. }
            | Effect::EndRun { .. }
            | Effect::EnqueueFollowUp { .. } => true,
        });
    }

    /// Takes in what was found.
    pub(super) fn take(&mut self, looked: Vec<Looked>) {
        if self.missing.len() + looked.len() > KNOWN_MAX {
            self.missing.clear();
        }
        self.missing.extend(looked);
    }
}

/// Completes the batch, if all of its jobs have ended; else tells how many more have to.
pub(super) async fn complete(
    parts: &Parts,
    batch: StreamId,
    cause: EventPosition,
) -> Result<Looked, NotNow> {
    let Some(counted) = parts.count.count(&batch, cause.position).await? else {
        return Ok((batch, NOT_BY_ENDS));
    };
    let missing = counted.missing();
    if missing > 0 {
        return Ok((batch, missing));
    }
    let complete = batch::Command::Complete(counted.ended);
    ask(&parts.batches, &batch, cause, complete).await?;
    Ok((batch, NOT_BY_ENDS))
}

impl Counted {
    fn missing(&self) -> u64 {
        match self.jobs {
            Some(jobs) if !self.is_completed => {
                let to_come = jobs.get().saturating_sub(self.ended.ended());
                self.open.max(to_come)
            }
            Some(_) | None => NOT_BY_ENDS,
        }
    }
}

impl CountJobs for NoBatches {
    fn count(
        &self,
        _batch: &StreamId,
        _position: Position,
    ) -> BoxFuture<'_, Result<Option<Counted>, BoxError>> {
        std::future::ready(Ok(None)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use domain::batch::Batch;
    use domain::{Aggregate as _, Tenant, Token};

    use super::*;

    fn batch(name: &str) -> StreamId {
        let tenant = Tenant::new("acme").expect("a tenant");
        StreamId::new(tenant, Batch::CATEGORY, Token::new(name).expect("an id"))
    }

    fn reaction(name: &str, position: u64, is_of_job: bool) -> Reaction {
        Reaction {
            cause: EventPosition {
                position: Position(position),
                index: 0,
            },
            about: batch(name),
            effect: Effect::CompleteBatch { is_of_job },
        }
    }

    fn ended(name: &str, position: u64) -> Reaction {
        reaction(name, position, true)
    }

    fn closed(name: &str, position: u64) -> Reaction {
        reaction(name, position, false)
    }

    /// The positions of what is looked at.
    fn due(known: &mut Known, mut reactions: Vec<Reaction>) -> Vec<u64> {
        known.leave_due(&mut reactions);
        let positions = reactions.iter().map(|reaction| reaction.cause.position.0);
        positions.collect()
    }

    #[test]
    fn a_batch_is_looked_at_once_a_chunk_and_again_when_as_many_have_ended_as_were_missing() {
        let mut known = Known::default();
        let first = vec![ended("a", 1), ended("b", 2), ended("a", 3)];
        assert_eq!(due(&mut known, first), [2, 3]);
        known.take(vec![(batch("a"), 3), (batch("b"), 1)]);
        assert!(due(&mut known, vec![ended("a", 4), ended("a", 5)]).is_empty());
        let third = vec![ended("b", 6), ended("a", 7), ended("a", 8)];
        assert_eq!(due(&mut known, third), [6, 8]);
    }

    #[test]
    fn a_batch_that_is_not_closed_is_looked_at_when_it_is_and_with_what_came_behind() {
        let mut known = Known::default();
        known.take(vec![(batch("a"), Counted::default().missing())]);
        assert!(due(&mut known, vec![ended("a", 1), ended("a", 2)]).is_empty());
        assert_eq!(due(&mut known, vec![ended("a", 3), closed("a", 4)]), [4]);
        assert_eq!(due(&mut known, vec![closed("a", 5), ended("a", 6)]), [6]);
    }

    #[test]
    fn as_many_are_missing_as_are_open_or_still_to_come() {
        let counted = |jobs: u32, open, succeeded| Counted {
            jobs: Some(JobCount::new(jobs).expect("not too many")),
            open,
            ended: Counts {
                succeeded,
                ..Counts::default()
            },
            is_completed: false,
        };
        assert_eq!(counted(5, 2, 3).missing(), 2);
        assert_eq!(counted(5, 1, 1).missing(), 4, "three are not enqueued yet");
        assert_eq!(counted(1, 2, 1).missing(), 2, "more than were said");
        assert_eq!(counted(3, 0, 3).missing(), 0);
        assert_eq!(counted(0, 0, 0).missing(), 0);
        let over = Counted {
            is_completed: true,
            ..counted(3, 0, 3)
        };
        assert_eq!(over.missing(), NOT_BY_ENDS);
    }

    #[test]
    fn what_is_known_of_too_many_batches_is_forgotten() {
        let mut known = Known::default();
        let many = (0..KNOWN_MAX).map(|number| (batch(&number.to_string()), 7));
        known.take(many.collect());
        known.take(vec![(batch("a"), 7)]);
        assert_eq!(known.missing.len(), 1);
    }
}
