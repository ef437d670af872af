//! Domains in SPF records, which may hold macros (RFC 7208 section 7).

use std::fmt::Write;
use std::net::IpAddr;

/// A domain with macros in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DomainSpec {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Macro(Macro),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Macro {
    letter: Letter,
    /// How many parts to keep, from the right.
    keep: Option<usize>,
    reverse: bool,
    /// What parts the value into parts.
    delimiters: String,
    /// An upper-case letter asks for URL escapes.
    escape: bool,
}

/// What a macro stands for (RFC 7208 section 7.2). `c`, `r` and `t` belong to explanations only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    Sender,
    LocalPart,
    SenderDomain,
    Domain,
    Ip,
    ValidatedName,
    IpVersion,
    Helo,
}

/// The values of macros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) local_part: &'a str,
    pub(super) sender_domain: &'a str,
    pub(super) helo: &'a str,
    pub(super) ip: IpAddr,
    /// The domain whose record is evaluated.
    pub(super) domain: &'a str,
    /// A name of the address that has the address; unset: there is none.
    pub(super) validated_name: Option<&'a str>,
}

impl DomainSpec {
    /// Reads a domain-spec; nothing when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let spec = Self::parse_macro_string(text)?;
        match spec.parts.last()? {
            Part::Macro(_) => Some(spec),
            Part::Literal(_) => ends_in_top_label(text).then_some(spec),
        }
    }

    /// Reads a macro-string, which may be anything visible.
    pub(super) fn parse_macro_string(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..)?;
            if c != '%' {
                if !c.is_ascii_graphic() {
                    return None;
                }
                literal.push(c);
                rest = after;
                continue;
            }
            let (kind, after) = after.split_at_checked(1)?;
            rest = after;
            match kind {
                "%" => literal.push('%'),
                "_" => literal.push(' '),
                "-" => literal.push_str("%20"),
                "{" => {
                    let (inside, after) = after.split_once('}')?;
                    rest = after;
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Macro(Macro::parse(inside)?));
                }
                _ => return None,
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Some(Self { parts })
    }

    /// Whether a name of the client's address is wanted, which costs lookups.
    pub(super) fn wants_validated_name(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Macro(Macro { letter: Letter::ValidatedName, .. })))
    }

    /// The domain, without labels in front that would make it longer than DNS allows (RFC 7208 section 7.3).
    pub(super) fn expand(&self, values: &Values<'_>) -> String {
        let mut domain = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => domain.push_str(text),
                Part::Macro(wanted) => domain.push_str(&wanted.expand(values)),
            }
        }
        let mut rest = domain.strip_suffix('.').unwrap_or(&domain);
        while rest.len() > 253 {
            match rest.split_once('.') {
                Some((_, shorter)) => rest = shorter,
                None => break,
            }
        }
        rest.to_owned()
    }
}

impl Macro {
    fn parse(inside: &str) -> Option<Self> {
        let (letter, rest) = inside.split_at_checked(1)?;
        let letter_char = letter.chars().next()?;
        let letter = match letter_char.to_ascii_lowercase() {
            's' => Letter::Sender,
            'l' => Letter::LocalPart,
            'o' => Letter::SenderDomain,
            'd' => Letter::Domain,
            'i' => Letter::Ip,
            'p' => Letter::ValidatedName,
            'v' => Letter::IpVersion,
            'h' => Letter::Helo,
            _ => return None,
        };
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at_checked(digits_end)?;
        let keep = match digits {
            "" => None,
            digits => Some(digits.parse().unwrap_or(usize::MAX)).filter(|keep| *keep > 0),
        };
        if !digits.is_empty() && keep.is_none() {
            return None;
        }
        let (reverse, delimiters) = match rest.split_at_checked(1) {
            Some(("r" | "R", delimiters)) => (true, delimiters),
            _ => (false, rest),
        };
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return None;
        }
        let delimiters = if delimiters.is_empty() { "." } else { delimiters }.to_owned();
        Some(Self { letter, keep, reverse, delimiters, escape: letter_char.is_ascii_uppercase() })
    }

    fn expand(&self, values: &Values<'_>) -> String {
        let value = self.letter.value(values);
        let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
        if self.reverse {
            parts.reverse();
        }
        let first = parts.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        let text = parts.get(first..).unwrap_or_default().join(".");
        if self.escape { escaped(&text) } else { text }
    }
}

