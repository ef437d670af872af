//! The domain of a message's author (RFC 5322 section 3.6.2, RFC 9989 section 4.4).

use mail_parser::parsers::MessageStream;
use mail_parser::{Address, HeaderValue};
use postern_core::message::header::Header;
use postern_core::smtp::address::normalise_domain;

use super::dkim::part;

/// The one domain that all From addresses have, in lower case and A-labels; nothing when there are several,
/// or none.
pub(super) fn domain(header: &Header) -> Option<String> {
    let mut domains = Vec::new();
    for field in header.fields().filter(|field| field.is(b"From")) {
        let HeaderValue::Address(addresses) = MessageStream::new(part(&field).value).parse_address() else {
            continue;
        };
        let addresses = match addresses {
            Address::List(list) => list,
            Address::Group(groups) => groups.into_iter().flat_map(|group| group.addresses).collect(),
        };
        for address in addresses {
            let domain = address.address.as_deref().and_then(|address| address.rsplit_once('@'))?.1;
            domains.push(normalise_domain(domain.trim_end_matches('.')).ok()?.into_owned());
        }
    }
    let first = domains.pop()?;
    domains.iter().all(|other| *other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_author_has_one_domain_or_none() {
        for (header, wanted) in [
            ("From: a@Example.ORG\r\n\r\n", Some("example.org")),
            ("From: \"x@y.example\" <a@b.example>\r\n\r\n", Some("b.example")),
            ("From: a@b.example, c@B.example\r\n\r\n", Some("b.example")),
            ("From: A: a@b.example, c@b.example;\r\n\r\n", Some("b.example")),
            ("From: a@b\u{fc}cher.example\r\n\r\n", Some("xn--bcher-kva.example")),
            ("From: a@b.example\r\nFROM : c@b.example\r\n\r\n", Some("b.example")),
            ("From: a@b.example, c@d.example\r\n\r\n", None),
            ("From: a@b.example\r\nFrom: c@d.example\r\n\r\n", None),
            ("From: a@b.example, <nobody>\r\n\r\n", None),
            ("From: nobody\r\n\r\n", None),
            ("From:\r\n\r\n", None),
            ("Subject: x\r\n\r\n", None),
        ] {
            let header_section = Header::parse(header.as_bytes()).unwrap();
            assert_eq!(domain(&header_section).as_deref(), wanted, "{header:?}");
        }
    }
}
