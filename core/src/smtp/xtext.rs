//! xtext: octets as printable ASCII without `+`, `=` and spaces (RFC 3461 section 4).

/// Appends `octets` as xtext.
pub fn encode(octets: &[u8], out: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for &octet in octets {
        if matches!(octet, b'!'..=b'~') && octet != b'+' && octet != b'=' {
            out.push(char::from(octet));
        } else {
            out.push('+');
            for nibble in [octet >> 4, octet & 15] {
                out.extend(HEX.get(usize::from(nibble)));
            }
        }
    }
}

/// The octets that a text in xtext stands for, or nothing when it is none.
///
/// The hexadecimal digits may be lower case, which the grammar does not allow but no reader can mistake.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&octet) = rest.next() {
        match octet {
            b'+' => octets.push(hex(*rest.next()?)? << 4 | hex(*rest.next()?)?),
            b'=' => return None,
            b'!'..=b'~' => octets.push(octet),
            _ => return None,
        }
    }
    Some(octets)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plus_equals_and_what_is_not_printable_are_encoded() {
        let mut out = String::new();
        encode(b"a+b=c d\x00\xff~!", &mut out);
        assert_eq!(out, "a+2Bb+3Dc+20d+00+FF~!");
    }

    #[test]
    fn what_is_no_xtext_is_refused() {
        for text in ["a=b", "a b", "+", "+4", "+4G", "+-1", "a\u{7f}", "é", "a\tb"] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(decode(b"+2b"), Some(b"+".to_vec()));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut text = String::new();
            encode(&octets, &mut text);
            prop_assert_eq!(decode(text.as_bytes()), Some(octets));
        }
    }
}
