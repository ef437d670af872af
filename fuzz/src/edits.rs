//! Changes to messages: any sequence is applied whole or not at all, and what comes out has the fields that it says.

use std::sync::Arc;

use postern_core::message::draft::{Draft, Piece};
use postern_core::message::edit::Edit;
use postern_core::message::header::Header;

/// Runs one input: a message, and behind each NUL something to do to it.
pub fn run(octets: &[u8]) {
    let mut parts = octets.split(|octet| *octet == 0);
    let message = parts.next().unwrap_or_default();
    let Ok(header) = Header::parse(message) else { return };
    let mut draft = Draft::new(Arc::new(header), message.len() as u64);
    assert_eq!(written(&draft, message), message, "nothing was changed");
    if draft.apply(parts.filter_map(edit)).is_err() {
        return;
    }
    let after = written(&draft, message);
    assert_eq!(after.len() as u64, draft.octets());
    let section = Header::parse(&draft.header_section()).expect("the draft had room for it");
    assert_eq!(section.fields().len(), draft.fields().count(), "what is written is what was asked for");
    assert!(after.starts_with(&draft.header_section()) || !draft.is_changed());
}

fn written(draft: &Draft, message: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in draft.pieces() {
        match piece {
            Piece::Original(range) => {
                let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                all.extend_from_slice(message.get(range).expect("a piece lies in the message"));
            }
            Piece::New(octets) => all.extend_from_slice(&octets),
        }
    }
    all
}

/// What one part asks for: a letter, for fields a digit that names one and a digit that counts, and the new text.
fn edit(part: &[u8]) -> Option<Edit> {
    Some(match part {
        [b'b', body @ ..] => Edit::ReplaceBody(body.into()),
        [b'm', message @ ..] => Edit::ReplaceMessage(message.into()),
        [b'n', ..] => Edit::NextFilter,
        [kind, name, index, text @ ..] => {
            let name = NAMES[usize::from(*name) % NAMES.len()].into();
            let index = index.wrapping_sub(b'0').into();
            // The only line ends in values are folds; what filters send is checked for that before.
            let lines = text.split(|octet| b"\r\n".contains(octet)).collect::<Vec<_>>();
            let value = lines.join(&b"\r\n "[..]).into();
            match kind {
                b'a' => Edit::AddField { name, value },
                b'i' => Edit::InsertField { index, name, value },
                b'c' => Edit::ChangeField { index, name, value },
                b'r' => Edit::RemoveField { index, name },
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// Names are those of fields, as the callers of [`Draft`] see to; the first is at `0`.
const NAMES: [&[u8]; 4] = [b"From", b"Subject", b"X-A", b"x-a"];
