//! Answers of rspamd: whatever they hold, they are understood whole or not at all.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use postern_core::message::draft::Draft;
use postern_core::message::header::Header;
use postern_core::policy::filter::SpamAction;
use postern_core::rspamd::{self, Actions};
use postern_core::verdict::{Modification, Verdict};

const MESSAGE: &[u8] = b"From: a@example.org\r\nSubject: a\r\n b\r\nX-Spam: 1\r\nX-Spam: 2\r\n\r\nbody\r\n";

const ACTIONS: [SpamAction; 5] =
    [SpamAction::Reject, SpamAction::TempFail, SpamAction::Quarantine, SpamAction::Tag, SpamAction::Ignore];

fuzz_target!(|octets: &[u8]| {
    let Some((choice, answer)) = octets.split_first() else { return };
    let action = ACTIONS[usize::from(*choice) % ACTIONS.len()];
    let actions = Actions { on_reject: action, on_soft_reject: action, on_greylist: action };
    let header = Header::parse(MESSAGE).expect("it is small");
    let Ok(Verdict::Pass(changes)) = rspamd::read(answer, &header, actions) else { return };
    let mut draft = Draft::new(Arc::new(header), MESSAGE.len() as u64);
    let edits = changes.into_iter().filter_map(|change| match change {
        Modification::Edit(edit) => Some(edit),
        _ => None,
    });
    draft.apply(edits).expect("only a whole new message has a header of its own");
    let shown = draft.fields().count();
    let section = Header::parse(&draft.header_section()).expect("it is small");
    assert_eq!(section.fields().len(), shown, "what is written is what was asked for");
});
