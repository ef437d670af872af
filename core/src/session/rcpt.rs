//! RCPT (RFC 5321 section 4.1.1.3): the checks in their order, then one recipient or several.

use std::sync::Arc;

use super::Session;
use super::auth::delayed;
use super::change::{Accepted, Change, Step};
use super::consult::FilterGroup;
use super::event::Action;
use super::facts::View;
use super::mail::Judgement;
use super::question::{Answer, Halt, Inquiry, Question, Subject, Verify};
use super::recipient::Resolution;
use super::replies;
use super::state::{DataState, Doom, Transaction};
use crate::cause::Cause;
use crate::envelope::Recipient;
use crate::policy::throttle::ThrottleClass;
use crate::smtp::address::{Address, ForwardPath};
use crate::smtp::command::Rcpt;
use crate::smtp::reply::Reply;
use crate::verdict::{Modification, Stage};

impl Session {
    pub(super) fn rcpt(&self, rcpt: &Rcpt, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        let transaction = self.transaction().ok_or(replies::MAIL_FIRST)?;
        if transaction.data != DataState::Awaited {
            return Err(replies::RCPT_AFTER_BDAT.into());
        }
        if transaction.recipients_accepted() as u64 >= transaction.limits.max_recipients {
            return Err(replies::TOO_MANY_RECIPIENTS.into());
        }
        let asks_for_dsn = rcpt.parameters.notify.is_some() || rcpt.parameters.orcpt.is_some();
        if asks_for_dsn && !transaction.limits.dsn {
            return Err(replies::DSN_UNAVAILABLE.into());
        }
        let (address, is_postmaster) = self.addressee(&rcpt.to)?;
        let mut recipient = Recipient { address, parameters: rcpt.parameters.clone() };
        if let Some(step) = known(transaction, &recipient.address) {
            return Ok(step);
        }
        if let Some(doom) = &transaction.doomed {
            return Ok(doomed(recipient, doom.clone()));
        }
        let sender =
            match self.ask_filters_of_rcpt(FilterGroup::ButMilters, &recipient, &[], rcpt, inquiry)? {
                Judgement::Pass(modifications) => take_over(modifications, &mut recipient),
                Judgement::Doomed(doom) => {
                    let accepted = accepted(Accepted { doomed: Some(recipient), ..Accepted::default() });
                    return Ok(accepted.decided_by(doom.by));
                }
                Judgement::Stop(step) => return Ok(*step),
            };
        self.rewrite_recipient(&mut recipient, inquiry)?;
        if let Some(step) = known(transaction, &recipient.address) {
            return Ok(step);
        }
        let resolved = match self.resolve(&recipient, is_postmaster, inquiry)? {
            Resolution::Recipients(recipients) => recipients,
            Resolution::RelayDenied => return Ok(self.recipient_error(transaction, replies::RELAY_DENIED)),
            Resolution::Unknown(domain) => {
                let unknown = replies::NO_SUCH_MAILBOX.or_because(Some(&domain));
                return Ok(self.recipient_error(transaction, unknown));
            }
        };
        self.check_rates(&recipient, inquiry)?;
        let keys: Vec<Arc<str>> = resolved.iter().map(|one| one.address.shared_key()).collect();
        let new: Vec<_> =
            resolved.into_iter().filter(|one| !transaction.envelope.has(one.address.key())).collect();
        if let Some(refusal) = self.verify(transaction, &new, inquiry)? {
            return Ok(match refusal.is_permanent() {
                true => self.recipient_error(transaction, refusal),
                false => Step::reply(refusal),
            });
        }
        // Milters hear of a recipient when every check of ours has passed, as with other servers.
        match self.ask_filters_of_rcpt(FilterGroup::Milters, &recipient, &keys, rcpt, inquiry)? {
            Judgement::Pass(_) => Ok(accepted(Accepted { new, keys, doomed: None, sender })),
            Judgement::Doomed(doom) => Ok(doomed(recipient, doom)),
            Judgement::Stop(step) => Ok(*step),
        }
    }

    /// The address that a path means, and whether it is the postmaster whom every server has.
    fn addressee(&self, path: &ForwardPath) -> Result<(Address, bool), Halt> {
        match path {
            ForwardPath::Mailbox(address) => Ok((address.clone(), false)),
            ForwardPath::Postmaster => {
                let domain = self.policy.settings.default_domain.as_ref().unwrap_or(&self.hostname);
                let address = Address::from_parts("postmaster", domain)
                    .map_err(|_| Halt::Unable(Some(Cause::field_of("MtaSettings", "defaultDomain"))))?;
                Ok((address, true))
            }
        }
    }

