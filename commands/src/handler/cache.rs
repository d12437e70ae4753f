//! The states that are kept in memory.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

/// How many aggregates are kept in memory: about 1 KiB each.
const ENTRIES_MAX: usize = 50_000;

/// How much of that is for what is used again and again; the rest is for what came last.
///
/// Most aggregates are used a few times within a short life, jobs before all. Where much is kept for
/// frequent use, those of the past fill it, and new ones are put out before their second command: each of
/// them is then read from the journal again.
const FREQUENT_SHARE: f64 = 0.1;

/// An empty one.
pub(super) fn cache<K: Eq + Hash, V: Clone>() -> Cache<K, V> {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(ENTRIES_MAX)
        .weight_capacity(ENTRIES_MAX as u64)
        .hot_allocation(FREQUENT_SHARE)
        .build()
        .expect("both capacities are given");
    Cache::with_options(
        options,
        UnitWeighter,
        DefaultHashBuilder::default(),
        DefaultLifecycle::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_last_is_kept_however_much_was_there_before() {
        const OPEN: u32 = 20_000;
        let cache = cache();
        for wave in 0..10 {
            let keys = || wave * OPEN..(wave + 1) * OPEN;
            keys().for_each(|key| cache.insert(key, ()));
            for _command in ["start", "complete"] {
                let kept = keys().filter(|key| cache.get(key).is_some()).count();
                assert_eq!(kept, OPEN as usize, "wave {wave}");
            }
        }
    }

    #[test]
    fn what_is_used_again_and_again_is_kept_while_others_come_and_go() {
        let cache = cache();
        for key in 0..500_000_u32 {
            let often = u32::MAX - key % 1_000;
            let kept = cache.get(&often).is_some();
            assert!(kept || key < 2_000, "{key}");
            if !kept {
                cache.insert(often, ());
            }
            cache.insert(key, ());
        }
    }
}
