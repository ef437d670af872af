//! State that messages share: counters of throttles and failed logins, keys and counters of expressions, first sights of the
//! greylist, and what was delivered before a client tries again.
//!
//! ```text
//! session ──> Store ──> Redis, when the policy names one and it answers in time
//!                  └──> memory of this process otherwise
//! ```
//!
//! A shared store that is slow or gone never holds a session up for longer than `store.timeout`, and not again
//! until it answers anew: until then every process counts by itself, which a metric and a log line say.

mod delivered;
mod greylist;
mod memory;
mod metrics;
mod redis;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use postern_core::policy::filter::Greylist;
use postern_core::policy::settings::Store as Setting;
use postern_core::policy::throttle::{Rate, Throttle};

use self::greylist::FirstSights;
pub use self::greylist::Triple;
use self::memory::MemoryStore;
pub use self::metrics::StoreMetrics;
use self::redis::RedisStore;
pub use self::throttle::{CounterKey, Counters};
use crate::handoff::InMemory;

/// The store of the process. It outlives reloads; what is in memory stays when Redis comes and goes.
#[derive(Debug, Default)]
pub struct Store {
    shared: ArcSwapOption<RedisStore>,
    keys: MemoryStore,
    throttles: Counters,
    sights: FirstSights,
    delivered: InMemory,
    metrics: StoreMetrics,
}

impl Store {
    /// A store in memory, which counts into `metrics`.
    #[must_use]
    pub fn new(metrics: StoreMetrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// Another policy is in force. A connection to the same Redis stays.
    pub fn configure(&self, setting: &Setting) {
        let Setting::Redis(wanted) = setting else { return self.shared.store(None) };
        let is_same = self.shared.load().as_ref().is_some_and(|shared| shared.is_for(wanted));
        if !is_same {
            self.shared.store(Some(RedisStore::connect(wanted.clone(), self.metrics.clone())));
        }
    }

    /// Counts one event and says whether it is within the rate. Refused events count as well.
    pub async fn admit(&self, throttle: &Throttle, values: &str, now: Timestamp) -> bool {
        let key = CounterKey::of(throttle, values);
        if let Some(shared) = self.shared()
            && let Some(counted) = shared.count(key, &throttle.rate).await
        {
            return counted.is_within(&throttle.rate);
        }
        self.throttles.admit(key, &throttle.rate, now)
    }

    /// Whether a client's network has failed to log in less often than it may.
    pub async fn may_log_in(&self, rate: &Rate, client: IpAddr, now: Timestamp) -> bool {
        let key = CounterKey::of_failed_logins(rate, client);
        if let Some(shared) = self.shared()
            && let Some(counted) = shared.counted(key, rate).await
        {
            return counted.has_room(rate);
        }
        self.throttles.has_room(key, rate, now)
    }

    /// Counts a failed login, and says whether the network may fail once more.
    pub async fn login_failed(&self, rate: &Rate, client: IpAddr, now: Timestamp) -> bool {
        let key = CounterKey::of_failed_logins(rate, client);
        if let Some(shared) = self.shared()
            && let Some(counted) = shared.count(key, rate).await
        {
            return counted.has_room(rate);
        }
        self.throttles.admit(key, rate, now) && self.throttles.has_room(key, rate, now)
    }

    /// The value of a key; none when it was not set.
    pub async fn value(&self, key: &str) -> Option<Box<str>> {
        if let Some(shared) = self.shared()
            && let Some(value) = shared.value(key).await
        {
            return value.map(String::into_boxed_str);
        }
        self.keys.get(key)
    }

    /// Sets a key.
    pub async fn set_value(&self, key: &str, value: &str) {
        if let Some(shared) = self.shared()
            && shared.set_value(key, value).await.is_some()
        {
            return;
        }
        self.keys.set(key, value);
    }

    /// The count of a counter; 0 when nothing was counted.
    pub async fn count(&self, key: &str) -> i64 {
        if let Some(shared) = self.shared()
            && let Some(count) = shared.counter(key).await
        {
            return count;
        }
        self.keys.count(key)
    }

    /// Adds to a counter and returns the new count.
    pub async fn increase(&self, key: &str, by: i64) -> i64 {
        if let Some(shared) = self.shared()
            && let Some(count) = shared.increase(key, by).await
        {
            return count;
        }
        self.keys.increase(key, by)
    }

    /// Whether a sender may pass the greylist: not at the first sight, and not before its delay is over.
    pub async fn has_waited(&self, triple: Triple, greylist: &Greylist, now: Timestamp) -> bool {
        if let Some(shared) = self.shared()
            && let Some(passes) = shared.has_waited(triple, greylist).await
        {
            return passes;
        }
        self.sights.has_waited(triple, greylist, now)
    }

    /// Whether Redis is named and answers; unset: none is named.
    #[must_use]
    pub fn shared_is_up(&self) -> Option<bool> {
        self.shared.load().as_ref().map(|shared| shared.is_up())
    }

    /// Forgets what is without effect by now.
    pub fn purge(&self, now: Timestamp) {
        self.throttles.purge(now);
        self.sights.purge(now);
    }

    fn shared(&self) -> Option<Arc<RedisStore>> {
        self.shared.load_full()
    }
}
