//! MAIL (RFC 5321 section 4.1.1.2): the checks in their order, then a transaction.

use std::sync::Arc;

use jiff::Timestamp;

use super::Session;
use super::change::{Change, Step};
use super::check::{self, Check, Refusals, SenderCheck};
use super::consult::FilterGroup;
use super::event::Action;
use super::facts::View;
use super::question::{Answer, Halt, Inquiry, Question, Subject};
use super::replies;
use super::state::{DataState, Doom, Transaction, TransactionLimits};
use crate::envelope::Envelope;
use crate::expr::Verify;
use crate::policy::defaults::DOCUMENTED;
use crate::policy::throttle::ThrottleClass;
use crate::smtp::address::{Address, ReversePath};
use crate::smtp::command::Mail;
use crate::smtp::reply::Reply;
use crate::verdict::{Modification, Ruling, Stage, Verdict};

impl Session {
    pub(super) fn mail(&self, now: Timestamp, mail: &Mail, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        self.may_begin()?;
        let reverse_dns = self.check_reverse_dns(inquiry)?;
        let view = View::new(self, inquiry).with_sender(&mail.from, &mail.parameters);
        if !view.guarded(&self.policy.mail.is_sender_allowed)? {
            return Err(replies::SENDER_NOT_ALLOWED.into());
        }
        let mut envelope = Envelope {
            sender: mail.from.clone(),
            parameters: mail.parameters.clone(),
            recipients: Vec::new(),
        };
        let doomed = match self.ask_filters_of_mail(mail, &envelope, reverse_dns.as_ref(), &view, inquiry)? {
            Judgement::Pass(modifications) => {
                modifications.into_iter().for_each(|modification| envelope.set_sender(modification));
                None
            }
            Judgement::Doomed(doom) => Some(doom),
            Judgement::Stop(step) => return Ok(*step),
        };
        if doomed.is_none() {
            self.rewrite_sender(&mut envelope, inquiry)?;
            self.check_ownership(&envelope, inquiry)?;
        }
        let view = View::new(self, inquiry).with_sender(&envelope.sender, &envelope.parameters);
        let max_message_size =
            view.tuned(&self.policy.data.max_message_size, &DOCUMENTED.data.max_message_size)?;
        self.check_mail_parameters(now, &envelope.parameters, max_message_size, &view)?;
        if doomed.is_none() {
            self.check_throttles(ThrottleClass::Sender, &view, inquiry)?;
        }
        // Of a doomed transaction nobody is asked, and nothing is kept.
        let spf = match doomed {
            Some(_) => None,
            None => self.check_spf_of_sender(&mail.from, inquiry)?,
        };
        let limits = self.transaction_limits(&view, max_message_size)?;
        if let Some(size) = envelope.parameters.size.filter(|size| *size > 0 && doomed.is_none())
            && !inquiry.admitted(|| Question::Reserve(size))?
        {
            return Err(replies::OUT_OF_SPACE.into());
        }
        let because = doomed.as_ref().and_then(|doom| doom.by.clone());
        let transaction = Box::new(Transaction {
            id: self.client.id.of_transaction(self.transactions),
            envelope,
            doomed_recipients: Vec::new(),
            doomed,
            slots: Vec::new(),
            handed_off: Vec::new(),
            spf,
            data: DataState::Awaited,
            limits,
        });
        let begin = Change::Begin { transaction, reverse_dns };
        Ok(Step::new(begin, Action::Reply(replies::SENDER_OK)).decided_by(because))
    }

    /// Whether the session is at a point where a transaction may begin.
    fn may_begin(&self) -> Result<(), Reply> {
        let parameters = &self.parameters;
        let needs_name = parameters.require_ehlo
            || parameters.spf_ehlo != Verify::Disable
            || parameters.spf_from != Verify::Disable;
        if self.hello.is_none() && needs_name {
            return Err(replies::EHLO_FIRST);
        }
        // A transaction whose chunk was refused ends with the next MAIL (RFC 3030 section 2).
        if self.transaction().is_some_and(|transaction| transaction.data != DataState::Dead) {
            return Err(replies::MAIL_NESTED);
        }
        if parameters.require_auth && self.login.is_none() {
            return Err(replies::AUTH_REQUIRED);
        }
        Ok(())
    }

    /// Reverse DNS is looked up once for a connection.
    fn check_reverse_dns(&self, inquiry: &Inquiry<'_>) -> Result<Option<Check>, Halt> {
        let level = self.parameters.reverse_ip;
        if level == Verify::Disable {
            return Ok(None);
        }
        let check = match &self.reverse_dns {
            Some(check) => check,
            None => match inquiry.ask(|| Question::ReverseDns)? {
                Answer::Check(check) => check,
                _ => return Err(Halt::OUT_OF_PLACE),
            },
        };
        let refusals = Refusals { permanent: replies::REVERSE_FAILED, temporary: replies::REVERSE_TEMPORARY };
        check::judge(level, check.result, &refusals)?;
        Ok(Some(check.clone()))
    }

