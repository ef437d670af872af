//! The header fields that Postern itself puts on a message (RFC 5321 section 4.4, RFC 5322 section 3.6).
//!
//! Each appends one whole field. What comes from outside, such as the name of EHLO, loses everything that
//! could end the field or change how it is read.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::field::write_field;
use crate::smtp::address::{Address, ReversePath};

/// What a Received field says.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The name of EHLO, as sent.
    pub ehlo: &'a str,
    /// The name that the client's address resolves to, if any.
    pub ptr: Option<&'a str>,
    /// The client's address.
    pub client: IpAddr,
    /// The network of the client, when geo data is at hand.
    pub network: Option<Network<'a>>,
    /// Version and cipher, inside TLS.
    pub tls: Option<Tls<'a>>,
    /// Our own name.
    pub hostname: &'a str,
    /// How the message came.
    pub protocol: Protocol,
    /// The queue id.
    pub id: &'a str,
    /// When.
    pub time: Timestamp,
}

/// The network that an address belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    /// Number of the autonomous system.
    pub number: u32,
    /// Its name.
    pub name: &'a str,
    /// Country code.
    pub country: &'a str,
}

/// What was negotiated in TLS.
#[derive(Debug, Clone, Copy)]
pub struct Tls<'a> {
    /// Such as `TLSv1.3`.
    pub version: &'a str,
    /// Such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'a str,
}

/// How a message came; its `Display` is the keyword of RFC 3848 and RFC 6531 section 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// The greeting that the client used.
    pub greeting: Greeting,
    /// Inside TLS.
    pub tls: bool,
    /// After AUTH.
    pub authenticated: bool,
    /// With SMTPUTF8.
    pub utf8: bool,
}

/// The greeting that decides the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// HELO, which knows no extensions.
    Helo,
    /// EHLO
    Ehlo,
    /// LHLO
    Lhlo,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.greeting, self.utf8) {
            (Greeting::Helo, _) => return f.write_str("SMTP"),
            (Greeting::Ehlo, false) => "ESMTP",
            (Greeting::Ehlo, true) => "UTF8SMTP",
            (Greeting::Lhlo, false) => "LMTP",
            (Greeting::Lhlo, true) => "UTF8LMTP",
        })?;
        f.write_str(if self.tls { "S" } else { "" })?;
        f.write_str(if self.authenticated { "A" } else { "" })
    }
}

impl Received<'_> {
    /// Appends the field (RFC 5321 section 4.4).
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let ehlo = host(self.ehlo, "unknown");
        let ptr = host(self.ptr.unwrap_or_default().trim_end_matches('.'), "unknown");
        let mut value = String::with_capacity(USUAL_OCTETS);
        self.write_value(&ehlo, &ptr, &mut value);
        write_field(b"Received", value.as_bytes(), out);
    }

    fn write_value(&self, ehlo: &str, ptr: &str, value: &mut String) {
        // Writing to a string does not fail.
        let _ = write!(value, "from {ehlo} ({ptr} {})", Literal(self.client));
        if let Some(network) = self.network {
            let (name, country) = (comment(network.name, 64), comment(network.country, 8));
            let _ = write!(value, " (AS{}", network.number);
            for (before, part) in
                [(" ", name), (", ", country)].into_iter().filter(|(_, part)| !part.is_empty())
            {
                value.extend([before, &part]);
            }
            value.push(')');
        }
        if let Some(tls) = self.tls {
            let (version, cipher) = (comment(tls.version, 64), comment(tls.cipher, 64));
            let _ = write!(value, "\r\n\t(using {version} with cipher {cipher})");
        }
        let (hostname, protocol, id) = (host(self.hostname, "localhost"), self.protocol, host(self.id, "0"));
        let _ = write!(value, "\r\n\tby {hostname} (Postern) with {protocol} id {id};");
        let _ = write!(value, "\r\n\t{}", DateTime(self.time));
    }
}

/// Appends `Return-Path`: the local part as given, the domain in lower case (RFC 5321 section 4.4).
pub fn write_return_path(sender: &ReversePath, out: &mut Vec<u8>) {
    let path = match sender {
        ReversePath::Null => "<>".to_owned(),
        ReversePath::Mailbox(address) => format!("<{}@{}>", address.local(), address.domain().to_lowercase()),
    };
    write_field(b"Return-Path", path.as_bytes(), out);
}

/// Appends `Date` (RFC 5322 section 3.6.1).
pub fn write_date(time: Timestamp, out: &mut Vec<u8>) {
    write_field(b"Date", DateTime(time).to_string().as_bytes(), out);
}

