//! From the message that a script has made to edits of the one that it was shown.
//!
//! The interpreter does not tell what it has done, only what came of it. When the body came out as it went in,
//! the difference is one of fields, and is told as such: the rest of the message then stays where it is,
//! octet for octet, however large it is. Otherwise the message as a whole takes the place of the old one.

use postern_core::message::edit::Edit;
use postern_core::message::field::write_field;
use postern_core::message::header::Header;

/// The edits that make `old` into `new`; none when they are equal.
pub(super) fn edits(old: &[u8], new: Vec<u8>) -> Vec<Edit> {
    if old == new {
        return Vec::new();
    }
    of_header(old, &new).unwrap_or_else(|| vec![Edit::ReplaceMessage(new.into())])
}

/// The edits of fields, when there are no others.
fn of_header(old: &[u8], new: &[u8]) -> Option<Vec<Edit>> {
    let (old_header, new_header) = (Header::parse(old).ok()?, Header::parse(new).ok()?);
    let body = |message: &'_ [u8], header: &Header| -> Option<std::ops::Range<usize>> {
        Some(usize::try_from(header.octets()).ok()?..message.len())
    };
    let old_body = old.get(body(old, &old_header)?)?;
    let new_body = new.get(body(new, &new_header)?)?;
    if old_body != new_body || old_header.separator().is_empty() != new_header.separator().is_empty() {
        return None;
    }
    let old: Vec<&[u8]> = old_header.fields().map(|field| field.raw).collect();
    let mut removals = Vec::new();
    let mut insertions = Vec::new();
    let mut at = 0;
    for field in new_header.fields() {
        let rest = old.get(at..).unwrap_or_default();
        match rest.iter().position(|kept| *kept == field.raw) {
            Some(skipped) => {
                removals.extend(at..at + skipped);
                at += skipped + 1;
            }
            // A form that is not ours, such as no space behind the colon, would not come out as it is.
            None if !is_ours(field.raw, field.name, field.value) => return None,
            None => insertions.push(Edit::InsertField {
                index: u32::try_from(at).ok()?,
                name: field.name.into(),
                value: field.value.into(),
            }),
        }
    }
    removals.extend(at..old.len());
    // From the last to the first, so that no removal changes the position that another one counts.
    let removals: Option<Vec<Edit>> =
        removals.into_iter().rev().map(|index| removal(&old_header, index)).collect();
    // Positions of insertions count what the script was shown, so that removals do not disturb them.
    Some(removals?.into_iter().chain(insertions).collect())
}

fn is_ours(raw: &[u8], name: &[u8], value: &[u8]) -> bool {
    let mut written = Vec::with_capacity(raw.len());
    write_field(name, value, &mut written) && written == raw
}

/// Removes the field at a position among all.
fn removal(header: &Header, index: usize) -> Option<Edit> {
    let field = header.field(index)?;
    let before = header.fields().take(index + 1).filter(|other| other.is(field.name)).count();
    Some(Edit::RemoveField { index: u32::try_from(before).ok()?, name: field.name.into() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postern_core::message::draft::{Draft, Piece};
    use proptest::prelude::*;

    use super::*;

    fn applied(old: &str, edits: &[Edit]) -> String {
        let header = Arc::new(Header::parse(old.as_bytes()).unwrap());
        let mut draft = Draft::new(header, old.len() as u64);
        draft.apply(edits.iter().cloned()).unwrap();
        let octets = draft.pieces().into_iter().flat_map(|piece| match piece {
            Piece::Original(range) => old.as_bytes()[range.start as usize..range.end as usize].to_vec(),
            Piece::New(octets) => octets.to_vec(),
        });
        String::from_utf8(octets.collect()).unwrap()
    }

    fn is_of_fields(edits: &[Edit]) -> bool {
        edits.iter().all(|edit| matches!(edit, Edit::InsertField { .. } | Edit::RemoveField { .. }))
    }

    #[test]
    fn fields_are_edited_where_only_fields_differ() {
        let old = "A: 1\r\nB:2\r\nA:  3\r\n folded\r\n\r\nbody\r\n";
        for new in [
            "X: first\r\nA: 1\r\nB:2\r\nA:  3\r\n folded\r\n\r\nbody\r\n",
            "A: 1\r\nB:2\r\nA:  3\r\n folded\r\nX: last\r\nY: e\u{301}\r\n\r\nbody\r\n",
            "B:2\r\nA:  3\r\n folded\r\n\r\nbody\r\n",
            "X: a\r\nA:  3\r\n folded\r\nX: b\r\n\r\nbody\r\n",
            "A:  3\r\n folded\r\nA: 1\r\n\r\nbody\r\n",
            "X: a\r\n\r\nbody\r\n",
        ] {
            let edits = edits(old.as_bytes(), new.as_bytes().to_vec());
            assert!(is_of_fields(&edits), "{edits:?}");
            assert_eq!(applied(old, &edits), new);
        }
    }

    #[test]
    fn an_equal_message_has_no_edits_and_another_body_replaces_it() {
        let old = "A: 1\r\n\r\nbody\r\n";
        assert_eq!(edits(old.as_bytes(), old.into()), []);
        let new = "A: 1\r\n\r\nBODY\r\n";
        assert_eq!(edits(old.as_bytes(), new.into()), [Edit::ReplaceMessage(new.as_bytes().into())]);
        let moved = "A:1\r\nB:2\r\n\r\n";
        assert_eq!(
            applied(moved, &edits(moved.as_bytes(), "B:2\r\nA:1\r\n\r\n".into())),
            "B:2\r\nA:1\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn edits_always_make_the_new_message(
            old in proptest::collection::vec("[AB]: [12]\r\n", 0..6),
            new in proptest::collection::vec("[ABX]: [12]\r\n", 1..6),
        ) {
            let (old, new) = (format!("{}\r\nbody", old.concat()), format!("{}\r\nbody", new.concat()));
            let edits = edits(old.as_bytes(), new.clone().into());
            prop_assert_eq!(applied(&old, &edits), new);
        }
    }
}
