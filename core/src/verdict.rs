//! What a filter decides, in one vocabulary for milters, Sieve scripts, pipes, rspamd and hooks.

use crate::cause::Cause;
use crate::envelope::Recipient;
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

/// What the filters of a stage say together, and who of them has decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// Their verdicts, folded.
    pub verdict: Verdict,
    /// The filter that has stopped the stage.
    pub by: Option<Cause>,
}

impl From<Verdict> for Ruling {
    /// A verdict that is nobody's alone.
    fn from(verdict: Verdict) -> Self {
        Self { verdict, by: None }
    }
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
    /// Replace the last recipient; before DATA that is the one of the current command.
    SetRecipient(Address),
    /// Replace the parameters of the last recipient, likewise.
    SetRecipientParameters(Box<RcptParameters>),
    /// A change to the message.
    Edit(crate::message::edit::Edit),
    /// Deliver to quarantine, for this reason.
    Quarantine(String),
    /// Deliver another message beside this one.
    Generate(Box<Generated>),
    /// Deliver nothing of this message, only what was generated beside it; no further filter is asked.
    Drop,
}

/// A message that a filter makes, to one recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Sender of its envelope.
    pub sender: ReversePath,
    /// Parameters of its MAIL.
    pub parameters: MailParameters,
    /// Who gets it.
    pub recipient: Recipient,
    /// What it holds, and whether its answer counts.
    pub message: GeneratedMessage,
}

/// The octets of a message that a filter makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeneratedMessage {
    /// `redirect` of the message as the changes before this one have left it. Our fields come before it,
    /// and the answer of its next hop counts as that of any recipient.
    InHand,
    /// `redirect` of the message in another form; otherwise the same.
    Edited(Box<[u8]>),
    /// A notification: a message of its own, best effort.
    Own(Box<[u8]>),
}

/// The kinds of filters, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FilterKind {
    /// `MtaMilter`
    Milter,
    /// `MtaSieveScript`
    Sieve,
    /// `MtaSpamFilter`
    SpamFilter,
    /// `MtaPipe`
    Pipe,
    /// `MtaHook`
    Hook,
}

impl FilterKind {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milter => "milter",
            Self::Sieve => "sieve",
            Self::SpamFilter => "spam_filter",
            Self::Pipe => "pipe",
            Self::Hook => "hook",
        }
    }

    /// The kind of the object that describes it.
    #[must_use]
    pub const fn object_kind(self) -> &'static str {
        match self {
            Self::Milter => "MtaMilter",
            Self::Sieve => "MtaSieveScript",
            Self::SpamFilter => "MtaSpamFilter",
            Self::Pipe => "MtaPipe",
            Self::Hook => "MtaHook",
        }
    }
}
