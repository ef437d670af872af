//! Ids of spans.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// An id that no other span of this process has, and most probably none of another one. Never zero, which would be
/// no span (W3C Trace Context, section 3.2.2.4).
///
/// A counter with a random beginning, mixed by SplitMix64: system calls for randomness would cost more than the rest
/// of a span.
pub(crate) fn next() -> u64 {
    static COUNTER: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));
    loop {
        let id = mix(COUNTER.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed));
        if id != 0 {
            return id;
        }
    }
}

const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_two_spans_share_an_id() {
        let ids: HashSet<u64> = (0..10_000).map(|_| super::next()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
