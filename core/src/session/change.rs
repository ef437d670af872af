//! What a complete decision changes.

use super::Session;
use super::check::Check;
use super::event::{Action, Tls};
use super::state::{DataState, Doom, Exchange, Hello, Login, Parameters, State, Transaction};
use crate::cause::Cause;
use crate::envelope::Recipient;
use crate::smtp::reply::Reply;
use crate::verdict::Modification;

use std::sync::Arc;

/// The outcome of a decision.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) change: Change,
    pub(super) action: Action,
    /// What has decided it, where no reply says so.
    pub(super) because: Option<Cause>,
}

impl Step {
    pub(super) fn new(change: Change, action: Action) -> Self {
        Self { change, action, because: None }
    }

    /// The same, decided by this.
    pub(super) fn decided_by(self, because: Option<Cause>) -> Self {
        Self { because, ..self }
    }

    /// Nothing changes.
    pub(super) fn action(action: Action) -> Self {
        Self::new(Change::Nothing, action)
    }

    /// Nothing changes but that the client hears of it.
    pub(super) fn reply(reply: Reply) -> Self {
        Self::action(Action::Reply(reply))
    }

    /// The refusal, or else the action.
    pub(super) fn reply_or(check: Result<(), Reply>, action: impl FnOnce() -> Action) -> Self {
        match check {
            Ok(()) => Self::action(action()),
            Err(reply) => Self::reply(reply),
        }
    }
}

/// One change of the session's state.
#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    /// The greeting goes out.
    Greeted {
        hostname: Arc<str>,
        parameters: Box<Parameters>,
    },
    /// TLS has begun: everything said in clear is forgotten (RFC 3207 section 4.2).
    Secured {
        tls: Tls,
        parameters: Box<Parameters>,
    },
    /// EHLO was accepted.
    Hello(Hello),
    DropTransaction,
    Exchange(Exchange),
    /// An AUTH exchange ended without an account.
    ExchangeOver {
        failed: bool,
    },
    LoggedIn {
        login: Login,
        vrfy: bool,
        expn: bool,
    },
    Begin {
        transaction: Box<Transaction>,
        reverse_dns: Option<Check>,
    },
    Recipients(Accepted),
    /// A filter has discarded the transaction at this recipient: it is taken and never delivered.
    Doomed(Recipient, Option<Cause>),
    RecipientError,
    Data(DataState),
    /// The message is on its way to these recipients.
    HandingOff(Vec<Arc<str>>),
    TransactionOver {
        accepted: bool,
    },
}

/// What one accepted RCPT has brought.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// Recipients that are new.
    pub(super) new: Vec<Recipient>,
    /// All that this RCPT stands for, known before or not, in comparison form.
    pub(super) keys: Vec<Arc<str>>,
    /// The recipient that a filter has discarded: accepted towards the client, never delivered.
    pub(super) doomed: Option<Recipient>,
    /// A script's new sender.
    pub(super) sender: Option<Modification>,
}

impl Session {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Greeted { hostname, parameters } => {
                (self.hostname, self.parameters) = (hostname, *parameters);
                self.state = State::Ready;
            }
            Change::Secured { tls, parameters } => {
                (self.tls, self.parameters) = (Some(tls), *parameters);
                (self.hello, self.login) = (None, None);
                self.state = State::Ready;
            }
            Change::Hello(hello) => {
                self.hello = Some(hello);
                self.state = State::Ready;
            }
            Change::DropTransaction => self.state = State::Ready,
            Change::Exchange(exchange) => self.state = State::Authenticating(exchange),
            Change::ExchangeOver { failed } => {
                self.auth_failures = self.auth_failures.saturating_add(u64::from(failed));
                self.state = State::Ready;
            }
            Change::LoggedIn { login, vrfy, expn } => {
                self.login = Some(login);
                (self.parameters.vrfy, self.parameters.expn) = (vrfy, expn);
                self.state = State::Ready;
            }
            Change::Begin { transaction, reverse_dns } => {
                self.reverse_dns = reverse_dns;
                self.state = State::Open(transaction);
            }
            Change::RecipientError => self.recipient_errors = self.recipient_errors.saturating_add(1),
            Change::TransactionOver { accepted } => {
                self.messages = self.messages.saturating_add(u64::from(accepted));
                self.state = State::Ready;
            }
            Change::Recipients(_) | Change::Doomed(..) | Change::Data(_) | Change::HandingOff(_) => {
                let keeps_slots = self.is_lmtp();
                if let State::Open(transaction) = &mut self.state {
                    transaction.apply(change, keeps_slots);
                }
            }
        }
    }
}

impl Transaction {
    fn apply(&mut self, change: Change, keeps_slots: bool) {
        match change {
            Change::Recipients(accepted) => {
                self.envelope.recipients.extend(accepted.new);
                self.doomed_recipients.extend(accepted.doomed);
                if let Some(sender) = accepted.sender {
                    self.envelope.set_sender(sender);
                }
                if keeps_slots {
                    self.slots.push(accepted.keys);
                }
            }
            Change::Doomed(recipient, by) => {
                self.doomed.get_or_insert(Doom { by });
                self.doomed_recipients.push(recipient);
                if keeps_slots {
                    self.slots.push(Vec::new());
                }
            }
            Change::Data(data) => self.data = data,
            Change::HandingOff(recipients) => self.handed_off = recipients,
            _ => {}
        }
    }
}
