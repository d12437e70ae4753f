//! Which command ids were committed, as far as memory can tell: Bloom filters over all of them.
//!
//! A filter says "never" or "perhaps". "Never" saves a question to the database, and nearly every
//! command gets it; "perhaps" is wrong once in a thousand times and then costs that question. What was
//! committed once stays so, so the filters only grow, and lose nothing when the read side is restored
//! to an earlier state.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use domain::{CommandId, Position};
use fastbloom::AtomicBloomFilter;
use projections::QueryError;
use projections::command::{self, Ids};
use sqlx::PgPool;
use tokio::sync::watch;

/// How many ids the first filter takes; each later one takes twice as many as the one before.
const FIRST_IDS: usize = 1 << 20;

/// How often a filter says "perhaps" of an id that it never met: at 14.4 bits an id.
const WRONG_PERHAPS: f64 = 0.001;

/// How many filters there are at most: 31 million ids in 57 MB. Past that, every keyed command asks
/// the table again.
const FILTERS_MAX: u32 = 5;

/// How many ids are asked for at once.
const PAGE: u32 = 10_000;

/// The least time between two questions. A hot aggregate remembers the commands of far longer.
const PACE: Duration = Duration::from_millis(25);

/// How long to wait after the database did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The ids that were committed up to some position.
#[derive(Debug, Default)]
pub(super) struct Seen(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    filters: Vec<Filter>,
    /// Every id that was committed up to here is in a filter; none until the first reading is through.
    reached: Option<Position>,
}

#[derive(Debug)]
struct Filter {
    ids: AtomicBloomFilter,
    room: usize,
}

/// More ids than the filters take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Seen {
    /// That `command` was not committed up to the position; none where it may have been, or where
    /// memory cannot tell.
    pub(super) fn never(&self, command: CommandId) -> Option<Position> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_new = || {
            let mut filters = inner.filters.iter();
            !filters.any(|filter| filter.ids.contains(command.0.as_bytes()))
        };
        inner.reached.filter(|_| is_new())
    }

    /// Takes `ids` in, and once `reached` is there answers for everything up to it.
    fn take(&self, ids: &[CommandId], reached: Option<Position>) -> Result<(), Full> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            let Some(filter) = inner.with_room() else {
                *inner = Inner::default();
                return Err(Full);
            };
            filter.ids.insert(id.0.as_bytes());
            filter.room -= 1;
        }
        inner.reached = reached.or(inner.reached);
        Ok(())
    }
}

impl Inner {
    /// The filter that takes the next id.
    fn with_room(&mut self) -> Option<&mut Filter> {
        if self.filters.last().is_none_or(|filter| filter.room == 0) {
            let number = u32::try_from(self.filters.len()).unwrap_or(u32::MAX);
            let room = (number < FILTERS_MAX).then(|| FIRST_IDS << number)?;
            // The ids are hashes already; whoever finds one that looks known gains a question.
            let ids = AtomicBloomFilter::with_false_pos(WRONG_PERHAPS)
                .seed(&u128::from(number))
                .expected_items(room);
            self.filters.push(Filter { ids, room });
        }
        self.filters.last_mut()
    }
}

/// Reads the ids from the beginning, and then whenever the read side has moved.
pub(super) async fn follow(
    seen: std::sync::Arc<Seen>,
    pool: PgPool,
    mut read_side: watch::Receiver<Position>,
) {
    let mut after = Position::START;
    loop {
        match read(&pool, after).await {
            Ok(found) => {
                after = found.position;
                let reached = found.is_end.then_some(after);
                if seen.take(&found.ids, reached) == Err(Full) {
                    tracing::warn!(
                        "more commands than fit in memory: every idempotency key is looked up in postgres"
                    );
                    return;
                }
                if found.is_end {
                    tokio::time::sleep(PACE).await;
                    // Closed only when the process ends.
                    if read_side.changed().await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "learn which commands were committed");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn read(pool: &PgPool, after: Position) -> Result<Ids, QueryError> {
    let mut connection = pool.acquire().await?;
    command::ids_behind(&mut *connection, after, PAGE).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn ids(numbers: std::ops::Range<usize>) -> Vec<CommandId> {
        let id =
            |number: usize| CommandId(Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes()));
        numbers.map(id).collect()
    }

    #[test]
    fn nothing_is_known_before_everything_was_read() {
        let seen = Seen::default();
        seen.take(&ids(0..10), None).expect("room");
        assert_eq!(seen.never(ids(10..11)[0]), None);
        seen.take(&[], Some(Position(10))).expect("room");
        assert_eq!(seen.never(ids(10..11)[0]), Some(Position(10)));
    }

    #[test]
    fn what_was_committed_is_never_called_new() {
        let seen = Seen::default();
        let count = FIRST_IDS + 1_000;
        seen.take(&ids(0..count), Some(Position(1))).expect("room");
        assert!(ids(0..count).iter().all(|id| seen.never(*id).is_none()));
        let strangers = ids(count..count + 10_000);
        let wrong = strangers.iter().filter(|id| seen.never(**id).is_none());
        let wrong = wrong.count();
        assert!(wrong < 50, "{wrong} of 10,000 new ids look known");
    }

    #[test]
    fn when_it_is_full_it_claims_nothing() {
        let seen = Seen::default();
        let mut inner = Inner::default();
        for _ in 0..FILTERS_MAX {
            inner.with_room().expect("a filter").room = 0;
        }
        inner.reached = Some(Position(1));
        *seen.0.write().expect("nobody panicked") = inner;
        assert_eq!(seen.take(&ids(0..1), Some(Position(2))), Err(Full));
        assert_eq!(seen.never(ids(5..6)[0]), None);
    }
}
