//! The counters of throttles and of failed logins, in the memory of this process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use postern_core::policy::throttle::{Algorithm, Rate, Throttle};
use sha2::{Digest, Sha256};

/// Whose events a counter counts: a throttle and the values of its key, as one number.
///
/// A cryptographic digest, so that nobody can choose an address that shares somebody else's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CounterKey(u128);

/// Counters of all throttles, spread over shards so that connections seldom wait for each other.
#[derive(Debug)]
pub struct Counters {
    shards: Vec<Mutex<HashMap<CounterKey, Counter>>>,
    shard_capacity: usize,
}

/// Events of the current window and of the one before.
#[derive(Debug, Clone, Copy)]
struct Counter {
    window: i64,
    current: u64,
    previous: u64,
    /// First second at which both windows are without effect.
    expires: i64,
}

impl CounterKey {
    /// The counter of a throttle for the joined values of its key.
    #[must_use]
    pub fn of(throttle: &Throttle, values: &str) -> Self {
        Self::named(&throttle.name, &throttle.rate, values.as_bytes())
    }

    /// The counter of failed logins from the network of a client: its address, or its /64 with IPv6, of which one
    /// customer has all addresses.
    #[must_use]
    pub fn of_failed_logins(rate: &Rate, client: IpAddr) -> Self {
        let network = match client.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            // No network of customers begins with 64 zeroes, so none shares its number with an IPv4 address.
            IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
        };
        // One counter, whatever the policy allows where the failures happen.
        Self::named(FAILED_LOGINS, &Rate { count: 0, ..*rate }, &network.to_be_bytes())
    }

    /// The rate belongs to it, so a changed rate begins to count afresh.
    fn named(name: &str, rate: &Rate, values: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(rate.count.to_be_bytes())
            .chain_update(rate.period.as_millis().to_be_bytes())
            // The length keeps the name and the values apart.
            .chain_update((name.len() as u64).to_be_bytes())
            .chain_update(name)
            .chain_update(values)
            .finalize();
        Self(digest.iter().take(16).fold(0, |number, octet| number << 8 | u128::from(*octet)))
    }

    /// Its octets, to name it elsewhere.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    fn shard(self) -> usize {
        usize::from(self.0.to_be_bytes()[0]) % SHARDS
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl Counters {
    /// Room for about so many counters.
    #[must_use]
    pub fn with_capacity(counters: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_capacity: counters.div_ceil(SHARDS).max(1),
        }
    }

    /// Counts one event and says whether it is within the rate. Refused events count as well.
    #[must_use]
    pub fn admit(&self, key: CounterKey, rate: &Rate, now: Timestamp) -> bool {
        self.count(key, rate, now).is_some_and(|counted| counted.is_within(rate))
    }

    /// Whether one event more would be within the rate. Nothing is counted.
    #[must_use]
    pub fn has_room(&self, key: CounterKey, rate: &Rate, now: Timestamp) -> bool {
        let period = rate.whole_seconds();
        let Some(counters) = self.lock(key.shard()) else { return false };
        let Some(mut counter) = counters.get(&key).copied() else { return rate.count > 0 };
        counter.turn_to(now.as_second().div_euclid(period));
        counter.counted(period, now).has_room(rate)
    }

    fn count(&self, key: CounterKey, rate: &Rate, now: Timestamp) -> Option<Counted> {
        let period = rate.whole_seconds();
        let window = now.as_second().div_euclid(period);
        let mut counters = self.lock(key.shard())?;
        if counters.len() >= self.shard_capacity && !counters.contains_key(&key) {
            make_room(&mut counters, self.shard_capacity, now.as_second());
        }
        let counter = counters.entry(key).or_insert(Counter { window, current: 0, previous: 0, expires: 0 });
        counter.turn_to(window);
        counter.current = counter.current.saturating_add(1);
        counter.expires = (window + 2).saturating_mul(period);
        Some(counter.counted(period, now))
    }

    /// Drops the counters of windows that have passed.
    pub fn purge(&self, now: Timestamp) {
        for shard in 0..SHARDS {
            if let Some(mut counters) = self.lock(shard) {
                counters.retain(|_, counter| counter.expires > now.as_second());
                counters.shrink_to_fit();
            }
        }
    }

    /// Counters kept at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        (0..SHARDS).filter_map(|shard| self.lock(shard)).map(|counters| counters.len()).sum()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self, shard: usize) -> Option<MutexGuard<'_, HashMap<CounterKey, Counter>>> {
        self.shards.get(shard).map(|counters| counters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counter {
    fn turn_to(&mut self, window: i64) {
        if window == self.window {
            return;
        }
        self.previous = if window == self.window + 1 { self.current } else { 0 };
        self.current = 0;
        self.window = window;
    }

    fn counted(&self, period: i64, now: Timestamp) -> Counted {
        let begin = self.window.saturating_mul(period).saturating_mul(1_000);
        let elapsed = u64::try_from(now.as_millisecond().saturating_sub(begin)).unwrap_or(0);
        Counted { current: self.current, previous: self.previous, elapsed: Duration::from_millis(elapsed) }
    }
}

/// What a counter holds after an event, wherever it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    /// Events of this window.
    pub(super) current: u64,
    /// Events of the window before.
    pub(super) previous: u64,
    /// Age of this window.
    pub(super) elapsed: Duration,
}

