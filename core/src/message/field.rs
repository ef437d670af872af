//! One header field: as it is read, and how a new one is written (RFC 5322 section 2.2).

use memchr::{memchr, memchr2};

/// A field of a header section, as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// What stands before the colon, without white space.
    pub name: &'a [u8],
    /// What stands after the colon, folds and leading white space included, without the final line end.
    pub value: &'a [u8],
    /// The whole field with its line end.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Reads one whole field.
    pub(super) fn of(raw: &'a [u8]) -> Option<Self> {
        let (name, value) = split_name(raw)?;
        let lines = raw.get(value..)?;
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        Some(Self { name: raw.get(..name)?, value: lines.strip_suffix(b"\r").unwrap_or(lines), raw })
    }

    /// Whether the field has this name; names are compared without case.
    #[must_use]
    pub const fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The lengths of a field's name, and of name and colon together, at the start of its first line.
///
/// White space before the colon is accepted as RFC 5322 section 4.5.8 tells readers to. Nothing when the
/// line begins no field.
pub(super) fn split_name(line: &[u8]) -> Option<(usize, usize)> {
    let name = line.iter().position(|b| !is_name_octet(*b)).filter(|length| *length > 0)?;
    let blanks = line.get(name..)?.iter().position(|b| !is_blank(*b))?;
    (line.get(name + blanks) == Some(&b':')).then_some((name, name + blanks + 1))
}

/// Appends a field, and says whether it did: a name without any octet that a name may have writes nothing.
///
/// The result is always exactly one field, whatever name and value hold: line ends that begin no fold
/// are taken out of the value, octets that cannot stand in a name out of the name.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    out.extend(name.iter().filter(|b| is_name_octet(**b)));
    if out.len() == before {
        return false;
    }
    out.push(b':');
    let colon = out.len();
    write_value(value, out);
    // The filter chose its own white space, a fold perhaps.
    if !out.get(colon).is_some_and(|b| is_blank(*b) || *b == b'\r') {
        out.insert(colon, b' ');
    }
    out.extend_from_slice(b"\r\n");
    true
}

/// Name and value of a field to be written.
pub type NameAndValue = (Box<[u8]>, Box<[u8]>);

/// Whether name and value are one field as they stand, so that [`write_field`] takes nothing out of them.
///
/// A line end in the value begins a fold that carries something, or is the last of it.
#[must_use]
pub fn is_one_field(name: &[u8], value: &[u8]) -> bool {
    let value = value.strip_suffix(b"\n").map_or(value, |value| value.strip_suffix(b"\r").unwrap_or(value));
    let mut lines = value.split(|b| *b == b'\n').peekable();
    let mut is_fold = false;
    while let Some(line) = lines.next() {
        let line = if lines.peek().is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let carries = line.first().is_some_and(|b| is_blank(*b)) && line.iter().any(|b| !is_blank(*b));
        if line.contains(&b'\r') || line.contains(&0) || is_fold && !carries {
            return false;
        }
        is_fold = true;
    }
    !name.is_empty() && name.iter().all(|b| is_name_octet(*b))
}

/// Appends a value on as many lines as it has folds, none of them blank.
///
/// A line of nothing but white space would be the end of the header to some readers, so a fold needs
/// something to carry.
fn write_value(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    loop {
        let (mut line, others) = first_line(rest);
        while let Some(nul) = memchr(0, line) {
            out.extend_from_slice(line.get(..nul).unwrap_or_default());
            line = line.get(nul + 1..).unwrap_or_default();
        }
        out.extend_from_slice(line);
        let Some(next) = others.iter().position(|b| !is_line_end(*b)) else { return };
        rest = others.get(next..).unwrap_or_default();
        let (carried, _) = first_line(rest);
        if carried.first().is_some_and(|b| is_blank(*b)) && carried.iter().any(|b| !is_blank(*b) && *b != 0) {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// What stands before the first line end, and what follows with it.
fn first_line(octets: &[u8]) -> (&[u8], &[u8]) {
    octets.split_at(memchr2(b'\r', b'\n', octets).unwrap_or(octets.len()))
}

/// ftext of RFC 5322 section 3.6.8.
const fn is_name_octet(octet: u8) -> bool {
    matches!(octet, b'!'..=b'9' | b';'..=b'~')
}

pub(super) const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

const fn is_line_end(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::header::Header;

    fn written(name: &str, value: &str) -> String {
        let mut out = Vec::new();
        write_field(name.as_bytes(), value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_one_field_is_told_from_what_would_be_more() {
        for value in ["", "b", " b", "b\r\n", "b\n", "b\r\n c", "b\n\tc\r\n", "\r\n c", "\u{e9}"] {
            assert!(is_one_field(b"X-A", value.as_bytes()), "{value:?}");
        }
        for value in
            ["a\r\nB: c", "a\nB: c", "a\rb", "a\0", "a\r\n\r\nb", "a\r\n \r\n b", "a\r\n \r\n", "a\r"]
        {
            assert!(!is_one_field(b"X-A", value.as_bytes()), "{value:?}");
        }
        for name in ["", "a b", "a:", "\u{e9}", "a\r\nb"] {
            assert!(!is_one_field(name.as_bytes(), b"b"), "{name:?}");
        }
    }

    #[test]
    fn values_are_written_behind_a_space_unless_they_bring_their_own() {
        for (value, wanted) in [
            ("b", "A: b\r\n"),
            (" b", "A: b\r\n"),
            ("\tb", "A:\tb\r\n"),
            ("", "A: \r\n"),
            ("b\r\n", "A: b\r\n"),
            ("b\n", "A: b\r\n"),
            ("b\r\n c", "A: b\r\n c\r\n"),
            ("b\n\tc\n", "A: b\r\n\tc\r\n"),
            ("\r\n c", "A:\r\n c\r\n"),
        ] {
            assert_eq!(written("A", value), wanted, "{value:?}");
        }
    }

    #[test]
    fn a_value_cannot_bring_another_field_or_a_body() {
        for (value, wanted) in [
            ("b\r\nEvil: yes", "A: bEvil: yes\r\n"),
            ("b\nEvil: yes\n", "A: bEvil: yes\r\n"),
            ("b\r\rEvil", "A: bEvil\r\n"),
            ("b\r\n\r\nbody", "A: bbody\r\n"),
            ("b\r\n\r\n c", "A: b\r\n c\r\n"),
            ("b\r\n \r\nbody", "A: b body\r\n"),
            ("b\r\n \r\n c", "A: b \r\n c\r\n"),
            ("b\r\n \0\r\nc", "A: b c\r\n"),
            ("b\0c", "A: bc\r\n"),
        ] {
            assert_eq!(written("A", value), wanted, "{value:?}");
        }
    }

    #[test]
    fn a_name_cannot_bring_anything_but_itself() {
        assert_eq!(written("A:", "b"), "A: b\r\n");
        assert_eq!(written("A\r\nB: c\r\n", "d"), "ABc: d\r\n");
        assert_eq!(written("X Y\u{e9}", "d"), "XY: d\r\n");
        assert_eq!(written("", "d"), "");
        assert_eq!(written(": \r\n", "d"), "");
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_one_field(
            name in proptest::collection::vec(any::<u8>(), 0..8),
            value in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), any::<u8>()], 0..30),
        ) {
            let mut out = Vec::new();
            if write_field(&name, &value, &mut out) {
                let header = Header::parse(&out).unwrap();
                prop_assert_eq!(header.fields().count(), 1);
                prop_assert_eq!(header.octets() as usize, out.len());
            } else {
                prop_assert!(out.is_empty());
            }
        }
    }
}
