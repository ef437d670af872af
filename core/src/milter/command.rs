//! The commands that tell a milter of a session.

use std::borrow::Cow;
use std::net::IpAddr;

use super::facts::{Facts, Transaction};
use super::frame::{write_frame, write_text};
use super::macros::MacroPoint;
use super::options::{Options, step};
use crate::message::field::Field;
use crate::smtp::address::ReversePath;

/// Something that a milter is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `C`: who connects.
    Connect,
    /// `H`: the name of EHLO.
    Helo,
    /// `M`: the sender.
    Mail,
    /// `R`: the recipient at this place.
    Rcpt(usize),
    /// `T`: DATA.
    Data,
    /// `L`: the header field at this place.
    Field(usize),
    /// `N`: the end of the header.
    EndOfHeader,
    /// `B`: a part of the body.
    Body,
    /// `E`: the end of the message.
    EndOfMessage,
}

impl Command {
    /// The name in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Mail => "mail",
            Self::Rcpt(_) => "rcpt",
            Self::Data => "data",
            Self::Field(_) => "a header field",
            Self::EndOfHeader => "the end of the header",
            Self::Body => "the body",
            Self::EndOfMessage => "the end of the message",
        }
    }

    /// Whether a milter wants to be told. The end of the message is always told: filters of headers change them there.
    pub(super) const fn is_wanted(self, options: &Options) -> bool {
        !match self {
            Self::Connect => options.has(step::NO_CONNECT),
            Self::Helo => options.has(step::NO_HELO),
            Self::Mail => options.has(step::NO_MAIL),
            Self::Rcpt(_) => options.has(step::NO_RCPT),
            Self::Data => options.has(step::NO_DATA) || !options.knows_data(),
            Self::Field(_) => options.has(step::NO_FIELDS),
            Self::EndOfHeader => options.has(step::NO_END_OF_HEADER),
            Self::Body => options.has(step::NO_BODY),
            Self::EndOfMessage => false,
        }
    }

    /// Whether a milter answers.
    pub(super) const fn is_answered(self, options: &Options) -> bool {
        !match self {
            Self::Connect => options.has(step::SILENT_CONNECT),
            Self::Helo => options.has(step::SILENT_HELO),
            Self::Mail => options.has(step::SILENT_MAIL),
            Self::Rcpt(_) => options.has(step::SILENT_RCPT),
            Self::Data => options.has(step::SILENT_DATA),
            Self::Field(_) => options.has(step::SILENT_FIELDS),
            Self::EndOfHeader => options.has(step::SILENT_END_OF_HEADER),
            Self::Body => options.has(step::SILENT_BODY),
            Self::EndOfMessage => false,
        }
    }

    const fn macro_point(self) -> Option<MacroPoint> {
        Some(match self {
            Self::Connect => MacroPoint::Connect,
            Self::Helo => MacroPoint::Helo,
            Self::Mail => MacroPoint::Mail,
            Self::Rcpt(_) => MacroPoint::Rcpt,
            Self::Data => MacroPoint::Data,
            Self::EndOfHeader => MacroPoint::EndOfHeader,
            Self::EndOfMessage => MacroPoint::EndOfMessage,
            Self::Field(_) | Self::Body => return None,
        })
    }

    /// Appends the command, its macros first. Parts of the body are for the host to send from where they lie.
    pub(super) fn write_to(self, facts: &Facts<'_>, options: &Options, out: &mut Vec<u8>) {
        let transaction = facts.transaction.as_ref();
        if let Some(point) = self.macro_point() {
            let addressee = match self {
                Self::Rcpt(place) => transaction.and_then(|transaction| transaction.addressee(place)),
                _ => None,
            };
            options.macros().write_to(point, facts, addressee, out);
        }
        match (self, transaction) {
            (Self::Connect, _) => write_connect(facts, out),
            (Self::Helo, _) => {
                write_frame(b'H', out, |out| write_text(facts.helo.unwrap_or_default(), out));
            }
            (Self::Mail, Some(transaction)) => write_mail(transaction, out),
            (Self::Rcpt(place), Some(transaction)) => write_rcpt(transaction, place, out),
            (Self::Data, _) => write_frame(b'T', out, |_| {}),
            (Self::Field(place), Some(transaction)) => {
                if let Some(field) = transaction.fields.get(place) {
                    write_field(field, options.has(step::LEADING_SPACE), out);
                }
            }
            (Self::EndOfHeader, _) => write_frame(b'N', out, |_| {}),
            (Self::EndOfMessage, _) => write_frame(b'E', out, |_| {}),
            (Self::Mail | Self::Rcpt(_) | Self::Field(_), None) | (Self::Body, _) => {}
        }
    }
}

/// Appends `A`: the transaction is over.
pub fn write_abort(out: &mut Vec<u8>) {
    write_frame(b'A', out, |_| {});
}

/// Appends `Q`: the session is over.
pub fn write_quit(out: &mut Vec<u8>) {
    write_frame(b'Q', out, |_| {});
}

fn write_connect(facts: &Facts<'_>, out: &mut Vec<u8>) {
    let address = facts.client.ip().to_canonical();
    let name = match (facts.confirmed_name(), facts.helo) {
        (Some(name), _) | (None, Some(name)) => Cow::Borrowed(name),
        (None, None) => Cow::Owned(format!("[{address}]")),
    };
    let family = match address {
        IpAddr::V4(_) => b'4',
        IpAddr::V6(_) => b'6',
    };
    write_frame(b'C', out, |out| {
        write_text(name.as_bytes(), out);
        out.push(family);
        out.extend_from_slice(&facts.client.port().to_be_bytes());
        write_text(address.to_string(), out);
    });
}

fn write_mail(transaction: &Transaction<'_>, out: &mut Vec<u8>) {
    write_frame(b'M', out, |out| {
        let sender = match transaction.sender {
            ReversePath::Null => "",
            ReversePath::Mailbox(address) => address.as_str(),
        };
        write_path(sender, out);
        transaction.write_mail_parameters(out);
    });
}

fn write_rcpt(transaction: &Transaction<'_>, place: usize, out: &mut Vec<u8>) {
    write_frame(b'R', out, |out| {
        let address = transaction.addressee(place).map_or("", |addressee| addressee.address().as_str());
        write_path(address, out);
        transaction.write_rcpt_parameters(place, out);
    });
}

fn write_path(address: &str, out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend(address.bytes().filter(|octet| *octet != 0));
    out.extend_from_slice(b">\0");
}

/// A fold ends with LF alone: that is what libmilter promises to filters, and what all of them are used to.
fn write_field(field: &Field<'_>, keeps_space: bool, out: &mut Vec<u8>) {
    // One space is the custom behind a colon, and what milters put back; more is part of what was signed.
    let value = match field.value {
        [b' ', rest @ ..] if !keeps_space => rest,
        value => value,
    };
    write_frame(b'L', out, |out| {
        write_text(field.name, out);
        let mut rest = value;
        while let Some(fold) = memchr::memmem::find(rest, b"\r\n") {
            let (line, others) = rest.split_at(fold);
            out.extend(line.iter().filter(|octet| **octet != 0));
            out.push(b'\n');
            rest = others.get(2..).unwrap_or_default();
        }
        write_text(rest, out);
    });
}
