//! Answers of hooks: whatever they hold, they are understood whole or not at all, and do no more than one may ask for.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use postern_core::hook;
use postern_core::message::draft::Draft;
use postern_core::message::edit::Edit;
use postern_core::message::header::Header;
use postern_core::smtp::reply::Reply;
use postern_core::verdict::{Modification, Stage, Verdict};

const STAGES: [Stage; 6] = [Stage::Connect, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data];

const MESSAGE: &[u8] = b"From: a@example.org\r\nSubject: a\r\n b\r\nX-A: 1\r\nX-A: 2\r\n\r\nbody\r\n";

fuzz_target!(|octets: &[u8]| {
    let Some((choice, answer)) = octets.split_first() else { return };
    // Most inputs are worth most at Data.
    let stage = STAGES.get(usize::from(*choice)).copied().unwrap_or(Stage::Data);
    match hook::read(answer, stage) {
        Err(error) => drop(error.to_string()),
        Ok(Verdict::Pass(changes)) => {
            assert!(stage == Stage::Data || changes.is_empty(), "a change before Data");
            apply(changes);
        }
        Ok(Verdict::Reject(reply) | Verdict::Defer(reply) | Verdict::Disconnect(Some(reply))) => {
            check(&reply);
        }
        Ok(Verdict::Discard | Verdict::Disconnect(None)) => {}
    }
});

/// Nothing that is asked for makes more fields than it says.
fn apply(changes: Vec<Modification>) {
    let header = Header::parse(MESSAGE).expect("it is small");
    let before = header.fields().len();
    let mut draft = Draft::new(Arc::new(header), MESSAGE.len() as u64);
    let edits: Vec<Edit> = changes
        .into_iter()
        .filter_map(|change| match change {
            Modification::Edit(edit) => Some(edit),
            _ => None,
        })
        .collect();
    let new = |edit: &&Edit| !matches!(edit, Edit::RemoveField { .. } | Edit::ReplaceBody(_) | Edit::NextFilter);
    let most = before + edits.iter().filter(new).count();
    draft.apply(edits).expect("only a whole new message has a header of its own");
    let shown = draft.fields().count();
    assert!(shown <= most, "{shown} fields of {most}");
    let section = Header::parse(&draft.header_section()).expect("it is small");
    assert_eq!(section.fields().len(), shown, "what is written is what was asked for");
}

/// One reply, and no line that could be taken for another.
fn check(reply: &Reply) {
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