impl Counted {
    /// Whether the event was within the rate.
    pub(super) fn is_within(self, rate: &Rate) -> bool {
        self.events(rate) <= rate.count
    }

    /// Whether one more event would be.
    pub(super) fn has_room(self, rate: &Rate) -> bool {
        self.events(rate) < rate.count
    }

    fn events(self, rate: &Rate) -> u64 {
        match rate.algorithm {
            Algorithm::FixedWindow => self.current,
            Algorithm::SlidingWindow => self.current.saturating_add(self.overlap(rate.whole_seconds())),
        }
    }

    /// The share of the previous window that the last `period` still covers, rounded down.
    fn overlap(self, period: i64) -> u64 {
        let span = u128::from(period.unsigned_abs()) * 1_000;
        let covered = span.saturating_sub(self.elapsed.as_millis());
        u64::try_from(u128::from(self.previous) * covered / span.max(1)).unwrap_or(u64::MAX)
    }
}

/// Makes room for one more: what has passed goes first, then the counters that counted least, since a
/// flood of names that are used once must not push out the counters that hold somebody back.
fn make_room(counters: &mut HashMap<CounterKey, Counter>, capacity: usize, now: i64) {
    counters.retain(|_, counter| counter.expires > now);
    if counters.len() < capacity {
        return;
    }
    let least = counters.values().map(|counter| counter.current.max(counter.previous)).min().unwrap_or(0);
    let mut surplus = (capacity / 8).max(1) + counters.len() - capacity;
    counters.retain(|_, counter| {
        let goes = surplus > 0 && counter.current.max(counter.previous) == least;
        surplus -= usize::from(goes);
        !goes
    });
}

/// No object has this name, which is no DNS label.
const FAILED_LOGINS: &str = "MtaStageAuth.failureRate";

