//! The two budgets of the process: memory and temporary files for messages in hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all messages in hand may take together, in octets.
///
/// Cheap to clone; every clone is the same budget. Nothing is taken from it but through
/// [`Reservation`]s, which give back when they are dropped.
#[derive(Debug, Clone)]
pub struct Budget {
    memory: Arc<Account>,
    spool: Arc<Account>,
}

impl Budget {
    /// A budget of so many octets of memory and of temporary files.
    #[must_use]
    pub fn new(memory: u64, spool: u64) -> Self {
        Self { memory: Arc::new(Account::new(memory)), spool: Arc::new(Account::new(spool)) }
    }

    /// Changes both limits. What is reserved stays; with less than that, nothing new is granted until
    /// enough was given back.
    pub fn resize(&self, memory: u64, spool: u64) {
        self.memory.limit.store(memory, Ordering::Relaxed);
        self.spool.limit.store(spool, Ordering::Relaxed);
    }

    /// Reserves memory, or nothing when so much is not left.
    #[must_use]
    pub fn memory(&self, octets: u64) -> Option<Reservation> {
        Reservation::of(&self.memory, octets)
    }

    /// Reserves room in temporary files, or nothing when so much is not left.
    #[must_use]
    pub fn spool(&self, octets: u64) -> Option<Reservation> {
        Reservation::of(&self.spool, octets)
    }

    /// Octets of memory that are reserved now.
    #[must_use]
    pub fn memory_used(&self) -> u64 {
        self.memory.used.load(Ordering::Relaxed)
    }

    /// Octets of temporary files that are reserved now.
    #[must_use]
    pub fn spool_used(&self) -> u64 {
        self.spool.used.load(Ordering::Relaxed)
    }
}

/// A part of a budget that somebody holds. Dropping it gives the part back.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    octets: u64,
}

impl Reservation {
    fn of(account: &Arc<Account>, octets: u64) -> Option<Self> {
        account.take(octets).then(|| Self { account: Arc::clone(account), octets })
    }

    /// Octets held.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Makes sure that at least `octets` are held. Says whether they are; if not, nothing changed.
    #[must_use]
    pub fn grow_to(&mut self, octets: u64) -> bool {
        let missing = octets.saturating_sub(self.octets);
        if missing > 0 && !self.account.take(missing) {
            return false;
        }
        self.octets += missing;
        true
    }

    /// Gives back what is held beyond `octets`.
    pub fn shrink_to(&mut self, octets: u64) {
        let excess = self.octets.saturating_sub(octets);
        self.account.give(excess);
        self.octets -= excess;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.give(self.octets);
    }
}

/// One of the two budgets.
#[derive(Debug)]
struct Account {
    limit: AtomicU64,
    used: AtomicU64,
}

impl Account {
    fn new(limit: u64) -> Self {
        Self { limit: AtomicU64::new(limit), used: AtomicU64::new(0) }
    }

    // Relaxed throughout: the counter guards no other memory, it only has to add up.
    fn take(&self, octets: u64) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(octets).filter(|&used| octets == 0 || used <= limit)
            })
            .is_ok()
    }

    fn give(&self, octets: u64) {
        self.used.fetch_sub(octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_granted_than_the_limit() {
        let budget = Budget::new(100, 10);
        let held = budget.memory(60).unwrap();
        assert!(budget.memory(41).is_none());
        assert!(budget.spool(11).is_none());
        assert_eq!(budget.memory_used(), 60);
        drop(held);
        assert_eq!(budget.memory_used(), 0);
        assert!(budget.memory(100).is_some());
    }

    #[test]
    fn growth_that_does_not_fit_changes_nothing() {
        let budget = Budget::new(100, 0);
        let mut held = budget.memory(10).unwrap();
        assert!(held.grow_to(90));
        assert!(!held.grow_to(101));
        assert_eq!((held.octets(), budget.memory_used()), (90, 90));
        assert!(held.grow_to(20), "holding more than asked for is enough");
        held.shrink_to(5);
        assert_eq!((held.octets(), budget.memory_used()), (5, 5));
    }

    #[test]
    fn a_smaller_limit_waits_for_what_is_out() {
        let budget = Budget::new(100, 100);
        let held = budget.memory(80).unwrap();
        budget.resize(50, 100);
        assert!(budget.memory(1).is_none());
        assert!(budget.memory(0).is_some(), "nothing can always be had");
        drop(held);
        assert!(budget.memory(50).is_some());
    }

    #[test]
    fn absurd_sizes_do_not_wrap() {
        let budget = Budget::new(u64::MAX, u64::MAX);
        let _held = budget.memory(1).unwrap();
        assert!(budget.memory(u64::MAX).is_none());
    }

    #[test]
    fn threads_never_exceed_the_limit_together() {
        let budget = Budget::new(1000, 0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let held = budget.memory(300);
                        assert!(budget.memory_used() <= 1000);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(budget.memory_used(), 0);
    }
}