impl Letter {
    fn value(self, values: &Values<'_>) -> String {
        match self {
            Self::Sender => format!("{}@{}", values.local_part, values.sender_domain),
            Self::LocalPart => values.local_part.to_owned(),
            Self::SenderDomain => values.sender_domain.to_owned(),
            Self::Domain => values.domain.to_owned(),
            Self::Ip => dotted(values.ip),
            Self::ValidatedName => values.validated_name.unwrap_or("unknown").to_owned(),
            Self::IpVersion => match values.ip {
                IpAddr::V4(_) => "in-addr",
                IpAddr::V6(_) => "ip6",
            }
            .to_owned(),
            Self::Helo => values.helo.to_owned(),
        }
    }
}

/// IPv4 as usual, IPv6 as nibbles with dots between them.
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles: Vec<String> = v6
                .octets()
                .iter()
                .flat_map(|octet| [octet >> 4, octet & 15])
                .map(|n| format!("{n:x}"))
                .collect();
            nibbles.join(".")
        }
    }
}

/// URL escapes for what is not unreserved (RFC 3986 section 2.3).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, octet| {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            escaped.push(octet.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{octet:02X}");
        }
        escaped
    })
}

/// Whether the text ends in a dot and a label that a top-level domain may have (RFC 7208 section 7.1).
fn ends_in_top_label(text: &str) -> bool {
    let Some((_, label)) = text.strip_suffix('.').unwrap_or(text).rsplit_once('.') else { return false };
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !label.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(ip: &str) -> Values<'_> {
        Values {
            local_part: "strong-bad",
            sender_domain: "email.example.com",
            helo: "mx.example.org",
            ip: ip.parse().unwrap(),
            domain: "email.example.com",
            validated_name: None,
        }
    }

    fn expanded(spec: &str, ip: &str) -> String {
        DomainSpec::parse_macro_string(spec).unwrap().expand(&values(ip))
    }

    /// RFC 7208 section 7.4.
    #[test]
    fn macros_expand_as_in_the_examples() {
        for (spec, wanted) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%{p}.%{h}", "unknown.mx.example.org"),
            ("a%%b%_c%-d.", "a%b c%20d"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("%{d99999999999999999999999}", "email.example.com"),
        ] {
            assert_eq!(expanded(spec, "192.0.2.3"), wanted, "{spec}");
        }
        assert_eq!(
            expanded("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn names_that_are_too_long_lose_labels_in_front() {
        let domain = format!("{}.end.example", ["abcdefg"; 40].join("."));
        let expanded = expanded(&domain, "192.0.2.3");
        assert!(
            expanded.len() <= 253 && expanded.ends_with(".end.example") && expanded.starts_with("abcdefg.")
        );
    }

    #[test]
    fn what_is_no_macro_or_no_domain_is_refused() {
        for text in [
            "%", "%a", "%{", "%{}", "%{d", "%{d0}", "%{dx}", "%{dr.r}", "%{c}", "%{r}", "%{t}", "%{d;}",
            "a b",
        ] {
            assert_eq!(DomainSpec::parse_macro_string(text), None, "{text}");
        }
        for text in [
            "", "museum", "museum.", "a.-b", "a.b-", "a.12", "1.2.3.4", "a.b/24", "a..", "%{d}.x_y", "a.b:80",
        ] {
            assert_eq!(DomainSpec::parse(text), None, "{text}");
        }
        for text in ["a.b", "a.b.", "%{d}", "_spf.x.a1", "x%{d2}", "a.xn--bcher-kva", "%%.com", "%{d}.e-x"] {
            assert!(DomainSpec::parse(text).is_some(), "{text}");
        }
    }
}
