//! The part of Protocol Buffers and of `opentelemetry/proto/trace/v1/trace.proto` (version 1) that spans need.
//!
//! Written by hand: the messages are few and frozen, and what is encoded in place needs no tree of objects, which
//! would cost several times as much as all else about a span. See docs/adr/0004.

use std::fmt;

/// Field numbers, as in the definitions.
pub(crate) mod field {
    /// `ExportTraceServiceRequest.resource_spans`
    pub(crate) const RESOURCE_SPANS: u32 = 1;
    /// `ResourceSpans.resource`
    pub(crate) const RESOURCE: u32 = 1;
    /// `ResourceSpans.scope_spans`
    pub(crate) const SCOPE_SPANS: u32 = 2;
    /// `Resource.attributes`
    pub(crate) const RESOURCE_ATTRIBUTES: u32 = 1;
    /// `ScopeSpans.scope`
    pub(crate) const SCOPE: u32 = 1;
    /// `ScopeSpans.spans`
    pub(crate) const SPANS: u32 = 2;
    /// `InstrumentationScope.name`, `.version`
    pub(crate) const SCOPE_NAME: u32 = 1;
    pub(crate) const SCOPE_VERSION: u32 = 2;
    /// `Span`
    pub(crate) const TRACE_ID: u32 = 1;
    pub(crate) const SPAN_ID: u32 = 2;
    pub(crate) const PARENT_SPAN_ID: u32 = 4;
    pub(crate) const NAME: u32 = 5;
    pub(crate) const KIND: u32 = 6;
    pub(crate) const START: u32 = 7;
    pub(crate) const END: u32 = 8;
    pub(crate) const ATTRIBUTES: u32 = 9;
    pub(crate) const LINKS: u32 = 13;
    pub(crate) const STATUS: u32 = 15;
    pub(crate) const FLAGS: u32 = 16;
    /// `Span.Link`
    pub(crate) const LINK_TRACE_ID: u32 = 1;
    pub(crate) const LINK_SPAN_ID: u32 = 2;
    pub(crate) const LINK_FLAGS: u32 = 6;
    /// `Status`
    pub(crate) const STATUS_MESSAGE: u32 = 2;
    pub(crate) const STATUS_CODE: u32 = 3;
    /// `KeyValue`
    pub(crate) const KEY: u32 = 1;
    pub(crate) const VALUE: u32 = 2;
    /// `AnyValue`
    pub(crate) const STRING_VALUE: u32 = 1;
    pub(crate) const BOOL_VALUE: u32 = 2;
    pub(crate) const INT_VALUE: u32 = 3;
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    key(field, VARINT, out);
    varint(value, out);
}

pub(crate) fn fixed32(field: u32, value: u32, out: &mut Vec<u8>) {
    key(field, FIXED32, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn fixed64(field: u32, value: u64, out: &mut Vec<u8>) {
    key(field, FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn octets(field: u32, value: &[u8], out: &mut Vec<u8>) {
    head(field, value.len(), out);
    out.extend_from_slice(value);
}

/// The key of a message or text, and its length.
pub(crate) fn head(field: u32, length: usize, out: &mut Vec<u8>) {
    key(field, LENGTH, out);
    varint(length as u64, out);
}

/// An attribute whose value is a text, cut after [`LONGEST_TEXT`].
pub(crate) fn text_attribute(field: u32, name: &str, value: &impl fmt::Display, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        octets(field::KEY, name.as_bytes(), out);
        nested(field::VALUE, out, |out| nested(field::STRING_VALUE, out, |out| text(value, out)));
    });
}

/// An attribute whose value is a whole number.
pub(crate) fn number_attribute(field: u32, name: &str, value: i64, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        octets(field::KEY, name.as_bytes(), out);
        nested(field::VALUE, out, |out| number(field::INT_VALUE, value.cast_unsigned(), out));
    });
}

/// An attribute whose value is yes or no.
pub(crate) fn truth_attribute(field: u32, name: &str, value: bool, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        octets(field::KEY, name.as_bytes(), out);
        nested(field::VALUE, out, |out| number(field::BOOL_VALUE, value.into(), out));
    });
}

/// Appends a text of at most [`LONGEST_TEXT`] octets, cut between characters.
pub(crate) fn text(value: &impl fmt::Display, out: &mut Vec<u8>) {
    use fmt::Write as _;
    let room = LONGEST_TEXT;
    // It never fails but to say that the room is used up.
    let _ = write!(Bounded { out, room }, "{value}");
}

/// A message of at most 16,383 octets inside another one: its length gets two octets before it is known, so that
/// nothing is moved or written twice. Protocol Buffers allow a number to be longer than it needs to be.
pub(crate) fn nested(field: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    key(field, LENGTH, out);
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    let length = out.len() - at - 2;
    if let Some([low, high]) = out.get_mut(at..at + 2) {
        (*low, *high) = ((length as u8 & 0x7F) | 0x80, (length >> 7) as u8 & 0x7F);
    }
}

fn key(field: u32, wire_type: u32, out: &mut Vec<u8>) {
    varint(u64::from((field << 3) | wire_type), out);
}

struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    room: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = part.floor_char_boundary(self.room);
        self.out.extend_from_slice(part.get(..end).unwrap_or_default().as_bytes());
        self.room -= end;
        if end < part.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Longest text of an attribute, octets. What is longer is cut.
const LONGEST_TEXT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn numbers_are_as_the_encoding_says() {
        // The examples of the documentation of Protocol Buffers.
        assert_eq!(written(|out| number(1, 150, out)), [0x08, 0x96, 0x01]);
        assert_eq!(written(|out| octets(2, b"testing", out)), b"\x12\x07testing");
        assert_eq!(written(|out| fixed32(16, 1, out)), [0x85, 0x01, 1, 0, 0, 0]);
        assert_eq!(written(|out| varint(u64::MAX, out)).len(), 10);
    }

    #[test]
    fn the_length_of_a_nested_message_is_filled_in() {
        assert_eq!(
            written(|out| nested(3, out, |out| number(1, 150, out))),
            [0x1A, 0x83, 0x00, 0x08, 0x96, 0x01]
        );
        let long = written(|out| nested(1, out, |out| out.extend_from_slice(&[7; 300])));
        assert_eq!(long.get(..3), Some(&[0x0A, 0xAC, 0x02][..]));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = written(|out| text(&"é".repeat(LONGEST_TEXT), out));
        assert_eq!(String::from_utf8(cut).unwrap(), "é".repeat(LONGEST_TEXT / 2));
    }
}
