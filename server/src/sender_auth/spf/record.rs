//! SPF records (RFC 7208 sections 4.5, 5, 6 and 12).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::domain_spec::DomainSpec;

/// A record: what to try, in order, and where to go on when nothing matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<DomainSpec>,
}

/// A mechanism, and what a match means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) qualifier: Qualifier,
    pub(super) mechanism: Mechanism,
}

/// What a match means (RFC 7208 section 4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// What to look at (RFC 7208 section 5). Without a domain it is the one whose record this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(DomainSpec),
    A(Option<DomainSpec>, Masks),
    Mx(Option<DomainSpec>, Masks),
    Ptr(Option<DomainSpec>),
    Ip(IpNet),
    Exists(DomainSpec),
}

/// How much of an address has to be equal, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) ipv4: u8,
    pub(super) ipv6: u8,
}

/// The record is not written as it has to be; its result is `permerror`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record is malformed at {0:.40}")]
pub(super) struct Malformed(pub(super) String);

/// Whether a TXT record is an SPF record at all (RFC 7208 section 4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    text.split_at_checked(6).is_some_and(|(version, rest)| {
        version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
    })
}

impl Record {
    /// Reads a record for which [`is_spf`] holds.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let fault = || Malformed(String::from_utf8_lossy(text).into_owned());
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or_else(fault)?;
        let terms = text.get(6..).unwrap_or_default();
        let mut record = Self { directives: Vec::new(), redirect: None };
        let mut explained = false;
        for term in terms.split(' ').filter(|term| !term.is_empty()) {
            let malformed = || Malformed(term.to_owned());
            let Some((name, value)) = modifier(term) else {
                record.directives.push(directive(term).ok_or_else(malformed)?);
                continue;
            };
            match () {
                () if name.eq_ignore_ascii_case("redirect") => {
                    let target = DomainSpec::parse(value).ok_or_else(malformed)?;
                    if record.redirect.replace(target).is_some() {
                        return Err(malformed());
                    }
                }
                () if name.eq_ignore_ascii_case("exp") => {
                    DomainSpec::parse(value).ok_or_else(malformed)?;
                    if std::mem::replace(&mut explained, true) {
                        return Err(malformed());
                    }
                }
                // Others are ignored, but have to be well-formed (RFC 7208 section 6).
                () => {
                    DomainSpec::parse_macro_string(value).ok_or_else(malformed)?;
                }
            }
        }
        Ok(record)
    }
}

/// Name and value of a term that is a modifier: `=` is the first delimiter in it.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let mut octets = name.bytes();
    let is_name = octets.next().is_some_and(|b| b.is_ascii_alphabetic())
        && octets.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    is_name.then_some((name, value))
}

fn directive(term: &str) -> Option<Directive> {
    let (qualifier, term) = match term.split_at_checked(1)? {
        ("+", rest) => (Qualifier::Pass, rest),
        ("-", rest) => (Qualifier::Fail, rest),
        ("~", rest) => (Qualifier::SoftFail, rest),
        ("?", rest) => (Qualifier::Neutral, rest),
        _ => (Qualifier::Pass, term),
    };
    let end = term.find([':', '/']).unwrap_or(term.len());
    let (name, argument) = term.split_at_checked(end)?;
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(DomainSpec::parse(argument.strip_prefix(':')?)?),
        "exists" => Mechanism::Exists(DomainSpec::parse(argument.strip_prefix(':')?)?),
        "ptr" => Mechanism::Ptr(optional_domain(argument)?),
        "a" => {
            let (domain, masks) = split_masks(argument)?;
            Mechanism::A(optional_domain(domain)?, masks)
        }
        "mx" => {
            let (domain, masks) = split_masks(argument)?;
            Mechanism::Mx(optional_domain(domain)?, masks)
        }
        "ip4" => {
            let (address, length) = network(argument.strip_prefix(':')?, 32)?;
            let address: Ipv4Addr = address.parse().ok()?;
            Mechanism::Ip(Ipv4Net::new(address, length).ok()?.into())
        }
        "ip6" => {
            let (address, length) = network(argument.strip_prefix(':')?, 128)?;
            let address: Ipv6Addr = address.parse().ok()?;
            Mechanism::Ip(Ipv6Net::new(address, length).ok()?.into())
        }
        _ => return None,
    };
    Some(Directive { qualifier, mechanism })
}

/// What follows the name of a mechanism that may name a domain.
#[expect(clippy::option_option, reason = "malformed, absent and present are three things")]
fn optional_domain(argument: &str) -> Option<Option<DomainSpec>> {
    if argument.is_empty() {
        return Some(None);
    }
    DomainSpec::parse(argument.strip_prefix(':')?).map(Some)
}

/// Takes a dual CIDR length off the end of an argument (RFC 7208 section 5.6).
fn split_masks(argument: &str) -> Option<(&str, Masks)> {
    let mut masks = Masks { ipv4: 32, ipv6: 128 };
    let mut rest = argument;
    if let Some((before, length)) = rest.rsplit_once("//") {
        masks.ipv6 = prefix_length(length, 128)?;
        rest = before;
    }
    // A domain may hold slashes of its own; a length is all digits and the last thing there is.
    if let Some((before, length)) = rest.rsplit_once('/')
        && length.bytes().all(|b| b.is_ascii_digit())
    {
        masks.ipv4 = prefix_length(length, 32)?;
        rest = before;
    }
    Some((rest, masks))
}

