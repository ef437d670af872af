//! What a filter decides, in one vocabulary for milters, Sieve scripts, pipes, rspamd and hooks.

use crate::smtp::address::{Address, ReversePath};
use crate::smtp::parameters::{MailParameters, RcptParameters};
use crate::smtp::reply::Reply;

/// The points of a session at which filters are consulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// After the accept, before the greeting.
    Connect,
    /// After EHLO, HELO or LHLO.
    Ehlo,
    /// After AUTH.
    Auth,
    /// After MAIL.
    Mail,
    /// After RCPT.
    Rcpt,
    /// After the end of data.
    Data,
}

impl Stage {
    /// The name in policies, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Ehlo => "ehlo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
        }
    }
}

/// The answer of one filter, or of all filters of a stage folded into one.
///
/// Changes ride inside `Pass`, so that a refusal cannot carry half a rewrite.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Go on, with these changes.
    Pass(Vec<Modification>),
    /// Refuse for good (5xx).
    Reject(Reply),
    /// Refuse for now (4xx).
    Defer(Reply),
    /// Accept towards the client and deliver nothing.
    Discard,
    /// Reply if there is one, and close the connection.
    Disconnect(Option<Reply>),
}

/// One change that a filter asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Modification {
    /// Replace the sender of the envelope, and its parameters when some are given.
    SetSender(ReversePath, Option<Box<MailParameters>>),
    /// Add a recipient, once.
    AddRecipient(Address, Option<Box<RcptParameters>>),
    /// Remove a recipient; compared in the comparison form.
    RemoveRecipient(Address),
    /// Replace the recipient of the current command (before DATA).
    SetRecipient(Address),
    /// A change to the message.
    Edit(crate::message::edit::Edit),
    /// Deliver to quarantine, for this reason.
    Quarantine(String),
}
