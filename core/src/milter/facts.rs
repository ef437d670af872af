//! What a milter can be told.

use std::net::SocketAddr;
use std::sync::Arc;

use super::frame::write_text;
use super::macros::Addressee;
use crate::envelope::Recipient;
use crate::message::field::Field;
use crate::session::event::Tls;
use crate::session::id::TraceId;
use crate::smtp::address::{Address, ReversePath};
use crate::smtp::extensions::Extensions;
use crate::smtp::parameters::MailParameters;

/// A session as one question to a milter shows it.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Our name towards the client.
    pub hostname: &'a str,
    /// Name of the listener.
    pub daemon_name: &'a str,
    /// Our address.
    pub daemon: SocketAddr,
    /// Address of the client.
    pub client: SocketAddr,
    /// What its address resolves to.
    pub ptr: Option<Ptr<'a>>,
    /// The name of EHLO.
    pub helo: Option<&'a str>,
    /// TLS, if there is any.
    pub tls: Option<&'a Tls>,
    /// Who is logged in.
    pub login: Option<Login<'a>>,
    /// The span that asks, as W3C Trace Context writes it, where the trace is recorded.
    pub traceparent: Option<String>,
    /// From MAIL on.
    pub transaction: Option<Transaction<'a>>,
}

/// Reverse DNS.
#[derive(Debug, Clone, Copy)]
pub struct Ptr<'a> {
    /// The name.
    pub name: &'a str,
    /// Whether the name leads back to the address.
    pub is_confirmed: bool,
}

/// Who is logged in, and how.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The account.
    pub account: &'a str,
    /// The SASL mechanism.
    pub mechanism: &'static str,
}

/// A transaction, as far as it has come.
#[derive(Debug)]
pub struct Transaction<'a> {
    /// The queue id.
    pub id: TraceId,
    /// The sender.
    pub sender: &'a ReversePath,
    /// What MAIL asked for.
    pub parameters: &'a MailParameters,
    /// The same as the client wrote it, while that is at hand.
    pub raw_parameters: Option<&'a [String]>,
    /// The recipients so far, without the one in hand.
    pub recipients: &'a [Recipient],
    /// The recipient in hand, at Rcpt.
    pub in_hand: Option<InHand<'a>>,
    /// Header fields, at Data.
    pub fields: Vec<Field<'a>>,
}

/// A recipient that the client has just named.
#[derive(Debug, Clone)]
pub struct InHand<'a> {
    /// The recipient.
    pub addressee: Addressee<'a>,
    /// Its parameters as the client wrote them.
    pub parameters: &'a [String],
    /// Whom it stands for, in comparison form: itself, or the members of a list.
    pub members: &'a [Arc<str>],
}

impl<'a> Facts<'a> {
    /// The client's name, when it leads back to its address.
    pub(super) fn confirmed_name(&self) -> Option<&'a str> {
        self.ptr.filter(|ptr| ptr.is_confirmed).map(|ptr| ptr.name)
    }
}

impl<'a> Transaction<'a> {
    /// Appends the parameters of MAIL, each with its NUL; of a command that is past, those that we know.
    pub(super) fn write_mail_parameters(&self, out: &mut Vec<u8>) {
        match self.raw_parameters {
            Some(parameters) => parameters.iter().for_each(|parameter| write_text(parameter, out)),
            None => self.parameters.iter().for_each(|parameter| write_text(parameter.to_string(), out)),
        }
    }

    /// Appends the parameters of a RCPT, each with its NUL.
    pub(super) fn write_rcpt_parameters(&self, place: usize, out: &mut Vec<u8>) {
        match (self.recipients.get(place), &self.in_hand) {
            (Some(recipient), _) => write_known_parameters(recipient, out),
            (None, Some(in_hand)) => {
                in_hand.parameters.iter().for_each(|parameter| write_text(parameter, out));
            }
            (None, None) => {}
        }
    }

    /// The recipients by their places: those so far, then the one in hand.
    pub(super) fn addressee(&self, place: usize) -> Option<Addressee<'a>> {
        match self.recipients.get(place) {
            Some(recipient) => Some(Addressee::Accepted(&recipient.address)),
            None => self.in_hand.as_ref().map(|in_hand| in_hand.addressee),
        }
    }

    /// The recipients so far, as addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &'a Address> {
        self.recipients.iter().map(|recipient| &recipient.address)
    }
}

fn write_known_parameters(recipient: &Recipient, out: &mut Vec<u8>) {
    let mut written = Vec::new();
    recipient.parameters.write_esmtp(&Extensions { dsn: true, ..Extensions::default() }, &mut written);
    let words = written.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    words.for_each(|word| write_text(word, out));
}