/// Appends `Message-ID` with a word that no other message of this host has (RFC 5322 section 3.6.4).
pub fn write_message_id(unique: &str, hostname: &str, out: &mut Vec<u8>) {
    let id = format!("<{}@{}>", host(unique, "0"), host(hostname, "localhost"));
    write_field(b"Message-ID", id.as_bytes(), out);
}

/// Appends `Delivered-To`, for a copy that goes to this recipient alone.
pub fn write_delivered_to(recipient: &Address, out: &mut Vec<u8>) {
    write_field(b"Delivered-To", recipient.as_str().as_bytes(), out);
}

/// Appends `X-Quarantine` with the reason, at most 900 octets of it and on one line; `true` without one.
pub fn write_quarantine(reason: &str, out: &mut Vec<u8>) {
    let reason = reason.replace(|c: char| c.is_control(), " ");
    let reason = reason.trim();
    let reason = reason.get(..reason.floor_char_boundary(900)).unwrap_or(reason);
    write_field(b"X-Quarantine", if reason.is_empty() { b"true" } else { reason.as_bytes() }, out);
}

/// A date as in `Tue, 01 Jul 2003 10:52:37 +0000`, always UTC (RFC 5322 section 3.3).
#[derive(Debug, Clone, Copy)]
pub struct DateTime(pub Timestamp);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let utc = Offset::UTC.to_datetime(self.0);
        let name = |names: &[&'static str], at: i8| {
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
        };
        let century = utc.year() / 100;
        for part in [
            name(&DAYS, utc.weekday().to_sunday_zero_offset()),
            ", ",
            TwoDigits::of(utc.day().into()).as_str(),
            " ",
            name(&MONTHS, utc.month() - 1),
            " ",
            TwoDigits::of(century).as_str(),
            TwoDigits::of(utc.year() - century * 100).as_str(),
            " ",
            TwoDigits::of(utc.hour().into()).as_str(),
            ":",
            TwoDigits::of(utc.minute().into()).as_str(),
            ":",
            TwoDigits::of(utc.second().into()).as_str(),
            " +0000",
        ] {
            f.write_str(part)?;
        }
        Ok(())
    }
}

/// A number from 0 to 99 in two digits; every message has a dozen, and padding by the formatter costs more than
/// all the rest of a date.
struct TwoDigits([u8; 2]);

impl TwoDigits {
    fn of(number: i16) -> Self {
        let digit = |value: i16| b'0' + value.rem_euclid(10) as u8;
        Self([digit(number / 10), digit(number)])
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The address as it stands in brackets (RFC 5321 section 4.1.3).
struct Literal(IpAddr);

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(v4) => write!(f, "[{v4}]"),
            IpAddr::V6(v6) => write!(f, "[IPv6:{v6}]"),
        }
    }
}

/// What a domain or a literal may hold, up to the 255 octets of a domain; `otherwise` when nothing is left.
pub(super) fn host<'a>(name: &'a str, otherwise: &'static str) -> Cow<'a, str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    // Most names need nothing taken out.
    let host = match name.len() <= 255 && name.bytes().all(allowed) {
        true => Cow::Borrowed(name),
        false => name.bytes().filter(|b| allowed(*b)).take(255).map(char::from).collect(),
    };
    if host.is_empty() { Cow::Borrowed(otherwise) } else { host }
}

/// Room for the value of a Received field; few need more.
const USUAL_OCTETS: usize = 256;

