//! What was delivered although the client was told to try again.
//!
//! After a mixed answer the client has to send everything once more. What is remembered here is then
//! skipped, so that nobody gets a message twice.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A future that a store answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sender and recipient, hashed in their comparison forms.
pub type Parties = [u8; 32];

/// One message to one recipient.
///
/// The message is known by its octets as they were received: our own fields differ at every try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// From whom to whom.
    pub parties: Parties,
    /// SHA-256 of the message as it was received.
    pub message: [u8; 32],
}

/// Remembers deliveries for [`REMEMBERED_FOR`], in this process or for all of a cluster.
///
/// A store that cannot be reached answers as if it knew nothing: a copy too many is better than one too
/// few.
pub trait DeliveredStore: std::fmt::Debug + Send + Sync {
    /// Whether anything is remembered at all. Mostly nothing is, and neither parties nor messages need be hashed.
    fn holds_anything(&self) -> Answer<'_, bool>;
    /// The places of those parties of whom anything is known. Answered without the message, because most
    /// messages are sent once and need not be hashed then.
    fn knows<'a>(&'a self, parties: &'a [Parties]) -> Answer<'a, Vec<usize>>;
    /// Whether this was delivered.
    fn was_delivered<'a>(&'a self, delivery: &'a Delivery) -> Answer<'a, bool>;
    /// These were delivered. Answered when every process knows it that shares the store.
    fn remember<'a>(&'a self, deliveries: &'a [Delivery]) -> Answer<'a, ()>;
}

/// How long a delivery is remembered: as long as clients commonly try (RFC 5321 section 4.5.4.1).
pub const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 24 * 3600);

/// Remembers in the memory of this process, up to a number of deliveries; beyond it the oldest is
/// forgotten.
#[derive(Debug)]
pub struct InMemory {
    state: Mutex<State>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    by_parties: HashMap<Parties, Vec<[u8; 32]>>,
    /// In the order of remembering, which is that of forgetting.
    ages: VecDeque<(Instant, Delivery)>,
}

impl Default for InMemory {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl InMemory {
    /// A memory for so many deliveries, of some 200 octets each.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), capacity: capacity.max(1) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(|age| age.elapsed() >= REMEMBERED_FOR);
        work(&mut state)
    }
}

impl DeliveredStore for InMemory {
    fn holds_anything(&self) -> Answer<'_, bool> {
        let anything = self.with(|state| !state.ages.is_empty());
        Box::pin(std::future::ready(anything))
    }

    fn knows<'a>(&'a self, parties: &'a [Parties]) -> Answer<'a, Vec<usize>> {
        let known = self.with(|state| {
            let known = |parties: &Parties| state.by_parties.contains_key(parties);
            parties.iter().enumerate().filter(|(_, parties)| known(parties)).map(|(place, _)| place).collect()
        });
        Box::pin(std::future::ready(known))
    }

    fn was_delivered<'a>(&'a self, delivery: &'a Delivery) -> Answer<'a, bool> {
        let delivered = self.with(|state| state.holds(delivery));
        Box::pin(std::future::ready(delivered))
    }

    fn remember<'a>(&'a self, deliveries: &'a [Delivery]) -> Answer<'a, ()> {
        self.with(|state| deliveries.iter().for_each(|delivery| state.remember(*delivery, self.capacity)));
        Box::pin(std::future::ready(()))
    }
}

impl State {
    fn holds(&self, delivery: &Delivery) -> bool {
        self.by_parties.get(&delivery.parties).is_some_and(|messages| messages.contains(&delivery.message))
    }

    fn remember(&mut self, delivery: Delivery, capacity: usize) {
        if self.holds(&delivery) {
            return;
        }
        if self.ages.len() >= capacity {
            self.forget_oldest();
        }
        self.by_parties.entry(delivery.parties).or_default().push(delivery.message);
        self.ages.push_back((Instant::now(), delivery));
    }

    fn forget(&mut self, is_old: impl Fn(&Instant) -> bool) {
        while self.ages.front().is_some_and(|(age, _)| is_old(age)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, delivery)) = self.ages.pop_front() else { return };
        if let Some(messages) = self.by_parties.get_mut(&delivery.parties) {
            messages.retain(|message| *message != delivery.message);
            if messages.is_empty() {
                self.by_parties.remove(&delivery.parties);
            }
        }
    }
}

/// Some 20 MB when full, which takes a hundred thousand mixed answers within five days.
const DEFAULT_CAPACITY: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(parties: u8, message: u8) -> Delivery {
        Delivery { parties: [parties; 32], message: [message; 32] }
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_is_remembered_for_five_days() {
        let memory = InMemory::default();
        assert!(!memory.holds_anything().await);
        memory.remember(&[delivery(1, 1)]).await;
        assert!(memory.holds_anything().await);
        assert_eq!(memory.knows(&[[1; 32], [2; 32]]).await, [0]);
        assert!(memory.was_delivered(&delivery(1, 1)).await);
        assert!(!memory.was_delivered(&delivery(1, 2)).await, "another message is another delivery");
        tokio::time::advance(REMEMBERED_FOR).await;
        assert!(!memory.holds_anything().await && memory.knows(&[[1; 32]]).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_memory_forgets_the_oldest() {
        let memory = InMemory::new(2);
        memory.remember(&[1, 2, 2, 3].map(|message| delivery(1, message))).await;
        assert!(!memory.was_delivered(&delivery(1, 1)).await);
        assert!(memory.was_delivered(&delivery(1, 2)).await && memory.was_delivered(&delivery(1, 3)).await);
    }
}
