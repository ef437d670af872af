//! Macros: what a milter is told beside a command.

use std::borrow::Cow;

use super::facts::Facts;
use super::frame::{write_frame, write_text};
use crate::smtp::address::Address;

/// The commands that macros are told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacroPoint {
    /// Before `C`.
    Connect,
    /// Before `H`.
    Helo,
    /// Before `M`.
    Mail,
    /// Before `R`.
    Rcpt,
    /// Before `T`.
    Data,
    /// Before `E`.
    EndOfMessage,
    /// Before `N`.
    EndOfHeader,
}

/// The names that a milter wants at each point, where it has said so. Without braces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MacroLists {
    lists: [Option<Vec<Box<str>>>; 7],
}

impl MacroPoint {
    /// The point that libmilter calls by this number (`SMFIM_…`).
    #[must_use]
    pub const fn of_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Connect,
            1 => Self::Helo,
            2 => Self::Mail,
            3 => Self::Rcpt,
            4 => Self::Data,
            5 => Self::EndOfMessage,
            6 => Self::EndOfHeader,
            _ => return None,
        })
    }

    /// The command that follows.
    const fn command(self) -> u8 {
        match self {
            Self::Connect => b'C',
            Self::Helo => b'H',
            Self::Mail => b'M',
            Self::Rcpt => b'R',
            Self::Data => b'T',
            Self::EndOfMessage => b'E',
            Self::EndOfHeader => b'N',
        }
    }

    /// What is told to a milter that has not said what it wants.
    const fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Connect => &[
                "j",
                "_",
                "v",
                "daemon_name",
                "daemon_addr",
                "daemon_port",
                "client_addr",
                "client_port",
                "client_ptr",
                "client_name",
            ],
            Self::Helo => &["tls_version", "cipher", "cipher_bits", "cert_subject", "cert_issuer"],
            Self::Mail => &[
                "i",
                "auth_type",
                "auth_authen",
                "auth_author",
                "mail_addr",
                "mail_host",
                "mail_mailer",
                TRACEPARENT,
            ],
            Self::Rcpt => &["i", "rcpt_addr", "rcpt_host", "rcpt_mailer", TRACEPARENT],
            Self::Data | Self::EndOfMessage => &["i", TRACEPARENT],
            Self::EndOfHeader => &[],
        }
    }
}

impl MacroLists {
    /// Takes over the names, parted by spaces, with or without braces.
    pub(super) fn set(&mut self, point: MacroPoint, names: &str) {
        let names = names.split_ascii_whitespace().map(bare).map(Box::from).collect();
        if let Some(list) = self.lists.get_mut(point as usize) {
            *list = Some(names);
        }
    }

    /// The names that are wanted at a point, if the milter has said so.
    #[must_use]
    pub fn of(&self, point: MacroPoint) -> Option<&[Box<str>]> {
        self.lists.get(point as usize)?.as_deref()
    }

    /// Appends the frame of macros that belongs before a command, unless it would be empty. `recipient` is the
    /// one that the command is about.
    pub fn write_to(
        &self,
        point: MacroPoint,
        facts: &Facts<'_>,
        recipient: Option<Addressee<'_>>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let mut any = false;
        write_frame(b'D', out, |out| {
            out.push(point.command());
            let mut tell = |name: &str| {
                if let Some(value) = value_of(name, facts, recipient) {
                    any = true;
                    write_name(name, out);
                    write_text(value.as_bytes(), out);
                }
            };
            match self.of(point) {
                Some(names) => names.iter().for_each(|name| tell(name)),
                None => point.usual().iter().for_each(|name| tell(name)),
            }
        });
        if !any {
            out.truncate(start);
        }
    }
}

