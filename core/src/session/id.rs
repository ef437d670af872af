//! Identities of connections and transactions.

use std::fmt;

/// A trace id: 16 octets, written as 32 hexadecimal digits (W3C Trace Context, section 3.2.2.3).
///
/// That of a transaction is its queue id too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

impl TraceId {
    /// The id of the `ordinal`-th transaction of a connection.
    ///
    /// Two rounds of a 64-bit mixer (SplitMix64) over each half: one random number for a connection is
    /// enough for ids that never repeat within it, and the session needs no source of randomness.
    #[must_use]
    pub fn of_transaction(self, ordinal: u64) -> Self {
        let bytes = self.0.to_be_bytes();
        let (high, low) = bytes.split_at(8);
        let word = |half: &[u8]| half.iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        let step = ordinal.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let high = mix(word(high).wrapping_add(step));
        let low = mix(word(low).wrapping_add(step) ^ high);
        Self((u128::from(high) << 64) | u128::from(low))
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
        let mut digits = [0; 32];
        for (pair, octet) in digits.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair.copy_from_slice(&[digit(octet >> 4), digit(octet & 0xf)]);
        }
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn transactions_of_neighbouring_connections_never_share_an_id() {
        let ids: HashSet<_> = (0..100_u128)
            .flat_map(|connection| (0..100).map(move |n| TraceId(connection).of_transaction(n)))
            .collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn an_id_is_written_with_all_its_digits() {
        assert_eq!(TraceId(0xabc).to_string(), "00000000000000000000000000000abc");
    }
}
