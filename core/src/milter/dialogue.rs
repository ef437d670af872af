//! What a milter has been told on its connection.

use std::collections::HashSet;
use std::sync::Arc;

use super::command::{Command, write_abort};
use super::facts::Facts;
use super::options::{Options, step};
use crate::session::id::TraceId;
use crate::smtp::address::Address;
use crate::verdict::Stage;

/// The memory of one connection to a milter. What was told once is not repeated.
#[derive(Debug)]
pub struct Dialogue {
    options: Options,
    is_connected: bool,
    helo: Option<Helo>,
    transaction: Option<Transaction>,
    /// The milter wants to hear no more of this session.
    is_released: bool,
    /// The milter has refused the session or broken it off.
    is_spent: bool,
}

/// An EHLO that was told: within TLS another one has to follow.
#[derive(Debug, PartialEq, Eq)]
struct Helo {
    name: Box<str>,
    is_tls: bool,
}

#[derive(Debug)]
struct Transaction {
    id: TraceId,
    /// Recipients that were told, and whom they stand for, in comparison form.
    recipients: HashSet<Arc<str>>,
    /// The milter wants to hear no more of it.
    is_released: bool,
}

impl Dialogue {
    /// Nothing was told yet but the offer.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            is_connected: false,
            helo: None,
            transaction: None,
            is_released: false,
            is_spent: false,
        }
    }

    /// What was agreed on.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Whether the milter has accepted the whole session, so that the connection may end.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        self.is_released
    }

    /// Whether the connection is of no further use, though nothing was wrong with it.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Whether the milter has asked to hear of refused recipients, and knows the transaction.
    #[must_use]
    pub fn wants_refused_recipients(&self) -> bool {
        self.options.has(step::REFUSED_RECIPIENTS)
            && self.transaction.as_ref().is_some_and(|transaction| !transaction.is_released)
    }

    /// Ends the transaction that the milter knows of, if any. Says whether something is to be sent.
    pub fn abort(&mut self, out: &mut Vec<u8>) -> bool {
        let known = self.transaction.take().is_some();
        if known {
            write_abort(out);
        }
        known
    }

    /// What is still to be told for the milter to answer a stage, in order. A transaction that is not the one in hand
    /// ends here.
    pub(super) fn due(&mut self, stage: Stage, facts: &Facts<'_>, out: &mut Vec<u8>) -> Vec<Command> {
        let id = facts.transaction.as_ref().map(|transaction| transaction.id);
        if self.transaction.as_ref().is_some_and(|known| Some(known.id) != id) {
            self.abort(out);
        }
        let mut due = Vec::new();
        if self.is_released || self.transaction.as_ref().is_some_and(|known| known.is_released) {
            return due;
        }
        if !self.is_connected {
            due.push(Command::Connect);
        }
        if facts.helo.is_some() && stage != Stage::Connect && self.helo != helo_of(facts) {
            due.push(Command::Helo);
        }
        let Some(transaction) = &facts.transaction else { return due };
        if self.transaction.is_none() {
            due.push(Command::Mail);
        }
        let is_new = |address: &Address| {
            self.transaction.as_ref().is_none_or(|known| !known.recipients.contains(address.key()))
        };
        let recipients = transaction.addresses().enumerate().filter(|(_, address)| is_new(address));
        due.extend(recipients.map(|(place, _)| Command::Rcpt(place)));
        if transaction.in_hand.is_some() {
            due.push(Command::Rcpt(transaction.recipients.len()));
        }
        if stage == Stage::Data {
            due.push(Command::Data);
            due.extend((0..transaction.fields.len()).map(Command::Field));
            due.extend([Command::EndOfHeader, Command::Body, Command::EndOfMessage]);
        }
        due
    }

    /// Takes note of what is told now.
    pub(super) fn told(&mut self, command: Command, facts: &Facts<'_>) {
        match command {
            Command::Connect => self.is_connected = true,
            Command::Helo => self.helo = helo_of(facts),
            Command::Mail => {
                self.transaction = facts.transaction.as_ref().map(|transaction| Transaction {
                    id: transaction.id,
                    recipients: HashSet::new(),
                    is_released: false,
                });
            }
            Command::Rcpt(place) => {
                let (Some(known), Some(transaction)) = (&mut self.transaction, &facts.transaction) else {
                    return;
                };
                let address = transaction.addressee(place).map(|addressee| addressee.address().shared_key());
                known.recipients.extend(address);
                if place == transaction.recipients.len() {
                    let members = transaction.in_hand.as_ref().map_or(&[][..], |in_hand| in_hand.members);
                    known.recipients.extend(members.iter().cloned());
                }
            }
            Command::Data
            | Command::Field(_)
            | Command::EndOfHeader
            | Command::Body
            | Command::EndOfMessage => {}
        }
    }

    /// The milter wants to hear no more: of the session, when it says so before MAIL, else of the transaction.
    pub(super) fn release(&mut self) {
        match &mut self.transaction {
            Some(transaction) => transaction.is_released = true,
            None => self.is_released = true,
        }
    }

    /// The milter has refused the session or broken it off.
    pub(super) fn spend(&mut self) {
        self.is_spent = true;
    }

    /// The end of the message was answered: the milter has forgotten the transaction by itself.
    pub(super) fn message_over(&mut self) {
        self.transaction = None;
    }
}

fn helo_of(facts: &Facts<'_>) -> Option<Helo> {
    facts.helo.map(|name| Helo { name: name.into(), is_tls: facts.tls.is_some() })
}