/// An address and the length behind it, which is the longest one when there is none.
fn network(argument: &str, longest: u8) -> Option<(&str, u8)> {
    match argument.split_once('/') {
        None => Some((argument, longest)),
        Some((address, length)) => Some((address, prefix_length(length, longest)?)),
    }
}

/// A length in bits, without leading zeros.
fn prefix_length(digits: &str, longest: u8) -> Option<u8> {
    let is_number = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|length| is_number && *length <= longest)
}

impl Masks {
    /// Whether two addresses of the same family are equal as far as the masks go.
    pub(super) fn equal(self, one: IpAddr, other: IpAddr) -> bool {
        let net = match one {
            IpAddr::V4(one) => Ipv4Net::new(one, self.ipv4).map(IpNet::from),
            IpAddr::V6(one) => Ipv6Net::new(one, self.ipv6).map(IpNet::from),
        };
        net.is_ok_and(|net| net.contains(&other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sender_auth::testing::tags;

    fn parse(text: &str) -> Result<Record, Malformed> {
        Record::parse(text.as_bytes())
    }

    #[test]
    fn the_version_is_a_word_of_its_own() {
        for (text, wanted) in [
            ("v=spf1", true),
            ("V=SPF1 -all", true),
            ("v=spf1 ", true),
            ("v=spf10", false),
            ("v=spf1\t-all", false),
            ("v=spf", false),
            (" v=spf1", false),
            ("spf2.0/mfrom", false),
        ] {
            assert_eq!(is_spf(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn mechanisms_have_qualifiers_domains_and_lengths() {
        let record = parse("v=spf1 a mx/24 ?A:foo.example//64 ~mx:bar.example/0//96 -ptr +ptr:x.example ip4:192.0.2.0/24 IP6:2001:db8::/32 exists:%{i}.x.example -ALL").unwrap();
        let masks = |ipv4, ipv6| Masks { ipv4, ipv6 };
        let domain = |text| DomainSpec::parse(text).unwrap();
        let wanted = [
            (Qualifier::Pass, Mechanism::A(None, masks(32, 128))),
            (Qualifier::Pass, Mechanism::Mx(None, masks(24, 128))),
            (Qualifier::Neutral, Mechanism::A(Some(domain("foo.example")), masks(32, 64))),
            (Qualifier::SoftFail, Mechanism::Mx(Some(domain("bar.example")), masks(0, 96))),
            (Qualifier::Fail, Mechanism::Ptr(None)),
            (Qualifier::Pass, Mechanism::Ptr(Some(domain("x.example")))),
            (Qualifier::Pass, Mechanism::Ip("192.0.2.0/24".parse().unwrap())),
            (Qualifier::Pass, Mechanism::Ip("2001:db8::/32".parse().unwrap())),
            (Qualifier::Pass, Mechanism::Exists(domain("%{i}.x.example"))),
            (Qualifier::Fail, Mechanism::All),
        ];
        let found: Vec<_> = record
            .directives
            .into_iter()
            .map(|directive| (directive.qualifier, directive.mechanism))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn modifiers_may_stand_anywhere_and_unknown_ones_are_ignored() {
        let record = parse("v=spf1 redirect=a.example moo.cow-far_out=man:dog/cat %%=? ").unwrap_err();
        assert_eq!(record, Malformed("%%=?".into()));
        let record =
            parse("v=spf1 redirect=a.example  moo.cow-far_out=man:dog/cat empty= exp=b.example a").unwrap();
        assert_eq!(record.redirect, DomainSpec::parse("a.example"));
        assert_eq!(record.directives.len(), 1);
    }

    #[test]
    fn malformed_terms_are_refused() {
        for term in [
            "foo",
            "all:x",
            "all/8",
            "all.",
            "include",
            "include:",
            "include/24",
            "include:x.example/24",
            "exists",
            "exists:",
            "exists:x.example/8",
            "a:",
            "a:museum",
            "a:museum.",
            "a:x.example/33",
            "a:x.example//129",
            "a/032",
            "a/",
            "a//",
            "a/24/64",
            "a:x.example:8080",
            "a:1.2.3.4",
            "mx:",
            "mx/33",
            "ptr:",
            "ptr/0",
            "ip4",
            "ip4:",
            "ip4:1.2.3",
            "ip4:1.2.3.256",
            "ip4:1.2.3.4/33",
            "ip4:1.2.3.4//32",
            "ip4:1.2.3.4:25",
            "ip6:",
            "ip6:1.2.3.4",
            "ip6:::1/129",
            "ip6:::1//64",
            "redirect=",
            "redirect=x.example/24",
            "exp=",
            "exp=x.example exp=x.example",
            "redirect=a.example redirect=b.example",
            "=all",
            "-redirect=a.example",
            "x=%",
            "x=%{",
            "x=%{z}",
            "a\tb",
            "caf\u{e9}",
            "--all",
            "moo:cow",
            "moo.cow/far=x",
        ] {
            assert!(parse(&format!("v=spf1 {term} -all")).is_err(), "{term}");
        }
    }

    #[test]
    fn masks_compare_the_leading_bits() {
        let masks = Masks { ipv4: 24, ipv6: 0 };
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(masks.equal(address("192.0.2.1"), address("192.0.2.200")));
        assert!(!masks.equal(address("192.0.2.1"), address("192.0.3.1")));
        assert!(masks.equal(address("2001:db8::1"), address("::1")));
        assert!(!masks.equal(address("192.0.2.1"), address("::1")));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in tags()) {
            let _ = Record::parse(&text);
        }
    }
}
