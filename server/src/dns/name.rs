//! Names, from text and back.

use hickory_resolver::proto::rr::Name;
use postern_core::smtp::address::normalise_domain;

use super::DnsError;

/// Longest name in DNS, in octets of text without the final dot (RFC 1035 section 2.3.4).
const MAX_OCTETS: usize = 253;

/// A complete name. Labels beyond ASCII become A-labels; any others may hold any octets.
pub(super) fn parse(text: &str) -> Result<Name, DnsError> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let ascii;
    let text = if text.is_ascii() {
        text
    } else {
        ascii = normalise_domain(text).map_err(|_| DnsError::NotAName)?;
        &*ascii
    };
    if text.is_empty() || text.len() > MAX_OCTETS || text.split('.').any(|label| label.is_empty()) {
        return Err(DnsError::NotAName);
    }
    // Label by label, because a backslash is an octet here and no escape.
    Name::from_labels(text.split('.').map(|label| label.to_ascii_lowercase().into_bytes()))
        .map_err(|_| DnsError::NotAName)
}

/// The text of a name in lower case, without the final dot and without escapes.
///
/// A dot or other octets that are part of a label and cannot be told in plain text leave a name that
/// [`parse`] does not accept.
pub(super) fn text(name: &Name) -> String {
    let labels: Vec<String> = name
        .iter()
        .map(|label| String::from_utf8_lossy(label).to_ascii_lowercase().replace('.', "\u{fffd}"))
        .collect();
    labels.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_complete_and_in_a_labels() {
        for (given, wanted) in [
            ("example.org", "example.org."),
            ("Example.ORG.", "example.org."),
            ("_dmarc.example.org", "_dmarc.example.org."),
            ("bücher.example", "xn--bcher-kva.example."),
            ("com", "com."),
        ] {
            assert_eq!(parse(given).unwrap().to_ascii(), wanted, "{given}");
        }
    }

    #[test]
    fn what_dns_cannot_hold_is_not_asked() {
        let label = "a".repeat(64);
        let long = ["abcdefg"; 32].join(".");
        for given in ["", ".", "a..b", ".a", "a\u{80}.b", &format!("{label}.example"), &long] {
            assert_eq!(parse(given), Err(DnsError::NotAName), "{given:?}");
        }
    }

    #[test]
    fn octets_that_need_an_escape_survive() {
        for name in ["a\\b.example", "foo:bar/baz.example", "alice@x.example"] {
            assert_eq!(text(&parse(name).unwrap()), name);
        }
        let odd = Name::from_labels([&b"a.b"[..], b"\xff", b"example"]).unwrap();
        assert_eq!(parse(&text(&odd)), Err(DnsError::NotAName));
        assert_eq!(text(&Name::root()), "");
    }
}
