//! What goes wrong between Postern and a next hop.

use std::io;
use std::time::Duration;

use postern_core::handoff::Outcome;
use postern_core::smtp::next_hop_reply::NextHopReplyError;
use postern_core::smtp::reply::Reply;

/// Where in the conversation something happened. A closed set, fit for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waiting for a connection of the pool.
    Pool,
    /// Looking up the name.
    Resolve,
    /// TCP.
    Connect,
    /// STARTTLS and the handshake.
    Tls,
    /// The 220 of the hop.
    Greeting,
    /// EHLO or LHLO.
    Ehlo,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, or the header of BDAT.
    Data,
    /// The message itself.
    Body,
    /// The answer to the message.
    LastReply,
    /// RSET.
    Reset,
    /// A file of a Maildir.
    File,
}

impl Phase {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Body => "body",
            Self::LastReply => "last_reply",
            Self::Reset => "reset",
            Self::File => "file",
        }
    }
}

/// A conversation that came to nothing. The connection is of no further use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", phase.name())]
pub(crate) struct HopError {
    /// When.
    pub(crate) phase: Phase,
    /// What.
    pub(crate) fault: Fault,
}

/// What was wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the connection was closed")]
    Closed,
    /// Nor may the message wait for one: it has others meanwhile.
    #[error("all connections are in use")]
    AllInUse,
    #[error("{0}")]
    Io(io::Error),
    /// A reply that ends the conversation: a bad greeting, 421, a refused STARTTLS or AUTH.
    #[error("the hop said {0}")]
    Reply(Reply),
    /// No reply at all. `refusal` when it began like a 5xx.
    #[error("{source}")]
    Malformed { source: NextHopReplyError, refusal: bool },
    /// What the route demands cannot be had.
    #[error("{0}")]
    Unfit(&'static str),
    /// The message itself could not be read.
    #[error("the message could not be read: {0}")]
    Content(io::Error),
}

impl HopError {
    pub(crate) const fn new(phase: Phase, fault: Fault) -> Self {
        Self { phase, fault }
    }

    /// An error of the socket; an end where there should be none is a close.
    pub(crate) fn io(phase: Phase, error: io::Error) -> Self {
        let closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        );
        Self::new(phase, if closed { Fault::Closed } else { Fault::Io(error) })
    }

    /// What it means for the recipients of the transaction.
    pub(crate) fn outcome(&self) -> Outcome {
        match &self.fault {
            Fault::Malformed { refusal: true, .. } if self.phase.is_of_a_transaction() => {
                Outcome::of_malformed(b"5")
            }
            Fault::Reply(reply) if self.phase == Phase::LastReply => Outcome::of_refusal(reply),
            _ => Outcome::LOST,
        }
    }

    /// Whether this is how a connection looks that the hop has meanwhile closed.
    pub(crate) fn looks_stale(&self) -> bool {
        matches!(self.fault, Fault::Closed | Fault::Io(_) | Fault::Reply(_))
    }
}

impl Phase {
    /// Whether a refusal here is about the message, and not about the connection.
    const fn is_of_a_transaction(self) -> bool {
        matches!(self, Self::Mail | Self::Rcpt | Self::Data | Self::LastReply)
    }
}