    fn ask_filters_of_mail(
        &self,
        mail: &Mail,
        envelope: &Envelope,
        reverse_dns: Option<&Check>,
        view: &View<'_>,
        inquiry: &Inquiry<'_>,
    ) -> Result<Judgement, Halt> {
        let script = view.guarded(&self.policy.mail.script)?;
        let subject = || Subject::Sender {
            envelope: Box::new(envelope.clone()),
            parameters: Arc::from(&*mail.raw_parameters),
            reverse_dns: reverse_dns.cloned(),
        };
        let ruling = self.consult(view, inquiry, Stage::Mail, FilterGroup::Every, script, subject)?;
        Ok(Judgement::of(ruling))
    }

    /// `rewrite`: an address replaces the sender, an empty text empties it, anything else changes nothing.
    fn rewrite_sender(&self, envelope: &mut Envelope, inquiry: &Inquiry<'_>) -> Result<(), Halt> {
        let view = View::new(self, inquiry).with_sender(&envelope.sender, &envelope.parameters);
        match view.guarded(&self.policy.mail.rewrite)? {
            Some(text) if text.is_empty() => envelope.sender = ReversePath::Null,
            Some(text) => {
                if let Ok(address) = Address::parse(&*text) {
                    envelope.sender = ReversePath::Mailbox(address);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// An account may send as itself, under its aliases, and nothing else.
    fn check_ownership(&self, envelope: &Envelope, inquiry: &Inquiry<'_>) -> Result<(), Halt> {
        let Some(login) = &self.login else { return Ok(()) };
        let view = View::new(self, inquiry).with_sender(&envelope.sender, &envelope.parameters);
        if !view.guarded(&self.policy.auth.must_match_sender)? {
            return Ok(());
        }
        let account = &login.account;
        let sender = envelope.sender.key();
        let owns = std::iter::once(&account.address).chain(&account.aliases).any(|own| own.key() == sender);
        if owns { Ok(()) } else { Err(replies::SENDER_NOT_YOURS.into()) }
    }

    fn check_spf_of_sender(
        &self,
        sender: &ReversePath,
        inquiry: &Inquiry<'_>,
    ) -> Result<Option<SenderCheck>, Halt> {
        if self.parameters.spf_from == Verify::Disable {
            return Ok(None);
        }
        let helo: Arc<str> = self.hello.as_ref().map_or_else(|| "".into(), |hello| Arc::clone(&hello.name));
        let question = || Question::SpfMail { sender: sender.clone(), helo };
        let Answer::Check(check) = inquiry.ask(question)? else { return Err(Halt::OUT_OF_PLACE) };
        let refusals =
            Refusals { permanent: replies::SPF_MAIL_FAILED, temporary: replies::SPF_MAIL_TEMPORARY };
        check::judge(self.parameters.spf_from, check.result, &refusals)?;
        Ok(Some(SenderCheck { sender: sender.clone(), check: check.clone() }))
    }

    fn transaction_limits(&self, view: &View<'_>, max_message_size: u64) -> Result<TransactionLimits, Halt> {
        let (rcpt, documented) = (&self.policy.rcpt, &DOCUMENTED.rcpt);
        Ok(TransactionLimits {
            max_recipients: view.tuned(&rcpt.max_recipients, &documented.max_recipients)?,
            max_failures: view.tuned(&rcpt.max_failures, &documented.max_failures)?,
            wait_on_fail: view.tuned(&rcpt.wait_on_fail, &documented.wait_on_fail)?,
            dsn: view.tuned(&self.policy.extensions.dsn, &DOCUMENTED.extensions.dsn)?,
            max_message_size,
        })
    }
}

/// What filters say to MAIL or RCPT, as what the session does.
#[derive(Debug)]
pub(super) enum Judgement {
    Pass(Vec<Modification>),
    /// Taken, and never delivered.
    Doomed(Doom),
    Stop(Box<Step>),
}

impl Judgement {
    pub(super) fn of(ruling: Ruling) -> Self {
        match ruling.verdict {
            Verdict::Pass(modifications) => Self::Pass(modifications),
            Verdict::Discard => Self::Doomed(Doom { by: ruling.by }),
            Verdict::Reject(reply) | Verdict::Defer(reply) => Self::Stop(Box::new(Step::reply(reply))),
            Verdict::Disconnect(reply) => {
                Self::Stop(Box::new(Step::action(Action::Close(reply)).decided_by(ruling.by)))
            }
        }
    }
}
