//! Events of one counter that go to Redis together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::throttle::{Counted, CounterKey};

/// While one request about a counter is under way, events that come meanwhile wait and are counted by the next one. So
/// a counter that everything counts into costs a request for several messages, and one that is seldom used waits for
/// nobody.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Of each counter with a request under way those who wait for the next one.
    counters: Mutex<HashMap<CounterKey, Vec<Waiting>>>,
}

/// Where one event is told what it has come to.
pub(super) type Waiting = oneshot::Sender<Option<Counted>>;

impl Gathering {
    /// Adds an event. Says whether no request about its counter is under way, so that the caller has to begin.
    pub(super) fn join(&self, key: CounterKey, waiting: Waiting) -> bool {
        match self.counters().entry(key) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().push(waiting);
                false
            }
            Entry::Vacant(entry) => {
                entry.insert(vec![waiting]);
                true
            }
        }
    }

    /// The events for the next request; without any there is none under way from now on.
    pub(super) fn next(&self, key: CounterKey) -> Option<Vec<Waiting>> {
        let mut counters = self.counters();
        let waiting = counters.get_mut(&key).map(std::mem::take).filter(|waiting| !waiting.is_empty());
        if waiting.is_none() {
            counters.remove(&key);
        }
        waiting
    }

    fn counters(&self) -> MutexGuard<'_, HashMap<CounterKey, Vec<Waiting>>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells each event what it was the last of: together they were counted, and one after the other they came.
pub(super) fn tell(waiting: Vec<Waiting>, counted: Option<Counted>) {
    let together = waiting.len() as u64;
    for (waiting, later) in waiting.into_iter().zip((0..together).rev()) {
        let counted = counted.map(|all| Counted { current: all.current.saturating_sub(later), ..all });
        // A session that is over does not wait any more; its event was counted all the same.
        let _ = waiting.send(counted);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postern_core::policy::throttle::{Algorithm, Rate};

    use super::*;

    fn key() -> CounterKey {
        let rate = Rate { count: 1, period: Duration::from_secs(60), algorithm: Algorithm::FixedWindow };
        CounterKey::of_failed_logins(&rate, [192, 0, 2, 1].into())
    }

    #[test]
    fn events_that_come_meanwhile_go_together_and_are_told_apart() {
        let gathering = Gathering::default();
        let (first, mut of_first) = oneshot::channel();
        assert!(gathering.join(key(), first));
        let under_way = gathering.next(key()).unwrap();
        assert_eq!(under_way.len(), 1);
        let (mut told, others): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (waiting, told) = oneshot::channel();
                (told, gathering.join(key(), waiting))
            })
            .unzip();
        assert_eq!(others, [false; 3], "one is under way");
        let counted = |current| Some(Counted { current, previous: 7, elapsed: Duration::from_secs(1) });
        tell(under_way, counted(5));
        assert_eq!(of_first.try_recv().unwrap().unwrap().current, 5);
        tell(gathering.next(key()).unwrap(), counted(8));
        let told: Vec<_> = told.iter_mut().map(|told| told.try_recv().unwrap().unwrap()).collect();
        assert_eq!(told.iter().map(|counted| counted.current).collect::<Vec<_>>(), [6, 7, 8]);
        assert!(told.iter().all(|counted| counted.previous == 7));
        assert!(gathering.next(key()).is_none());
        let (again, _told) = oneshot::channel();
        assert!(gathering.join(key(), again), "nothing is under way any more");
    }

    #[test]
    fn all_are_told_that_nobody_has_counted() {
        let (waiting, mut told): (Vec<_>, Vec<_>) = (0..2).map(|_| oneshot::channel()).unzip();
        tell(waiting, None);
        assert!(told.iter_mut().all(|told| told.try_recv().unwrap().is_none()));
    }
}
