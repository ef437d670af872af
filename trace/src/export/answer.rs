//! `ExportTraceServiceResponse`, of which one number matters: how many spans the collector has not taken.

/// `partial_success.rejected_spans` (fields 1 and 1). What cannot be read says nothing.
pub(super) fn rejected_spans(message: &[u8]) -> u64 {
    let inner = fields(message).find_map(|(field, value)| match (field, value) {
        (1, Value::Octets(inner)) => Some(inner),
        _ => None,
    });
    let count = inner.and_then(|inner| {
        fields(inner).find_map(|(field, value)| match (field, value) {
            (1, Value::Number(count)) => Some(count),
            _ => None,
        })
    });
    count.unwrap_or(0)
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
