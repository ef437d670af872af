//! Who was seen first, and when: the greylist in the memory of this process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::{Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use postern_core::policy::filter::Greylist;
use sha2::{Digest, Sha256};

/// A network, a sender and a recipient, as one digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Triple([u8; 16]);

impl Triple {
    /// The triple of one RCPT; sender and recipient in comparison form.
    #[must_use]
    pub fn of(greylist: &Greylist, client: IpAddr, sender: &str, recipient: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(network_of(greylist, client.to_canonical()))
            // No address and no network holds a NUL, so these cannot run into each other.
            .chain_update([0])
            .chain_update(sender)
            .chain_update([0])
            .chain_update(recipient)
            .finalize();
        let mut triple = [0; 16];
        triple.iter_mut().zip(digest).for_each(|(octet, digested)| *octet = digested);
        Self(triple)
    }

    /// Its octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Mail servers of one organisation share a network more often than an address.
fn network_of(greylist: &Greylist, client: IpAddr) -> String {
    match client {
        IpAddr::V4(address) => Ipv4Net::new(address, greylist.ipv4_prefix)
            .map_or_else(|_| address.to_string(), |net| net.trunc().to_string()),
        IpAddr::V6(address) => Ipv6Net::new(address, greylist.ipv6_prefix)
            .map_or_else(|_| address.to_string(), |net| net.trunc().to_string()),
    }
}

/// Triples that were seen. Bounded: when it is full, those that were seen longest ago are forgotten, and
/// have to wait once more.
#[derive(Debug)]
pub(super) struct FirstSights {
    seen: Mutex<HashMap<Triple, Sight>>,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Sight {
    first: i64,
    expires: i64,
}

impl Default for FirstSights {
    fn default() -> Self {
        Self { seen: Mutex::default(), most: MOST_TRIPLES }
    }
}

impl FirstSights {
    pub(super) fn has_waited(&self, triple: Triple, greylist: &Greylist, now: Timestamp) -> bool {
        let now = now.as_second();
        let expires = now.saturating_add(seconds(greylist.expiry));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sight) = seen.get_mut(&triple).filter(|sight| sight.expires > now) {
            let passes = now - sight.first >= seconds(greylist.delay);
            if passes {
                sight.expires = expires;
            }
            return passes;
        }
        if seen.len() >= self.most {
            make_room(&mut seen, now);
        }
        seen.insert(triple, Sight { first: now, expires });
        greylist.delay.is_zero()
    }

    pub(super) fn purge(&self, now: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, sight| sight.expires > now.as_second());
    }
}

/// Forgets what has expired, else the half that expires first.
fn make_room(seen: &mut HashMap<Triple, Sight>, now: i64) {
    let before = seen.len();
    seen.retain(|_, sight| sight.expires > now);
    if seen.len() < before {
        return;
    }
    let mut ages: Vec<i64> = seen.values().map(|sight| sight.expires).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    seen.retain(|_, sight| sight.expires > median);
    tracing::warn!(triples = before, kept = seen.len(), "the greylist in memory is full and forgets");
}

fn seconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// Some 20 MB when full.
const MOST_TRIPLES: usize = 400_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postern_core::expr::Setting;

    use super::*;

    fn greylist() -> Greylist {
        Greylist {
            matches: Setting::constant(true),
            delay: Duration::from_secs(300),
            expiry: Duration::from_secs(3600),
            ipv4_prefix: 24,
            ipv6_prefix: 64,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn triple(client: &str, sender: &str) -> Triple {
        Triple::of(&greylist(), client.parse().unwrap(), sender, "ann@example.org")
    }

    #[test]
    fn a_first_sight_waits_and_passes_after_the_delay() {
        let (sights, greylist, triple) = (FirstSights::default(), greylist(), triple("192.0.2.1", "<>"));
        let passes = [0, 299, 300, 3000].map(|second| sights.has_waited(triple, &greylist, at(second)));
        assert_eq!(passes, [false, false, true, true]);
    }

    #[test]
    fn each_pass_extends_the_memory_and_silence_ends_it() {
        let (sights, greylist, triple) = (FirstSights::default(), greylist(), triple("192.0.2.1", "<>"));
        let times = [0, 300, 3800, 7400, 11_001];
        let passes = times.map(|second| sights.has_waited(triple, &greylist, at(second)));
        assert_eq!(passes, [false, true, true, false, false]);
    }

    #[test]
    fn neighbours_in_a_network_are_one_and_senders_are_not() {
        assert_eq!(triple("192.0.2.1", "a@example.net"), triple("192.0.2.200", "a@example.net"));
        assert_eq!(triple("::ffff:192.0.2.1", "a@example.net"), triple("192.0.2.9", "a@example.net"));
        assert_ne!(triple("192.0.2.1", "a@example.net"), triple("192.0.3.1", "a@example.net"));
        assert_ne!(triple("2001:db8::1", "a@example.net"), triple("2001:db8:0:1::1", "a@example.net"));
        assert_ne!(triple("192.0.2.1", "a@example.net"), triple("192.0.2.1", "b@example.net"));
    }

    #[test]
    fn a_flood_of_senders_does_not_grow_the_table() {
        let sights = FirstSights { most: 100, ..FirstSights::default() };
        for number in 0..1000 {
            let triple = triple("192.0.2.1", &number.to_string());
            sights.has_waited(triple, &greylist(), at(number));
        }
        assert!(sights.seen.lock().unwrap().len() <= 100);
    }
}