    fn ask_filters_of_rcpt(
        &self,
        group: FilterGroup,
        recipient: &Recipient,
        members: &[Arc<str>],
        rcpt: &Rcpt,
        inquiry: &Inquiry<'_>,
    ) -> Result<Judgement, Halt> {
        let view = View::new(self, inquiry).with_recipient(&recipient.address);
        let script = match group {
            FilterGroup::Milters => None,
            _ => view.guarded(&self.policy.rcpt.script)?,
        };
        let subject = || Subject::Recipient {
            recipient: Box::new(recipient.clone()),
            parameters: Arc::from(&*rcpt.raw_parameters),
            members: members.into(),
        };
        Ok(Judgement::of(self.consult(&view, inquiry, Stage::Rcpt, group, script, subject)?))
    }

    /// `rewrite`: an address replaces the recipient, anything else changes nothing.
    fn rewrite_recipient(&self, recipient: &mut Recipient, inquiry: &Inquiry<'_>) -> Result<(), Halt> {
        let view = View::new(self, inquiry).with_recipient(&recipient.address);
        let rewritten = view.guarded(&self.policy.rcpt.rewrite)?;
        if let Some(address) = rewritten.and_then(|text| Address::parse(&*text).ok()) {
            recipient.address = address;
        }
        Ok(())
    }

    /// Throttles and greylisting.
    fn check_rates(&self, recipient: &Recipient, inquiry: &Inquiry<'_>) -> Result<(), Halt> {
        let view = View::new(self, inquiry).with_recipient(&recipient.address);
        self.check_throttles(ThrottleClass::Recipient, &view, inquiry)?;
        let Some(greylist) = &self.policy.filters.greylist else { return Ok(()) };
        if !view.guarded(&greylist.matches)? {
            return Ok(());
        }
        let sender = self.transaction().map_or("", |transaction| transaction.envelope.sender.key());
        let may_pass = inquiry.admitted(|| Question::Greylist {
            sender: if sender.is_empty() { "<>".into() } else { sender.into() },
            recipient: recipient.address.key().into(),
        })?;
        if may_pass { Ok(()) } else { Err(replies::GREYLISTED.into()) }
    }

    /// Asks the next hops of new recipients, where their routes say so; answers with the refusal.
    fn verify(
        &self,
        transaction: &Transaction,
        new: &[Recipient],
        inquiry: &Inquiry<'_>,
    ) -> Result<Option<Reply>, Halt> {
        let mut to_verify = Vec::new();
        for recipient in new {
            let route = self.route_of(&recipient.address, None, inquiry)?;
            self.check_same_route(transaction, &route, inquiry)?;
            if route.verifies_recipients() {
                to_verify.push((recipient.clone(), route));
            }
        }
        if to_verify.is_empty() {
            return Ok(None);
        }
        let question = || {
            let envelope = transaction.envelope.clone();
            Question::Verify(Box::new(Verify {
                envelope,
                recipients: to_verify,
                hostname: Arc::clone(&self.hostname),
            }))
        };
        match inquiry.ask(question)? {
            Answer::Verified(refusal) => Ok(refusal.clone()),
            _ => Err(Halt::OUT_OF_PLACE),
        }
    }

    /// An error that counts: its reply comes after the delay, and the last one closes the connection.
    fn recipient_error(&self, transaction: &Transaction, reply: Reply) -> Step {
        let is_last = self.recipient_errors.saturating_add(1) >= transaction.limits.max_failures;
        let then = match is_last {
            true => Action::Close(Some(replies::TOO_MANY_ERRORS)),
            false => Action::Reply(reply),
        };
        Step::new(Change::RecipientError, delayed(transaction.limits.wait_on_fail, then))
    }
}

/// The recipient is taken, and the transaction goes nowhere.
fn doomed(recipient: Recipient, doom: Doom) -> Step {
    let change = Change::Doomed(recipient, doom.by.clone());
    Step::new(change, Action::Reply(replies::RECIPIENT_OK)).decided_by(doom.by)
}

/// The answer to a recipient that was accepted before.
fn known(transaction: &Transaction, address: &Address) -> Option<Step> {
    let is_doomed = transaction.doomed_recipients.iter().any(|doomed| doomed.address.key() == address.key());
    let keys = match (transaction.envelope.has(address.key()), is_doomed) {
        (true, _) => vec![address.shared_key()],
        (false, true) => Vec::new(),
        (false, false) => return None,
    };
    Some(accepted(Accepted { keys, ..Accepted::default() }))
}

fn accepted(accepted: Accepted) -> Step {
    Step::new(Change::Recipients(accepted), Action::Reply(replies::RECIPIENT_OK))
}

/// Applies what a script or hook changed of this recipient, and returns its change of the sender.
fn take_over(modifications: Vec<Modification>, recipient: &mut Recipient) -> Option<Modification> {
    let mut sender = None;
    for modification in modifications {
        match modification {
            Modification::SetRecipient(address) => recipient.address = address,
            Modification::SetRecipientParameters(parameters) => recipient.parameters = *parameters,
            Modification::SetSender(..) => sender = Some(modification),
            _ => {}
        }
    }
    sender
}
