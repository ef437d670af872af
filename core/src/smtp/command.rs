//! The commands of a client, parsed into types.

use super::address::{ForwardPath, ReversePath};
use super::parameters::{MailParameters, RcptParameters};

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
