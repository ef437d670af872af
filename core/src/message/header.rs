//! The header section of a message, indexed while it arrives (RFC 5322 section 2.2).

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr;

use super::field::{Field, is_blank, split_name};

/// Longest header section accepted, in octets.
pub const MAX_HEADER_OCTETS: usize = 1024 * 1024;

/// Most header fields accepted.
pub const MAX_FIELDS: usize = 10_000;

/// Room that a header section begins with.
const USUAL_OCTETS: usize = 2048;
const USUAL_FIELDS: usize = 16;

/// A header section and the places of its fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The message up to its body.
    octets: Bytes,
    fields: Vec<Place>,
    /// Where the fields end and the blank line begins, if there is one.
    fields_end: u32,
}

/// Where a field stands; offsets from the start of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: u32,
    name_end: u32,
    value_start: u32,
    end: u32,
}

/// A header section larger than [`MAX_HEADER_OCTETS`] or with more than [`MAX_FIELDS`] fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("header section with more than {MAX_HEADER_OCTETS} octets or {MAX_FIELDS} fields")]
pub struct HeaderTooLarge;

impl Header {
    /// Reads the header section of a whole message.
    ///
    /// # Errors
    ///
    /// [`HeaderTooLarge`].
    pub fn parse(message: &[u8]) -> Result<Self, HeaderTooLarge> {
        let mut scanner = HeaderScanner::new();
        scanner.push(message);
        scanner.finish()
    }

    /// The section as it arrived, up to the body, blank line included.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.octets
    }

    /// Length of the section with its blank line; the body begins here.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets.len() as u64
    }

    /// The blank line between header and body; empty when there is none.
    #[must_use]
    pub fn separator(&self) -> Range<u64> {
        u64::from(self.fields_end)..self.octets()
    }

    /// The fields from the top.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> + DoubleEndedIterator {
        self.fields.iter().map(|place| self.view(place))
    }

    /// The field at a position among all fields, counted from 0.
    #[must_use]
    pub fn field(&self, index: usize) -> Option<Field<'_>> {
        self.fields.get(index).map(|place| self.view(place))
    }

    /// The octets of a field within the message, line end included.
    pub(super) fn range(&self, index: usize) -> Option<Range<u64>> {
        self.fields.get(index).map(|place| u64::from(place.start)..u64::from(place.end))
    }

    /// How many fields have this name, compared without case.
    #[must_use]
    pub fn count(&self, name: &[u8]) -> usize {
        self.fields().filter(|field| field.is(name)).count()
    }

    /// Whether a field has this name, compared without case.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.fields().any(|field| field.is(name))
    }

    /// Whether this is the header of a message at all: it has a field that RFC 5322 or MIME knows.
    #[must_use]
    pub fn is_of_a_message(&self) -> bool {
        self.fields().any(|field| is_known(field.name))
    }

    fn view(&self, place: &Place) -> Field<'_> {
        let slice = |from: u32, to: u32| self.octets.get(from as usize..to as usize).unwrap_or_default();
        let value = slice(place.value_start, place.end);
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        Field {
            name: slice(place.start, place.name_end),
            value: value.strip_suffix(b"\r").unwrap_or(value),
            raw: slice(place.start, place.end),
        }
    }
}

/// Builds a [`Header`] from the octets of a message as they arrive.
///
/// The section ends at a blank line, or before a line that is neither a field nor a fold. A line ends at
/// LF; a bare CR is part of its line.
#[derive(Debug, Default)]
pub struct HeaderScanner {
    octets: Vec<u8>,
    fields: Vec<Place>,
    /// Where the line begins whose end has not come yet.
    line: usize,
    state: State,
}

/// Whether the scanner wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    InHeader,
    InBody,
    TooLarge,
}