/// The recipient that macros speak of.
#[derive(Debug, Clone, Copy)]
pub enum Addressee<'a> {
    /// It was accepted so far.
    Accepted(&'a Address),
    /// It was refused: the enhanced status code, and the text of the reply. This is how Postfix and sendmail tell.
    Refused(&'a Address, &'a str, &'a str),
}

impl<'a> Addressee<'a> {
    pub(super) const fn address(self) -> &'a Address {
        match self {
            Self::Accepted(address) | Self::Refused(address, ..) => address,
        }
    }
}

/// Names of more than one letter stand in braces.
fn write_name(name: &str, out: &mut Vec<u8>) {
    if name.chars().nth(1).is_some() {
        out.push(b'{');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"}\0");
    } else {
        write_text(name, out);
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name)
}

/// The value of a macro; nothing when it has none here and now.
fn value_of<'a>(name: &str, facts: &Facts<'a>, recipient: Option<Addressee<'a>>) -> Option<Cow<'a, str>> {
    of_connection(name, facts)
        .or_else(|| of_tls(name, facts))
        .or_else(|| of_transaction(name, facts))
        .or_else(|| match (name, recipient?) {
            ("rcpt_addr", Addressee::Accepted(address)) => Some(address.as_str().into()),
            ("rcpt_host", Addressee::Accepted(address)) => Some(address.domain().into()),
            ("rcpt_mailer", Addressee::Accepted(_)) => Some(MAILER.into()),
            ("rcpt_addr", Addressee::Refused(_, _, text)) => Some(text.into()),
            ("rcpt_host", Addressee::Refused(_, code, _)) => Some(code.into()),
            ("rcpt_mailer", Addressee::Refused(..)) => Some("error".into()),
            _ => None,
        })
}

fn of_connection<'a>(name: &str, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
    let address = || facts.client.ip().to_canonical().to_string();
    Some(match name {
        "j" => facts.hostname.into(),
        "v" => concat!("Postern ", env!("CARGO_PKG_VERSION")).into(),
        "_" => format!("{} [{}]", facts.confirmed_name().unwrap_or(UNKNOWN), address()).into(),
        "daemon_name" => facts.daemon_name.into(),
        "daemon_addr" => facts.daemon.ip().to_canonical().to_string().into(),
        "daemon_port" => facts.daemon.port().to_string().into(),
        "client_addr" => address().into(),
        "client_port" => facts.client.port().to_string().into(),
        "client_ptr" => facts.ptr.as_ref().map_or(UNKNOWN, |ptr| ptr.name).into(),
        "client_name" => facts.confirmed_name().unwrap_or(UNKNOWN).into(),
        TRACEPARENT => facts.traceparent.clone()?.into(),
        "auth_type" => facts.login.as_ref()?.mechanism.into(),
        "auth_authen" => facts.login.as_ref()?.account.into(),
        _ => return None,
    })
}

fn of_tls<'a>(name: &str, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
    Some(match (name, facts.tls) {
        ("tls_version", tls) => tls.map_or("", |tls| &tls.version).into(),
        ("cipher", tls) => tls.map_or("", |tls| &tls.cipher).into(),
        ("cipher_bits", Some(tls)) => tls.cipher_bits.to_string().into(),
        ("cert_subject", Some(tls)) => tls.client_subject.as_deref()?.into(),
        ("cert_issuer", Some(tls)) => tls.client_issuer.as_deref()?.into(),
        _ => return None,
    })
}

fn of_transaction<'a>(name: &str, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
    let transaction = facts.transaction.as_ref()?;
    let sender = transaction.sender;
    Some(match name {
        "i" => transaction.id.to_string().into(),
        "auth_author" => transaction.parameters.auth.as_deref()?.into(),
        "mail_addr" => sender.as_str().into(),
        "mail_host" => sender.address()?.domain().into(),
        "mail_mailer" => MAILER.into(),
        _ => return None,
    })
}

/// The span that asks; told where the trace is recorded.
const TRACEPARENT: &str = "traceparent";

/// What is said of a client whose address has no name.
const UNKNOWN: &str = "unknown";

/// How mail travels: there is no local delivery here.
const MAILER: &str = "smtp";
