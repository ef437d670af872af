//! What a collector says: how many spans it has not taken, and when it wants to be asked again.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

/// `partial_success.rejected_spans` of an `ExportTraceServiceResponse` (fields 1 and 1). What cannot be read says
/// nothing.
pub(super) fn rejected_spans(message: &[u8]) -> u64 {
    octets_of(message, 1).next().and_then(|inner| number_of(inner, 1)).unwrap_or(0)
}

/// The delay of the `RetryInfo` in `grpc-status-details-bin`: a `google.rpc.Status` in base64, whose details (field 3)
/// name their type (1) and hold its octets (2).
pub(super) fn retry_delay(details: &str) -> Option<Duration> {
    let status = BASE64.decode(details.trim().trim_end_matches('=')).ok()?;
    octets_of(&status, 3).find_map(|detail| {
        let name = octets_of(detail, 1).next()?;
        if !name.ends_with(b"/google.rpc.RetryInfo") {
            return None;
        }
        let info = octets_of(detail, 2).next()?;
        let delay = octets_of(info, 1).next()?;
        let part = |field| number_of(delay, field).unwrap_or(0);
        // A negative number of seconds is a very large one here, and means as much.
        Some(Duration::new(part(1), u32::try_from(part(2)).ok().filter(|nanos| *nanos < 1_000_000_000)?))
    })
}

fn octets_of(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |(field, value)| match value {
        Value::Octets(octets) if field == wanted => Some(octets),
        _ => None,
    })
}

fn number_of(message: &[u8], wanted: u64) -> Option<u64> {
    fields(message).find_map(|(field, value)| match value {
        Value::Number(number) if field == wanted => Some(number),
        _ => None,
    })
}

enum Value<'a> {
    Number(u64),
    Octets(&'a [u8]),
}

/// The fields of a message that are numbers or octets; ends at the first that is neither.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut rest)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (octets, after) = rest.split_at_checked(length)?;
                rest = after;
                Value::Octets(octets)
            }
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_read_with_padding_and_without() {
        let details =
            b"\x08\x0e\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x02";
        let unpadded = BASE64.encode(details);
        for text in [unpadded.clone(), format!("{unpadded}=")] {
            assert_eq!(retry_delay(&text), Some(Duration::from_secs(2)));
        }
        let other =
            b"\x08\x0e\x1a\x30\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12\x04\x0a\x02\x08\x02";
        for nonsense in [BASE64.encode(other), "?".to_owned(), String::new()] {
            assert_eq!(retry_delay(&nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn rejected_spans_are_counted_and_nonsense_is_none() {
        assert_eq!(rejected_spans(b""), 0);
        assert_eq!(rejected_spans(b"\x0a\x07\x08\x96\x01\x12\x02no"), 150);
        for nonsense in
            [&b"\x0a\xff"[..], b"\x0a\x02\x08", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"hello"]
        {
            assert_eq!(rejected_spans(nonsense), 0, "{nonsense:?}");
        }
    }
}
