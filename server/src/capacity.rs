//! How many connections there may be: one limit for each listener, one for all of them together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts of open connections. They outlive reloads, since connections do.
#[derive(Debug, Default)]
pub struct Capacity {
    all: Arc<AtomicU32>,
    by_listener: Mutex<HashMap<Arc<str>, Arc<AtomicU32>>>,
}

/// The count of one listener's connections.
#[derive(Debug, Clone, Default)]
pub struct ListenerCount(Arc<AtomicU32>);

/// A connection's place in both counts, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    all: Place,
    listener: Place,
}

/// Which limit a connection ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `MtaListener.maxConnections`
    Listener,
    /// `MtaSettings.maxConnections`
    Server,
}

impl Capacity {
    /// The count of the listener with that name, kept from one policy to the next.
    pub fn of(&self, listener: &Arc<str>) -> ListenerCount {
        let mut counts = self.by_listener.lock().unwrap_or_else(PoisonError::into_inner);
        // Counters that nobody holds any more belong to listeners that are gone.
        counts.retain(|_, count| Arc::strong_count(count) > 1);
        ListenerCount(Arc::clone(counts.entry(Arc::clone(listener)).or_default()))
    }

    /// Takes a place for one more connection.
    ///
    /// # Errors
    /// Which of the two limits is reached; nothing is counted then.
    pub fn admit(&self, listener: &ListenerCount, of_listener: u32, of_server: u32) -> Result<Permit, Full> {
        let listener = Place::take(&listener.0, of_listener).ok_or(Full::Listener)?;
        let all = Place::take(&self.all, of_server).ok_or(Full::Server)?;
        Ok(Permit { all, listener })
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.all.load(Ordering::Acquire)
    }
}

impl ListenerCount {
    /// Connections of this listener that are open now.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

impl Permit {
    /// Connections that this one's listener has open, itself included.
    #[must_use]
    pub fn open_on_listener(&self) -> u32 {
        self.listener.0.load(Ordering::Acquire)
    }

    /// Connections that the server has open, this one included.
    #[must_use]
    pub fn open_on_server(&self) -> u32 {
        self.all.0.load(Ordering::Acquire)
    }
}

/// One unit of a counter.
#[derive(Debug)]
struct Place(Arc<AtomicU32>);

impl Place {
    fn take(count: &Arc<AtomicU32>, limit: u32) -> Option<Self> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < limit).then(|| open + 1))
            .ok()
            .map(|_| Self(Arc::clone(count)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    #[test]
    fn a_full_listener_takes_no_more_until_one_leaves() {
        let capacity = Capacity::default();
        let count = capacity.of(&name("smtp"));
        let first = capacity.admit(&count, 1, 10).unwrap();
        assert_eq!(capacity.admit(&count, 1, 10).unwrap_err(), Full::Listener);
        drop(first);
        assert!(capacity.admit(&count, 1, 10).is_ok());
    }

    #[test]
    fn the_limit_of_the_server_holds_for_all_listeners_together() {
        let capacity = Capacity::default();
        let (one, other) = (capacity.of(&name("one")), capacity.of(&name("other")));
        let _first = capacity.admit(&one, 10, 1).unwrap();
        assert_eq!(capacity.admit(&other, 10, 1).unwrap_err(), Full::Server);
        assert_eq!(other.open(), 0, "a refused connection takes no place on its listener");
    }

    #[test]
    fn counts_outlive_a_policy_as_long_as_connections_do() {
        let capacity = Capacity::default();
        let permit = capacity.admit(&capacity.of(&name("smtp")), 10, 10).unwrap();
        assert_eq!(capacity.of(&name("smtp")).open(), 1);
        drop(permit);
        assert_eq!(capacity.of(&name("smtp")).open(), 0);
    }
}
