//! Changes to messages: any sequence is applied whole or not at all, and what comes out has the fields that it says.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use postern_core::message::draft::{Draft, Piece};
use postern_core::message::edit::Edit;
use postern_core::message::header::Header;

fuzz_target!(|given: Given| {
    let Ok(header) = Header::parse(&given.message) else { return };
    let mut draft = Draft::new(Arc::new(header), given.message.len() as u64);
    let before = written(&draft, &given.message);
    assert_eq!(before, given.message, "nothing was changed");
    if draft.apply(given.edits.into_iter().map(Edit::from)).is_err() {
        return;
    }
    let after = written(&draft, &given.message);
    assert_eq!(after.len() as u64, draft.octets());
    let section = Header::parse(&draft.header_section()).expect("the draft had room for it");
    assert_eq!(section.fields().len(), draft.fields().count(), "what is written is what was asked for");
    assert!(after.starts_with(&draft.header_section()) || !draft.is_changed());
});

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

/// A message and what is done to it.
#[derive(Debug, Arbitrary)]
struct Given {
    message: Vec<u8>,
    edits: Vec<Change>,
}

/// An [`Edit`] by chance; names are those of fields, as the callers of [`Draft`] see to.
#[derive(Debug, Arbitrary)]
enum Change {
    Add(Name, Vec<u8>),
    Insert(u8, Name, Vec<u8>),
    Change(u8, Name, Vec<u8>),
    Remove(u8, Name),
    Body(Vec<u8>),
    Message(Vec<u8>),
    Next,
}

#[derive(Debug)]
struct Name(Box<[u8]>);

impl<'a> Arbitrary<'a> for Name {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let names: [&[u8]; 5] = [b"From", b"Subject", b"X-A", b"x-a", b"Received"];
        Ok(Self((*u.choose(&names)?).into()))
    }
}

impl From<Change> for Edit {
    fn from(change: Change) -> Self {
        // Values are lines without line ends; what filters send is checked for that before.
        let value = |octets: Vec<u8>| octets.into_iter().filter(|octet| !b"\r\n\0".contains(octet)).collect();
        match change {
            Change::Add(name, octets) => Self::AddField { name: name.0, value: value(octets) },
            Change::Insert(index, name, octets) => {
                Self::InsertField { index: index.into(), name: name.0, value: value(octets) }
            }
            Change::Change(index, name, octets) => {
                Self::ChangeField { index: index.into(), name: name.0, value: value(octets) }
            }
            Change::Remove(index, name) => Self::RemoveField { index: index.into(), name: name.0 },
            Change::Body(octets) => Self::ReplaceBody(octets.into()),
            Change::Message(octets) => Self::ReplaceMessage(octets.into()),
            Change::Next => Self::NextFilter,
        }
    }
}