impl HeaderScanner {
    /// A scanner at the start of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next octets of the message. Those of the body are passed over.
    pub fn push(&mut self, input: &[u8]) {
        let mut rest = input;
        if self.octets.is_empty() && self.state == State::InHeader {
            self.octets.reserve(input.len().min(USUAL_OCTETS));
            self.fields.reserve(USUAL_FIELDS);
        }
        while self.state == State::InHeader && !rest.is_empty() {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (octets, others) = rest.split_at(end);
            rest = others;
            if self.octets.len() + octets.len() > MAX_HEADER_OCTETS {
                // The line may be the first of the body, which has every right to be long.
                let mut line = self.octets.split_off(self.line);
                line.extend(octets.iter().take(MAX_NAME_SCAN));
                let in_header = split_name(&line).is_some() || line.first().is_some_and(|b| is_blank(*b));
                if in_header || line.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                    self.too_large()
                } else {
                    self.end_at(self.line)
                }
                return;
            }
            self.octets.extend_from_slice(octets);
            if octets.ends_with(b"\n") {
                self.take_line();
            }
        }
    }

    /// Whether the body has begun, so that [`finish`](Self::finish) will not change its mind.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::InBody
    }

    /// Whether the section is too large; nothing more is kept of it.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.state == State::TooLarge
    }

    /// Ends the scan; a message may end within its header section.
    ///
    /// # Errors
    ///
    /// [`HeaderTooLarge`].
    pub fn finish(mut self) -> Result<Header, HeaderTooLarge> {
        if self.state == State::InHeader && self.line < self.octets.len() {
            self.take_line();
        }
        if self.state == State::TooLarge {
            return Err(HeaderTooLarge);
        }
        let fields_end = self.fields.last().map_or(0, |place| place.end);
        Ok(Header { octets: Bytes::from(self.octets), fields: self.fields, fields_end })
    }

    /// Judges the line that ends here.
    fn take_line(&mut self) {
        let line = self.octets.get(self.line..).unwrap_or_default();
        if matches!(line, b"\n" | b"\r\n") {
            self.state = State::InBody;
            return;
        }
        let end = offset(self.octets.len());
        if line.first().is_some_and(|b| is_blank(*b)) {
            match self.fields.last_mut() {
                Some(field) => field.end = end,
                None => return self.end_at(self.line),
            }
        } else if let Some((name, value)) = split_name(line) {
            if self.fields.len() == MAX_FIELDS {
                return self.too_large();
            }
            let start = self.line;
            self.fields.push(Place {
                start: offset(start),
                name_end: offset(start + name),
                value_start: offset(start + value),
                end,
            });
        } else {
            return self.end_at(self.line);
        }
        self.line = self.octets.len();
    }

    /// The body begins without a blank line before it.
    fn end_at(&mut self, body: usize) {
        self.octets.truncate(body);
        self.state = State::InBody;
    }

    fn too_large(&mut self) {
        *self = Self { state: State::TooLarge, ..Self::default() };
    }
}

/// Octets of an over-long line that are looked at for a field name; the longest line there should be.
const MAX_NAME_SCAN: usize = 998;

