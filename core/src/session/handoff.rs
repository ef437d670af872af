//! What the client hears when the next hops have answered.

use std::sync::Arc;

use super::Session;
use super::change::{Change, Step};
use super::event::{Action, HandedOff};
use super::replies;
use super::state::Transaction;
use crate::smtp::reply::Reply;

impl Session {
    pub(super) fn handed_off(&self, outcome: &HandedOff) -> Step {
        let Some(transaction) = self.transaction() else { return Step::reply(replies::UNABLE) };
        if !self.is_lmtp() {
            let accepted = outcome.overall.is_positive();
            return Step::new(Change::TransactionOver { accepted }, Action::Reply(outcome.overall.clone()));
        }
        let each: Vec<Reply> =
            transaction.slots.iter().map(|keys| reply_for(transaction, keys, outcome)).collect();
        let accepted = each.iter().any(Reply::is_positive);
        Step::new(Change::TransactionOver { accepted }, Action::ReplyEach(each))
    }

    /// The message is accepted towards the client, and goes nowhere.
    pub(super) fn message_dropped(&self) -> Step {
        self.message_answered(replies::DELIVERED, true)
    }

    pub(super) fn message_refused(&self, reply: Reply) -> Step {
        self.message_answered(reply, false)
    }

    /// One reply, or in LMTP the same for each RCPT that was accepted (RFC 2033 section 4.2).
    fn message_answered(&self, reply: Reply, accepted: bool) -> Step {
        let slots = self.transaction().map_or(0, |transaction| transaction.slots.len());
        let action = match self.is_lmtp() && slots > 0 && reply.code() != 421 {
            true => Action::ReplyEach(vec![reply; slots]),
            false => Action::Reply(reply),
        };
        Step::new(Change::TransactionOver { accepted }, action)
    }
}

/// The worst reply among the recipients that one RCPT stands for. Recipients that only a filter has
/// added belong to every RCPT, since nobody else would hear of their failure.
fn reply_for(transaction: &Transaction, keys: &[Arc<str>], outcome: &HandedOff) -> Reply {
    let is_asked_for = |key: &str| transaction.slots.iter().flatten().any(|asked| &**asked == key);
    let replies = transaction
        .handed_off
        .iter()
        .zip(&outcome.each)
        .filter(|(key, _)| keys.contains(key) || !is_asked_for(key))
        .map(|(_, reply)| reply);
    let mut worst: Option<&Reply> = None;
    for reply in replies {
        let is_worse = worst.is_none_or(|worst| severity(reply) > severity(worst));
        if is_worse {
            worst = Some(reply);
        }
    }
    worst.cloned().unwrap_or(replies::DELIVERED)
}

/// A temporary answer is the worst, since it makes the client try again.
fn severity(reply: &Reply) -> u8 {
    match () {
        () if reply.is_positive() => 0,
        () if reply.is_permanent() => 1,
        () => 2,
    }
}
