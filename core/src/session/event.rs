//! What happens to a session, and what it wants done.

use std::sync::Arc;
use std::time::Duration;

use super::id::TraceId;
use super::question::{Answer, Question};
use crate::envelope::{Envelope, Recipient};
use crate::message::edit::Edit;
use crate::message::header::{Header, HeaderTooLarge};
use crate::policy::route::Route;
use crate::smtp::address::ReversePath;
use crate::smtp::command::Command;
use crate::smtp::parameters::MailParameters;
use crate::smtp::reply::Reply;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The connection is there, with TLS if that comes first.
    Connected,
    /// A command line, parsed, or the reply to one that does not parse.
    Command(Result<Command, Reply>),
    /// A line longer than any command may be.
    LineTooLong,
    /// A line of an AUTH exchange, without its line end; unset: it was too long.
    AuthLine(Option<Arc<[u8]>>),
    /// The answer to the question last asked.
    Answer(Answer),
    /// The TLS handshake that the session asked for is done.
    Secured(Tls),
    /// The octets of a chunk that is not the last one were read.
    ChunkReceived(ChunkEnd),
    /// The whole message was read.
    Received(Arc<Received>),
    /// The hand-off is over.
    HandedOff(HandedOff),
    /// Nothing came for too long.
    Idle,
    /// The connection is older than it may be.
    Expired,
    /// The client sent more octets than it may.
    Flooded,
    /// The server stops.
    Shutdown,
}

/// What the session wants done. But for `Ask`, `Wait` and `Close`, the next command follows.
#[derive(Debug, Clone)]
pub enum Action {
    /// Read the next command.
    Listen,
    /// Send this, then read the next command.
    Reply(Reply),
    /// Send these, then read the next command (LMTP).
    ReplyEach(Vec<Reply>),
    /// Find the answer, and say it with [`Event::Answer`].
    Ask(Box<Question>),
    /// Let so much time pass before the action inside.
    Wait(Duration, Box<Action>),
    /// Send this, and then as a last word the other; then close.
    ReplyAndClose(Reply, Reply),
    /// Send this challenge, and read one line of the AUTH exchange.
    Challenge(Reply),
    /// Send this, throw away what was received in clear, and do the handshake.
    StartTls(Reply),
    /// Send 354, and read a message up to its final dot.
    ReceiveData {
        /// The 354.
        go_ahead: Reply,
        /// How to read it.
        limits: Reception,
    },
    /// Read a chunk of so many octets into the message.
    ReceiveChunk {
        /// Octets.
        size: u64,
        /// Whether the message ends with it: say [`Event::Received`], else [`Event::ChunkReceived`].
        last: bool,
        /// How to read it.
        limits: Reception,
    },
    /// Read a chunk of so many octets, throw it away, and send this.
    Swallow {
        /// Octets.
        size: u64,
        /// The refusal.
        reply: Reply,
    },
    /// Give the message to its next hops, and say [`Event::HandedOff`].
    HandOff(Box<Delivery>),
    /// Send this, if there is anything, and close.
    Close(Option<Reply>),
}

impl Action {
    /// The reply that tells the client what became of its command; of several the first that is not good.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Reply(reply)
            | Self::ReplyAndClose(reply, _)
            | Self::Challenge(reply)
            | Self::StartTls(reply)
            | Self::Swallow { reply, .. }
            | Self::Close(Some(reply)) => Some(reply),
            Self::ReplyEach(replies) => {
                replies.iter().find(|reply| !reply.is_positive()).or_else(|| replies.first())
            }
            Self::Wait(_, action) => action.reply(),
            Self::Listen
            | Self::Ask(_)
            | Self::ReceiveData { .. }
            | Self::ReceiveChunk { .. }
            | Self::HandOff(_)
            | Self::Close(None) => None,
        }
    }

    /// The same action, each refusal in it with the id under which more is known of it.
    pub(super) fn with_id(self, id: TraceId) -> Self {
        let mark = |reply: Reply| match reply.is_transient() || reply.is_permanent() {
            true => reply.with_id(id),
            false => reply,
        };
        match self {
            Self::Reply(reply) => Self::Reply(mark(reply)),
            Self::ReplyEach(replies) => Self::ReplyEach(replies.into_iter().map(mark).collect()),
            Self::ReplyAndClose(reply, last) => Self::ReplyAndClose(mark(reply), mark(last)),
            Self::Swallow { size, reply } => Self::Swallow { size, reply: mark(reply) },
            Self::Close(reply) => Self::Close(reply.map(mark)),
            Self::Wait(pause, action) => Self::Wait(pause, Box::new(action.with_id(id))),
            other => other,
        }
    }

    /// Whether nothing can follow, be it after a pause.
    pub(super) fn is_the_last(&self) -> bool {
        match self {
            Self::Close(_) | Self::ReplyAndClose(..) => true,
            Self::Wait(_, action) => action.is_the_last(),
            _ => false,
        }
    }
}

