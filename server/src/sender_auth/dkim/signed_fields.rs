//! The header fields that a signature covers (RFC 6376 sections 3.5, 3.7 and 5.4.2).

use postern_core::message::field::Field;
use postern_core::message::header::Header;

/// A field cut at its colon, every octet kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::sender_auth) struct Part<'a> {
    /// What stands before the colon.
    pub(in crate::sender_auth) name: &'a [u8],
    /// What stands behind it, the line end included.
    pub(in crate::sender_auth) value: &'a [u8],
}

/// Cuts a field at its colon.
pub(in crate::sender_auth) fn part<'a>(field: &Field<'a>) -> Part<'a> {
    let colon = memchr::memchr(b':', field.raw).unwrap_or(field.raw.len());
    Part {
        name: field.raw.get(..colon).unwrap_or_default(),
        value: field.raw.get(colon + 1..).unwrap_or_default(),
    }
}

/// The fields that a list of names means: each name takes the lowest field that no earlier one took, and
/// nothing when there is none left.
pub(in crate::sender_auth) fn signed_fields<'a>(header: &'a Header, names: &[String]) -> Vec<Part<'a>> {
    let mut fields = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let earlier = names.iter().take(at).filter(|other| other.eq_ignore_ascii_case(name)).count();
        let mut same = header.fields().rev().filter(|field| field.is(name.as_bytes()));
        fields.extend(same.nth(earlier).map(|field| part(&field)));
    }
    fields
}

/// The value of a signature's own field with an empty `b=` and without the last line end.
pub(in crate::sender_auth) fn without_signature(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let mut unsigned = Vec::with_capacity(value.len());
    for (at, tag) in value.split(|octet| *octet == b';').enumerate() {
        if at > 0 {
            unsigned.push(b';');
        }
        let equals = memchr::memchr(b'=', tag).unwrap_or(tag.len());
        let (name, rest) = tag.split_at(equals);
        unsigned.extend_from_slice(name);
        if name.trim_ascii().eq_ignore_ascii_case(b"b") {
            unsigned.extend(rest.first());
        } else {
            unsigned.extend_from_slice(rest);
        }
    }
    unsigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(header: &str, names: &[&str]) -> Vec<String> {
        let header = Header::parse(header.as_bytes()).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        signed_fields(&header, &names)
            .iter()
            .map(|part| String::from_utf8([part.name, b":", part.value].concat()).unwrap())
            .collect()
    }

    #[test]
    fn names_take_fields_from_the_bottom() {
        let header = "Received: 3\r\nFrom: a\r\nReceived: 2\r\nreceived: 1\r\nSubject : s\r\n\r\n";
        assert_eq!(
            signed(header, &["from", "RECEIVED", "received", "To", "From", "subject"]),
            ["From: a\r\n", "received: 1\r\n", "Received: 2\r\n", "Subject : s\r\n"]
        );
    }

    #[test]
    fn only_the_value_of_b_is_left_out() {
        for (value, wanted) in [
            (" v=1; b=abc; bh=def;\r\n", " v=1; b=; bh=def;"),
            (" b = a\r\n b ;h=b\r\n", " b =;h=b"),
            (" bh=x; b=yz\r\n", " bh=x; b="),
            (" a=1;\r\n\tb=x==;\r\n", " a=1;\r\n\tb=;"),
            ("", ""),
        ] {
            assert_eq!(without_signature(value.as_bytes()), wanted.as_bytes(), "{value:?}");
        }
    }
}