/// Offsets fit 32 bits, because no more than [`MAX_HEADER_OCTETS`] are kept.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Fields of RFC 5322 section 3.6 and of MIME (RFC 2045 section 3, RFC 2183, RFC 3282, RFC 2557).
fn is_known(name: &[u8]) -> bool {
    const KNOWN: [&[u8]; 17] = [
        b"Date",
        b"From",
        b"Sender",
        b"Reply-To",
        b"To",
        b"Cc",
        b"Bcc",
        b"Message-ID",
        b"In-Reply-To",
        b"References",
        b"Subject",
        b"Comments",
        b"Keywords",
        b"Return-Path",
        b"Received",
        b"MIME-Version",
        b"Content-Type",
    ];
    const RESENT: [&[u8]; 7] = [b"Date", b"From", b"Sender", b"To", b"Cc", b"Bcc", b"Message-ID"];
    const CONTENT: [&[u8]; 6] =
        [b"Transfer-Encoding", b"ID", b"Description", b"Disposition", b"Language", b"Location"];
    let among = |names: &[&[u8]], name: &[u8]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let after = |prefix: &[u8]| {
        name.split_at_checked(prefix.len())
            .filter(|(head, _)| head.eq_ignore_ascii_case(prefix))
            .map(|(_, tail)| tail)
    };
    among(&KNOWN, name)
        || after(b"Resent-").is_some_and(|rest| among(&RESENT, rest))
        || after(b"Content-").is_some_and(|rest| among(&CONTENT, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(message: &str) -> (Vec<(String, String)>, String) {
        let header = Header::parse(message.as_bytes()).unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let fields = header.fields().map(|field| (text(field.name), text(field.value))).collect();
        (fields, message[header.octets() as usize..].to_owned())
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_and_body_are_told_apart() {
        for (message, wanted, body) in [
            ("", &[][..], ""),
            ("A: b\r\n\r\nbody\r\n", &[("A", " b")], "body\r\n"),
            ("A: b\r\nC:d\r\n e\r\n\tf\r\n\r\n", &[("A", " b"), ("C", "d\r\n e\r\n\tf")], ""),
            ("A: b\n\nbody", &[("A", " b")], "body"),
            ("A : b\r\n\r\n", &[("A", " b")], ""),
            ("A:\r\n\r\n", &[("A", "")], ""),
            ("A: b\r\n", &[("A", " b")], ""),
            ("A: b", &[("A", " b")], ""),
            ("A: b\r\nno field\r\n\r\n", &[("A", " b")], "no field\r\n\r\n"),
            ("A: b\r\n: c\r\n", &[("A", " b")], ": c\r\n"),
            ("no field\r\nA: b\r\n", &[], "no field\r\nA: b\r\n"),
            (" A: b\r\n", &[], " A: b\r\n"),
            ("\r\nA: b\r\n", &[], "A: b\r\n"),
            ("From x@y Mon\r\nA: b\r\n", &[], "From x@y Mon\r\nA: b\r\n"),
            ("A: b\r\n \r\n\r\nbody", &[("A", " b\r\n ")], "body"),
            ("A: b\rC: d\r\n\r\n", &[("A", " b\rC: d")], ""),
        ] {
            assert_eq!(shown(message), (fields(wanted), body.to_owned()), "{message:?}");
        }
    }

    #[test]
    fn names_have_no_case() {
        let header = Header::parse(b"Received: 1\r\nRECEIVED: 2\r\nDATE: x\r\n\r\n").unwrap();
        assert_eq!(header.count(b"received"), 2);
        assert!(header.contains(b"Date") && !header.contains(b"Message-ID"));
    }

    #[test]
    fn what_no_standard_knows_is_no_message() {
        for message in [
            "Subject: x\r\n\r\n",
            "X: y\r\ncontent-TYPE: a/b\r\n",
            "Resent-From: a@b\r\n",
            "MIME-Version: 1.0\r\n",
        ] {
            assert!(Header::parse(message.as_bytes()).unwrap().is_of_a_message(), "{message:?}");
        }
        for message in [
            "",
            "\r\nSubject: in the body\r\n",
            "X-Own: y\r\n\r\n",
            "hello\r\nSubject: x\r\n",
            "Content-X: 1\r\n",
            "Resent-: 1\r\n",
        ] {
            assert!(!Header::parse(message.as_bytes()).unwrap().is_of_a_message(), "{message:?}");
        }
    }

    #[test]
    fn a_header_without_end_takes_bounded_memory() {
        for line in ["A: b\r\n", "a long line without a colon or an end ", "A: a long field without an end "]
        {
            let mut scanner = HeaderScanner::new();
            for _ in 0..100_000 {
                scanner.push(line.as_bytes());
                assert!(scanner.octets.len() <= MAX_HEADER_OCTETS && scanner.fields.len() <= MAX_FIELDS);
            }
            assert_eq!(scanner.finish().is_err(), line.contains(':'), "{line}");
        }
        let just = "A: b\r\n".repeat(MAX_FIELDS);
        assert_eq!(Header::parse(just.as_bytes()).unwrap().fields().len(), MAX_FIELDS);
        assert_eq!(Header::parse(format!("{just}A: b\r\n").as_bytes()), Err(HeaderTooLarge));
    }

    #[test]
    fn a_body_may_be_as_long_as_it_likes() {
        let long = "x".repeat(2 * MAX_HEADER_OCTETS);
        for message in [format!("A: b\r\n\r\n{long}"), format!("A: b\r\n{long}")] {
            let header = Header::parse(message.as_bytes()).unwrap();
            assert_eq!(header.fields().len(), 1);
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_header(message in "([AB]{1,3} ?: ?[a\r]{0,3}\r?\n|[ \t]c\r\n|\r\n|[a:é]{0,4}){0,8}", size in 1usize..12) {
            let mut scanner = HeaderScanner::new();
            message.as_bytes().chunks(size).for_each(|piece| scanner.push(piece));
            let header = scanner.finish().unwrap();
            prop_assert_eq!(&header, &Header::parse(message.as_bytes()).unwrap());
            let raw: Vec<u8> = header.fields().flat_map(|field| field.raw.to_vec()).collect();
            let body = header.separator().end as usize;
            prop_assert_eq!([&raw[..], &message.as_bytes()[header.separator().start as usize..body]].concat(), &message.as_bytes()[..body]);
        }
    }
}