const SHARDS: usize = 64;
/// About 20 MB when full.
const DEFAULT_CAPACITY: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use postern_core::expr::Setting;
    use postern_core::policy::throttle::ThrottleClass;
    use std::time::Duration;

    fn throttle(count: u64, period: Duration, algorithm: Algorithm) -> Throttle {
        Throttle {
            name: "t".into(),
            key: Vec::new(),
            matches: Setting::constant(true),
            rate: Rate { count, period, algorithm },
            class: ThrottleClass::Connection,
        }
    }

    fn fixed(count: u64, seconds: u64) -> Throttle {
        throttle(count, Duration::from_secs(seconds), Algorithm::FixedWindow)
    }

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap()
    }

    fn key(throttle: &Throttle, value: &str) -> CounterKey {
        CounterKey::of(throttle, value)
    }

    #[test]
    fn the_event_after_the_last_allowed_one_is_refused() {
        let (counters, throttle) = (Counters::default(), fixed(2, 60));
        let admitted = [0, 1, 2].map(|ms| counters.admit(key(&throttle, "a"), &throttle.rate, at(ms)));
        assert_eq!(admitted, [true, true, false]);
    }

    #[test]
    fn the_next_window_has_the_whole_budget() {
        let (counters, throttle) = (Counters::default(), fixed(1, 10));
        assert!(counters.admit(key(&throttle, "a"), &throttle.rate, at(9_999)));
        assert!(!counters.admit(key(&throttle, "a"), &throttle.rate, at(9_999)));
        assert!(
            counters.admit(key(&throttle, "a"), &throttle.rate, at(10_000)),
            "windows are aligned to the epoch"
        );
    }

    #[test]
    fn periods_are_whole_seconds_and_at_least_one() {
        let counters = Counters::default();
        let throttle = throttle(1, Duration::from_millis(1), Algorithm::FixedWindow);
        assert!(counters.admit(key(&throttle, "a"), &throttle.rate, at(0)));
        assert!(!counters.admit(key(&throttle, "a"), &throttle.rate, at(999)));
        assert!(counters.admit(key(&throttle, "a"), &throttle.rate, at(1_000)));
    }

    #[test]
    fn keys_and_rates_have_counters_of_their_own() {
        let (counters, one, other) = (Counters::default(), fixed(1, 60), fixed(1, 30));
        assert!(counters.admit(key(&one, "a"), &one.rate, at(0)));
        assert!(counters.admit(key(&one, "b"), &one.rate, at(0)));
        assert!(counters.admit(key(&other, "a"), &other.rate, at(0)));
        let named = |name: &str| Throttle { name: name.into(), ..fixed(1, 60) };
        assert_ne!(CounterKey::of(&named("ab"), "c"), CounterKey::of(&named("a"), "bc"));
    }

    #[test]
    fn a_sliding_window_remembers_the_last_one_in_proportion() {
        let counters = Counters::default();
        let throttle = throttle(10, Duration::from_secs(10), Algorithm::SlidingWindow);
        for _ in 0..10 {
            assert!(counters.admit(key(&throttle, "a"), &throttle.rate, at(9_000)));
        }
        assert!(
            !counters.admit(key(&throttle, "a"), &throttle.rate, at(10_000)),
            "11 of the last window still count"
        );
        let later: Vec<_> =
            (0..6).map(|_| counters.admit(key(&throttle, "a"), &throttle.rate, at(15_000))).collect();
        assert_eq!(
            later,
            [true, true, true, true, false, false],
            "5 of the last window and 1 of this one count"
        );
    }

    #[test]
    fn looking_counts_nothing_and_sees_what_counting_would() {
        let counters = Counters::default();
        let rate = throttle(2, Duration::from_secs(10), Algorithm::SlidingWindow).rate;
        let key = CounterKey::of_failed_logins(&rate, "192.0.2.1".parse().unwrap());
        for _ in 0..5 {
            assert!(counters.has_room(key, &rate, at(0)));
        }
        assert!(counters.is_empty(), "nobody fills the table by looking");
        assert!(counters.admit(key, &rate, at(0)));
        assert!(counters.has_room(key, &rate, at(1)));
        assert!(counters.admit(key, &rate, at(2)));
        assert!(!counters.has_room(key, &rate, at(3)));
        assert!(!counters.has_room(key, &rate, at(10_000)), "both still count at the turn of the window");
        assert!(counters.has_room(key, &rate, at(15_001)), "one of two still counts");
    }

    #[test]
    fn failed_logins_count_for_an_address_or_a_network_of_ipv6() {
        let rate = fixed(1, 60).rate;
        let of = |client: &str| CounterKey::of_failed_logins(&rate, client.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(
            of("192.0.2.1"),
            CounterKey::of_failed_logins(&Rate { count: 5, ..rate }, [192, 0, 2, 1].into())
        );
    }

    #[test]
    fn passed_windows_are_forgotten() {
        let (counters, throttle) = (Counters::default(), fixed(1, 10));
        assert!(counters.admit(key(&throttle, "a"), &throttle.rate, at(0)));
        counters.purge(at(15_000));
        assert_eq!(counters.len(), 1);
        counters.purge(at(20_000));
        assert!(counters.is_empty());
    }

    #[test]
    fn a_flood_of_new_names_neither_grows_the_table_nor_frees_who_is_held_back() {
        let (counters, throttle) = (Counters::with_capacity(SHARDS * 8), fixed(1, 3_600));
        for _ in 0..3 {
            let _ = counters.admit(key(&throttle, "culprit"), &throttle.rate, at(0));
        }
        for number in 0..5_000 {
            assert!(counters.admit(key(&throttle, &number.to_string()), &throttle.rate, at(1)));
        }
        assert!(counters.len() <= SHARDS * 8);
        assert!(!counters.admit(key(&throttle, "culprit"), &throttle.rate, at(2)));
    }
}
