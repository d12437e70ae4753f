//! Rows kept in memory between batches.
//!
//! Two generations stand in for a list of last uses: a row that is used moves into the young one;
//! when the young one is full the old one is dropped and the young one grows old. Nothing is
//! dropped but by [`Hot::trim`], so the rows of a batch in work are safe.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// Rows by key. Each lies in a box: a growing map moves pointers then, not rows of half a kilobyte.
#[derive(Debug)]
pub(crate) struct Hot<K, V> {
    young: HashMap<K, Box<V>>,
    old: HashMap<K, Box<V>>,
}

impl<K: Eq + Hash, V> Hot<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Makes room for `key`, where it is not known; tells whether it was not.
    pub(crate) fn admit(&mut self, key: &K, value: impl FnOnce() -> V) -> bool
    where
        K: Clone,
    {
        if self.young.contains_key(key) {
            return false;
        }
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.young.insert(key, value);
            return false;
        }
        self.young.insert(key.clone(), Box::new(value()));
        true
    }

    /// What was admitted in this batch.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).map(Box::as_mut)
    }

    /// Drops one row.
    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Drops what has not been used for long, once there are more than `max`.
    pub(crate) fn trim(&mut self, max: usize) {
        if self.young.len() > max / 2 {
            self.old = mem::take(&mut self.young);
        }
    }

    pub(crate) fn clear(&mut self) {
        // The memory goes too: what filled a rebuild is not needed afterwards.
        self.young = HashMap::new();
        self.old = HashMap::new();
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let all = self.young.iter_mut().chain(self.old.iter_mut());
        all.map(|(key, value)| (key, value.as_mut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut hot = Hot::new();
        for key in 0..1_000 {
            hot.admit(&0, || 0);
            hot.admit(&key, || key);
            hot.trim(20);
        }
        assert!(hot.len() <= 22, "{}", hot.len());
        assert!(!hot.admit(&0, || 0), "used all the time");
        assert!(hot.admit(&500, || 500), "not used for long");
    }
}