/// What may stand in a comment without quoting, at most `most` characters of it.
pub(super) fn comment(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '(' | ')' | '\\')).take(most).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::header::Header;

    fn received() -> Received<'static> {
        Received {
            ehlo: "mx.sender.example",
            ptr: Some("mail.sender.example."),
            client: IpAddr::from([192, 0, 2, 1]),
            network: None,
            tls: None,
            hostname: "mx.example.org",
            protocol: Protocol { greeting: Greeting::Ehlo, tls: false, authenticated: false, utf8: false },
            id: "4BF92F3577B34DA6A3CE929D0E0E4736",
            time: "2003-07-01T10:52:37Z".parse().unwrap(),
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn received_says_who_gave_what_to_whom_and_when() {
        assert_eq!(
            written(|out| received().write_to(out)),
            "Received: from mx.sender.example (mail.sender.example [192.0.2.1])\r\n\
             \tby mx.example.org (Postern) with ESMTP id 4BF92F3577B34DA6A3CE929D0E0E4736;\r\n\
             \tTue, 01 Jul 2003 10:52:37 +0000\r\n"
        );
        let full = Received {
            ptr: None,
            client: "2001:db8::1".parse().unwrap(),
            network: Some(Network { number: 64496, name: "Example (Net)", country: "DE" }),
            tls: Some(Tls { version: "TLSv1.3", cipher: "TLS13_AES_256_GCM_SHA384" }),
            protocol: Protocol { greeting: Greeting::Ehlo, tls: true, authenticated: true, utf8: true },
            ..received()
        };
        assert_eq!(
            written(|out| full.write_to(out)),
            "Received: from mx.sender.example (unknown [IPv6:2001:db8::1]) (AS64496 Example Net, DE)\r\n\
             \t(using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384)\r\n\
             \tby mx.example.org (Postern) with UTF8SMTPSA id 4BF92F3577B34DA6A3CE929D0E0E4736;\r\n\
             \tTue, 01 Jul 2003 10:52:37 +0000\r\n"
        );
    }

    #[test]
    fn protocols_have_the_keywords_of_their_registry() {
        use Greeting::{Ehlo, Helo, Lhlo};
        for (greeting, tls, authenticated, utf8, keyword) in [
            (Helo, false, false, false, "SMTP"),
            (Helo, true, false, false, "SMTP"),
            (Ehlo, false, false, false, "ESMTP"),
            (Ehlo, true, false, false, "ESMTPS"),
            (Ehlo, false, true, false, "ESMTPA"),
            (Ehlo, true, true, false, "ESMTPSA"),
            (Ehlo, false, false, true, "UTF8SMTP"),
            (Ehlo, true, true, true, "UTF8SMTPSA"),
            (Lhlo, false, false, false, "LMTP"),
            (Lhlo, true, true, false, "LMTPSA"),
            (Lhlo, true, false, true, "UTF8LMTPS"),
        ] {
            assert_eq!(Protocol { greeting, tls, authenticated, utf8 }.to_string(), keyword);
        }
    }

    #[test]
    fn names_from_outside_cannot_break_the_field() {
        let evil = Received { ehlo: "a\r\nEvil: b (c) <d>\0", ptr: Some(") by x ("), ..received() };
        let field = written(|out| evil.write_to(out));
        assert!(
            field.starts_with("Received: from aEvil:bcd (byx [192.0.2.1])\r\n\tby mx.example.org"),
            "{field}"
        );
        let empty = Received { ehlo: "", ..received() };
        assert!(written(|out| empty.write_to(out)).starts_with("Received: from unknown ("));
    }

    #[test]
    fn mapped_addresses_are_written_as_what_they_are() {
        assert_eq!(Literal("::ffff:192.0.2.1".parse().unwrap()).to_string(), "[192.0.2.1]");
    }

    #[test]
    fn the_small_fields_are_written_by_the_book() {
        let time = "2024-02-29T23:59:59Z".parse().unwrap();
        let sender = Address::parse("\"John D\"@EXAMPLE.org").unwrap();
        assert_eq!(written(|out| write_return_path(&ReversePath::Null, out)), "Return-Path: <>\r\n");
        assert_eq!(
            written(|out| write_return_path(&sender.clone().into(), out)),
            "Return-Path: <\"John D\"@example.org>\r\n"
        );
        assert_eq!(
            written(|out| write_delivered_to(&sender, out)),
            "Delivered-To: \"John D\"@EXAMPLE.org\r\n"
        );
        assert_eq!(written(|out| write_date(time, out)), "Date: Thu, 29 Feb 2024 23:59:59 +0000\r\n");
        assert_eq!(
            written(|out| write_message_id("abc>\r\n123", "mx.example", out)),
            "Message-ID: <abc123@mx.example>\r\n"
        );
    }

    #[test]
    fn reasons_of_quarantine_are_one_short_line() {
        for (reason, wanted) in
            [("spam", "spam"), ("", "true"), (" \r\n ", "true"), ("a\r\n b", "a   b"), ("a\nB: c", "a B: c")]
        {
            assert_eq!(written(|out| write_quarantine(reason, out)), format!("X-Quarantine: {wanted}\r\n"));
        }
        assert!(written(|out| write_quarantine(&"é".repeat(2000), out)).len() < 998);
    }

    proptest! {
        #[test]
        fn a_received_field_is_one_field_of_short_lines(ehlo in any::<String>(), ptr in any::<String>(), name in any::<String>(), long in 0usize..2000) {
            let (ehlo, name) = (ehlo + &"a".repeat(long), name + &"é".repeat(long));
            let network = Network { number: 1, name: &name, country: &ehlo };
            let received = Received { ehlo: &ehlo, ptr: Some(&ptr), network: Some(network), ..received() };
            let mut out = Vec::new();
            received.write_to(&mut out);
            let header = Header::parse(&out).unwrap();
            prop_assert_eq!((header.fields().len(), header.octets() as usize), (1, out.len()));
            prop_assert!(out.split(|b| *b == b'\n').all(|line| line.len() <= 998));
        }
    }
}
