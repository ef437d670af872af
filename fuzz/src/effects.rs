//! What holds for every filter, whatever it answers: its changes do no more than it may ask for, and its replies
//! are one reply.

use std::ops::RangeInclusive;
use std::sync::Arc;

use postern_core::message::draft::Draft;
use postern_core::message::edit::Edit;
use postern_core::message::header::Header;
use postern_core::smtp::reply::Reply;
use postern_core::verdict::{Modification, Stage, Verdict};

/// The message that is changed.
pub(crate) const MESSAGE: &[u8] =
    b"From: a@example.org\r\nSubject: a\r\n b\r\nX-A: 1\r\nX-A: 2\r\nX-Spam: 1\r\nX-Spam: 2\r\n\r\nbody\r\n";

/// Codes of a refusal.
pub(crate) const REFUSALS: &[RangeInclusive<u16>] = &[400..=599];

/// Codes of replies that leave nothing open; a hook may say how a message is taken that it discards.
pub(crate) const FINAL: &[RangeInclusive<u16>] = &[200..=299, 400..=599];

/// The header of [`MESSAGE`].
#[must_use]
pub(crate) fn header() -> Header {
    Header::parse(MESSAGE).expect("it is small")
}

/// Takes a verdict at its word; its reply has one of these codes.
pub(crate) fn judge(verdict: Verdict, stage: Stage, codes: &[RangeInclusive<u16>]) {
    match verdict {
        Verdict::Pass(changes) => {
            assert!(stage == Stage::Data || changes.is_empty(), "a change before Data");
            apply(changes);
        }
        Verdict::Reject(reply) | Verdict::Defer(reply) | Verdict::Disconnect(Some(reply)) => {
            assert!(codes.iter().any(|codes| codes.contains(&reply.code())), "{reply}");
            check(&reply);
        }
        Verdict::Discard | Verdict::Disconnect(None) => {}
    }
}

/// Nothing that is asked for makes more fields than it says.
fn apply(changes: Vec<Modification>) {
    let header = header();
    let before = header.fields().len();
    let mut draft = Draft::new(Arc::new(header), MESSAGE.len() as u64);
    let edits: Vec<Edit> = changes
        .into_iter()
        .filter_map(|change| match change {
            Modification::Edit(edit) => Some(edit),
            _ => None,
        })
        .collect();
    let new =
        |edit: &&Edit| !matches!(edit, Edit::RemoveField { .. } | Edit::ReplaceBody(_) | Edit::NextFilter);
    let most = before + edits.iter().filter(new).count();
    draft.apply(edits).expect("only a whole new message has a header of its own");
    let shown = draft.fields().count();
    assert!(shown <= most, "{shown} fields of {most}");
    let section = Header::parse(&draft.header_section()).expect("it is small");
    assert_eq!(section.fields().len(), shown, "what is written is what was asked for");
}

/// One reply, and no line that could be taken for another reply.
pub(crate) fn check(reply: &Reply) {
    let mut wire = Vec::new();
    reply.write_to(&mut wire);
    let text = String::from_utf8(wire).expect("replies are text");
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    let code = reply.code().to_string();
    for (at, line) in lines.iter().enumerate() {
        let separator = if at + 1 == lines.len() { ' ' } else { '-' };
        assert!(line.starts_with(&format!("{code}{separator}")), "{text:?}");
        assert!(!line.contains(['\r', '\n', '\0']), "{text:?}");
    }
}
