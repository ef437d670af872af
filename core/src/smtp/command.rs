//! The commands of a client, parsed into types.

use std::fmt;

use super::address::{ForwardPath, ReversePath};
use super::parameters::{MailParameters, RcptParameters};
use super::reply::Reply;

/// One command, syntactically whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `HELO name` (RFC 5321 section 4.1.1.1); the name as sent, possibly empty.
    Helo(String),
    /// `EHLO name`
    Ehlo(String),
    /// `LHLO name` (RFC 2033 section 4.1)
    Lhlo(String),
    /// `AUTH mechanism [initial-response]` (RFC 4954 section 4)
    Auth {
        /// As sent, upper-cased.
        mechanism: String,
        /// Still in base64; `=` stands for an empty one.
        initial_response: Option<String>,
    },
    /// `MAIL FROM:<path> [parameters]`
    Mail(Box<Mail>),
    /// `RCPT TO:<path> [parameters]`
    Rcpt(Box<Rcpt>),
    /// `DATA`
    Data,
    /// `BDAT size [LAST]` (RFC 3030 section 2)
    Bdat {
        /// Octets that follow the command line.
        size: u64,
        /// Whether the message ends with this chunk.
        last: bool,
    },
    /// `RSET`
    Rset,
    /// `NOOP [string]`
    Noop,
    /// `HELP [string]`
    Help,
    /// `VRFY string`
    Vrfy(String),
    /// `EXPN string`
    Expn(String),
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `QUIT`
    Quit,
    /// `ETRN`, `ATRN` or `BURL`: known, and never offered here.
    NotImplemented(&'static str),
}

/// A MAIL command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The reverse path.
    pub from: ReversePath,
    /// Its parameters.
    pub parameters: MailParameters,
    /// Name and value of each parameter as it was written, for filters that want to see them.
    pub raw_parameters: Vec<String>,
}

/// A RCPT command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// The forward path.
    pub to: ForwardPath,
    /// Its parameters.
    pub parameters: RcptParameters,
    /// Name and value of each parameter as it was written, for filters that want to see them.
    pub raw_parameters: Vec<String>,
}

impl Command {
    /// The verb of the command.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Helo(_) => Verb::Helo,
            Self::Ehlo(_) => Verb::Ehlo,
            Self::Lhlo(_) => Verb::Lhlo,
            Self::Auth { .. } => Verb::Auth,
            Self::Mail(_) => Verb::Mail,
            Self::Rcpt(_) => Verb::Rcpt,
            Self::Data => Verb::Data,
            Self::Bdat { .. } => Verb::Bdat,
            Self::Rset => Verb::Rset,
            Self::Noop => Verb::Noop,
            Self::Help => Verb::Help,
            Self::Vrfy(_) => Verb::Vrfy,
            Self::Expn(_) => Verb::Expn,
            Self::StartTls => Verb::StartTls,
            Self::Quit => Verb::Quit,
            Self::NotImplemented(_) => Verb::NotImplemented,
        }
    }
}

impl fmt::Display for Command {
    /// The command on the wire, without its line end. Reading it again gives the same command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helo(name) | Self::Ehlo(name) | Self::Lhlo(name) | Self::Vrfy(name) | Self::Expn(name) => {
                write!(f, "{} {name}", self.verb().name())
            }
            Self::Auth { mechanism, initial_response } => {
                write!(f, "AUTH {mechanism}")?;
                initial_response.as_ref().map_or(Ok(()), |response| write!(f, " {response}"))
            }
            Self::Mail(mail) => {
                write!(f, "MAIL FROM:{}", mail.from)?;
                mail.raw_parameters.iter().try_for_each(|parameter| write!(f, " {parameter}"))
            }
            Self::Rcpt(rcpt) => {
                write!(f, "RCPT TO:{}", rcpt.to)?;
                rcpt.raw_parameters.iter().try_for_each(|parameter| write!(f, " {parameter}"))
            }
            Self::Bdat { size, last } => write!(f, "BDAT {size}{}", if *last { " LAST" } else { "" }),
            Self::NotImplemented(verb) => f.write_str(verb),
            Self::Data | Self::Rset | Self::Noop | Self::Help | Self::StartTls | Self::Quit => {
                f.write_str(self.verb().name())
            }
        }
    }
}

/// A verb, without what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `HELO`
    Helo,
    /// `EHLO`
    Ehlo,
    /// `LHLO`
    Lhlo,
    /// `AUTH`
    Auth,
    /// `MAIL`
    Mail,
    /// `RCPT`
    Rcpt,
    /// `DATA`
    Data,
    /// `BDAT`
    Bdat,
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `HELP`
    Help,
    /// `VRFY`
    Vrfy,
    /// `EXPN`
    Expn,
    /// `STARTTLS`
    StartTls,
    /// `QUIT`
    Quit,
    /// `ETRN`, `ATRN` or `BURL`
    NotImplemented,
}

impl Verb {
    /// The verb in upper case; a closed set, fit for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Lhlo => "LHLO",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Bdat => "BDAT",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Help => "HELP",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::StartTls => "STARTTLS",
            Self::Quit => "QUIT",
            Self::NotImplemented => "ETRN, ATRN or BURL",
        }
    }
}

/// Why a line is no command that can be carried out, with the reply it deserves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The verb, when the line began with one. A session answers some verbs by their place in the
    /// sequence, however they are spelt.
    pub verb: Option<Verb>,
    /// What to tell the client.
    pub reply: Reply,
}

/// Whether addresses of RCPT may hold octets above 127, which the open transaction decides: yes when its
/// MAIL said SMTPUTF8 (RFC 6531 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utf8Addresses {
    /// The transaction is one with SMTPUTF8.
    Allowed,
    /// It is not, or there is none.
    Refused,
}
