//! The right-hand side of a mailbox: domain names and address literals (RFC 5321 section 4.1.3).

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::address::AddressError;

/// The form in which domains are compared: lower case, in A-labels.
///
/// Accepts letters, digits, hyphens and underscores in labels parted by single dots; no dot in front or
/// at the end. Lengths are not judged here: a label that DNS cannot hold simply has no records.
///
/// # Errors
///
/// [`AddressError::Domain`] when the text is no domain name (RFC 5321 section 4.1.2, RFC 5891).
pub fn normalise_domain(domain: &str) -> Result<Cow<'_, str>, AddressError> {
    let ascii = if domain.is_ascii() {
        Cow::Borrowed(domain)
    } else {
        // The mapping may bring forth new ASCII, such as `@` from its full-width form; so what comes
        // out goes through the same check as a name that was ASCII from the start.
        Uts46::new()
            .to_ascii(domain.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
            .map_err(|_| AddressError::Domain)?
    };
    let well_formed = ascii.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    if !well_formed {
        return Err(AddressError::Domain);
    }
    if ascii.bytes().any(|b| b.is_ascii_uppercase()) {
        return Ok(Cow::Owned(ascii.to_ascii_lowercase()));
    }
    Ok(ascii)
}

/// The comparison form of what follows the `@`: a domain name or an address literal.
pub(super) fn normalise_host(host: &str) -> Result<Cow<'_, str>, AddressError> {
    let Some(rest) = host.strip_prefix('[') else { return normalise_domain(host) };
    let literal = rest.strip_suffix(']').ok_or(AddressError::Domain)?;
    match literal.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("ipv6:") => {
            let address: Ipv6Addr = address.parse().map_err(|_| AddressError::Domain)?;
            Ok(Cow::Owned(format!("[ipv6:{address}]")))
        }
        // Other tags have to be standardised first (RFC 5321 section 4.1.3), and none ever was.
        _ => match literal.parse::<Ipv4Addr>() {
            Ok(_) => Ok(Cow::Borrowed(host)),
            Err(_) => Err(AddressError::Domain),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_compared_in_lower_case_a_labels() {
        for (given, wanted) in [
            ("example.org", "example.org"),
            ("EXAMPLE.Org", "example.org"),
            ("localhost", "localhost"),
            ("_dmarc.example.org", "_dmarc.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("XN--bcher-kva.example", "xn--bcher-kva.example"),
            ("例え。jp", "xn--r8jz45g.jp"),
        ] {
            assert_eq!(normalise_domain(given).as_deref(), Ok(wanted), "{given}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for given in [
            "",
            ".",
            "a..b",
            ".a",
            "a.",
            "a b",
            "a@b",
            "a\u{ff20}b",
            "a\0b",
            "a/b",
            "[1.2.3.4]",
            "a\u{80}.b",
            "a。",
        ] {
            assert_eq!(normalise_domain(given), Err(AddressError::Domain), "{given:?}");
        }
    }

    #[test]
    fn literals_are_compared_by_the_address_they_spell() {
        for (given, wanted) in [
            ("[192.0.2.1]", Ok("[192.0.2.1]")),
            ("[IPv6:2001:DB8:0:0::1]", Ok("[ipv6:2001:db8::1]")),
            ("[ipv6:::1]", Ok("[ipv6:::1]")),
            ("[192.0.2.256]", Err(AddressError::Domain)),
            ("[2001:db8::1]", Err(AddressError::Domain)),
            ("[192.0.2.1", Err(AddressError::Domain)),
            ("[]", Err(AddressError::Domain)),
            ("[tag:x]", Err(AddressError::Domain)),
            ("192.0.2.1]", Err(AddressError::Domain)),
            ("[IPv6:é]", Err(AddressError::Domain)),
        ] {
            assert_eq!(normalise_host(given).as_deref(), wanted.as_deref(), "{given}");
        }
    }
}
