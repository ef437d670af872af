//! `counter_*` and `key_*` of the default store, in the memory of this process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Keys and counters that expressions set. Bounded: when it is full it forgets, which is what a cache of
/// one pod may do at any time.
#[derive(Debug)]
pub(super) struct MemoryStore {
    entries: Mutex<HashMap<Box<str>, Entry>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Entry {
    value: Option<Box<str>>,
    count: i64,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_capacity(MOST_ENTRIES)
    }
}

impl MemoryStore {
    /// A store of so many keys at the most.
    pub(super) fn with_capacity(most: usize) -> Self {
        Self { entries: Mutex::default(), most }
    }

    /// The value of a key, if it was set.
    pub(super) fn get(&self, key: &str) -> Option<Box<str>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).and_then(|entry| entry.value.clone())
    }

    /// Sets a key.
    pub(super) fn set(&self, key: &str, value: &str) {
        self.with(key, |entry| entry.value = Some(value.into()));
    }

    /// The count of a counter; 0 when nothing was counted.
    pub(super) fn count(&self, key: &str) -> i64 {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).map_or(0, |entry| entry.count)
    }

    /// Adds to a counter and returns the new count.
    pub(super) fn increase(&self, key: &str, by: i64) -> i64 {
        self.with(key, |entry| {
            entry.count = entry.count.saturating_add(by);
            entry.count
        })
    }

    fn with<T>(&self, key: &str, act: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most && !entries.contains_key(key) {
            tracing::warn!(keys = entries.len(), "the store in memory is full and starts anew");
            entries.clear();
        }
        act(entries.entry(key.into()).or_default())
    }
}

/// Enough for the counters of a busy pod, and under 64 MiB with keys of usual length.
const MOST_ENTRIES: usize = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_values_of_one_name_do_not_mix() {
        let store = MemoryStore::default();
        store.set("a", "text");
        assert_eq!(store.increase("a", 2), 2);
        assert_eq!(store.increase("a", i64::MAX), i64::MAX);
        assert_eq!(store.get("a").as_deref(), Some("text"));
        assert_eq!((store.count("b"), store.get("b")), (0, None));
    }

    #[test]
    fn a_key_with_an_empty_value_is_set() {
        let store = MemoryStore::default();
        store.set("a", "");
        store.increase("b", 1);
        assert_eq!((store.get("a").as_deref(), store.get("b")), (Some(""), None));
    }

    #[test]
    fn a_full_store_forgets_instead_of_growing() {
        let store = MemoryStore::with_capacity(2);
        (0..100).for_each(|n| store.set(&n.to_string(), "x"));
        assert!(store.entries.lock().unwrap().len() <= 2);
    }
}
