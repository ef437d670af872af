//! Answers of rspamd: whatever they hold, they are understood whole or not at all, and do no more than one may ask for.

use postern_core::policy::filter::SpamAction;
use postern_core::rspamd::{self, Actions};
use postern_core::verdict::Stage;

use crate::effects::{REFUSALS, header, judge};

const ACTIONS: [SpamAction; 5] =
    [SpamAction::Reject, SpamAction::TempFail, SpamAction::Quarantine, SpamAction::Tag, SpamAction::Ignore];

/// Runs one input.
pub fn run(octets: &[u8]) {
    let Some((choice, answer)) = octets.split_first() else { return };
    let action = ACTIONS[usize::from(*choice) % ACTIONS.len()];
    let actions = Actions { on_reject: action, on_soft_reject: action, on_greylist: action };
    if let Ok(verdict) = rspamd::read(answer, &header(), actions) {
        judge(verdict, Stage::Data, REFUSALS);
    }
}