/// TLS of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`
    pub version: Arc<str>,
    /// IANA name of the cipher suite.
    pub cipher: Arc<str>,
    /// Key length of the cipher.
    pub cipher_bits: u16,
    /// Subject of the client's certificate.
    pub client_subject: Option<Arc<str>>,
    /// Issuer of the client's certificate.
    pub client_issuer: Option<Arc<str>>,
}

/// How message data is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// Octets above which the rest is read and thrown away; 0: no limit.
    pub max_size: u64,
    /// No line ends: octets are kept as they are.
    pub binary: bool,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkEnd {
    /// It is part of the message.
    Kept,
    /// With it the message is larger than it may be.
    TooLarge,
    /// There was no room for it.
    OutOfSpace,
}

/// A message that was read to its end.
#[derive(Debug, Clone)]
pub struct Received {
    /// Octets received.
    pub size: u64,
    /// More octets came than the limit allows; the message is not kept.
    pub too_large: bool,
    /// There was no room to keep it.
    pub out_of_space: bool,
    /// A CR or LF stood alone.
    pub bare_line_ends: bool,
    /// The header section.
    pub header: Result<Arc<Header>, HeaderTooLarge>,
}

/// A message on its way to its next hops.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The queue id.
    pub id: TraceId,
    /// Sender and parameters; its recipients are those of `copies`.
    pub envelope: Envelope,
    /// Each recipient and where it goes; nobody when only generated messages are delivered.
    pub copies: Vec<Copy>,
    /// Messages that filters have made, in order.
    pub dispatches: Vec<Dispatch>,
    /// Fields of ours, each with its line end, that come before the message.
    pub prefix: Vec<u8>,
    /// Changes to the message as it was received.
    pub edits: Vec<Edit>,
    /// Whether a copy with one recipient says `Delivered-To`.
    pub delivered_to: bool,
    /// Our name towards next hops.
    pub hostname: Arc<str>,
}

/// One recipient of a delivery.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Who.
    pub recipient: Recipient,
    /// Where.
    pub route: Arc<Route>,
}

/// A message that a filter has made, on its way to its next hop.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Sender of its envelope.
    pub sender: ReversePath,
    /// Parameters of its MAIL.
    pub parameters: MailParameters,
    /// To whom, and where.
    pub copy: Copy,
    /// What it holds.
    pub content: DispatchContent,
}

/// The octets of a generated message.
#[derive(Debug, Clone)]
pub enum DispatchContent {
    /// The delivery's prefix, and the message with so many of the delivery's edits.
    InHand(usize),
    /// The delivery's prefix, and these octets in place of the message.
    Edited(Box<[u8]>),
    /// These octets alone; best effort: its answer does not count, and it waits for all others.
    Own(Box<[u8]>),
}

impl Dispatch {
    /// Whether its next hop's answer counts as that of any recipient.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self.content, DispatchContent::Own(_))
    }
}

/// What came of a delivery.
#[derive(Debug, Clone)]
pub struct HandedOff {
    /// The reply for the whole message.
    pub overall: Reply,
    /// The reply for each copy of the delivery, then for each dispatch that counts, in order.
    pub each: Vec<Reply>,
}
