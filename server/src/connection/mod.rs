//! One connection: performs what the session wants, and tells it what came of it.
//!
//! Only this module touches the client's socket. It decides nothing about mail: every reply, wait and
//! question is the session's.

mod answer;
mod delivery;
mod journal;
mod reception;
mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_core::session::event::{Action, ChunkEnd, Event, Reception, Tls};
use postern_core::session::id::TraceId;
use postern_core::session::{Client, Session};
use postern_core::smtp::command::{Command, Rcpt, Utf8Addresses, Verb};
use postern_core::smtp::line::{Line, MAX_COMMAND_OCTETS, MAX_RESPONSE_OCTETS};
use postern_core::smtp::reply::Reply;
use postern_core::verdict::Stage;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::answer::verify;
pub(crate) use self::delivery::{mailing_of, mailings};
use self::journal::Journal;
use self::reception::{Incoming, Kept};
use self::wire::{Filled, Wait, Wire};
use crate::accepted::Accepted;
use crate::drain::InTransaction;
use crate::filter::Panel;
use crate::gate::Gate;
use crate::message::{Allotment, Whole};
use crate::metrics::Direction;
use crate::snapshot::Snapshot;
use crate::tls::TlsFacts;

/// Serves one connection to its end.
pub async fn serve(accepted: Accepted, gate: Arc<Gate>) {
    let open = gate.metrics.session_begins(&accepted.listener.name);
    let permit = accepted.permit;
    let id = TraceId(random());
    let remote = accepted.remote;
    let client = Client {
        listener: Arc::clone(&accepted.listener),
        remote,
        local_ip: accepted.local.ip(),
        local_port: accepted.local_port,
        id,
        tls_available: accepted.acceptor.is_some(),
        tls: accepted.tls.as_ref().map(session_tls),
        host_name: Arc::clone(&gate.hostname),
        network: accepted.snapshot.geo.network(remote.ip()),
    };
    let journal = Journal::begin(&gate, &client);
    let session = Session::new(Arc::clone(&accepted.snapshot.policy), client);
    let wire = Wire::new(accepted.stream, gate.drain.watch());
    let mut connection = Connection {
        session,
        wire,
        gate: Arc::clone(&gate),
        snapshot: accepted.snapshot,
        acceptor: accepted.acceptor,
        tls_timeout: accepted.listener.tls_timeout,
        allotment: None,
        incoming: None,
        kept: None,
        panel: Panel::default(),
        refusable: None,
        in_transaction: None,
        stage: Some(Stage::Connect),
        journal,
    };
    let ended = connection.run().await;
    let (received, sent) = connection.wire.octets();
    connection.gate.metrics.traffic(Direction::Received, received);
    connection.gate.metrics.traffic(Direction::Sent, sent);
    connection.journal.end(&connection.session, (received, sent), ended.err());
    connection.panel.leave();
    drop((open, permit));
}

struct Connection {
    session: Session,
    wire: Wire,
    gate: Arc<Gate>,
    snapshot: Arc<Snapshot>,
    acceptor: Option<TlsAcceptor>,
    tls_timeout: Duration,
    /// Room that was set aside when MAIL announced a size.
    allotment: Option<Allotment>,
    /// A message that is being read.
    incoming: Option<Incoming>,
    /// A message that was read whole, for filters and the hand-off.
    kept: Option<Whole>,
    /// What filters keep of this session.
    panel: Panel,
    /// A recipient of which filters would hear if it were refused before they are asked.
    refusable: Option<Box<Rcpt>>,
    in_transaction: Option<InTransaction>,
    /// The stage that replies belong to.
    stage: Option<Stage>,
    /// What operators are told.
    journal: Journal,
}

/// What follows an action.
enum Next {
    /// The session is told of this.
    Event(Event),
    /// The session waits for the next command.
    Command,
    /// The session waits for a line of an AUTH exchange.
    AuthLine,
    /// It is over.
    End,
}

impl Connection {
    async fn run(&mut self) -> io::Result<()> {
        let mut event = Event::Connected;
        loop {
            let action = self.session.on(Timestamp::now(), event);
            self.wire.limit(self.session.limits());
            let next = self.journal.place().around(self.perform(action)).await?;
            self.forget_what_is_over().await;
            if !self.session.is_deciding() && !matches!(next, Next::Event(_)) {
                self.journal.command_over(&self.session);
            }
            event = match next {
                Next::Event(event) => event,
                Next::Command => self.next_command().await?,
                Next::AuthLine => self.next_auth_line().await?,
                Next::End => return Ok(()),
            };
        }
    }

    async fn perform(&mut self, action: Action) -> io::Result<Next> {
        let action = match action {
            Action::Wait(pause, action) => {
                self.wire.flush().await?;
                tokio::time::sleep(pause).await;
                *action
            }
            action => action,
        };
        Ok(match action {
            Action::Listen => Next::Command,
            Action::Reply(reply) => {
                self.reply(&reply);
                if let Some(rcpt) = self.refusable.take().filter(|_| !reply.is_positive()) {
                    let told = self.panel.recipient_refused(&self.gate, &self.session, &rcpt, &reply);
                    Box::pin(told).await;
                }
                Next::Command
            }
            Action::ReplyEach(replies) => {
                self.reply_all(replies.iter());
                Next::Command
            }
            Action::Ask(question) => Next::Event(Event::Answer(self.answer(*question).await)),
            Action::Challenge(challenge) => {
                self.reply(&challenge);
                Next::AuthLine
            }
            Action::StartTls(reply) => return Box::pin(self.start_tls(&reply)).await,
            Action::ReceiveData { go_ahead, limits } => {
                self.reply(&go_ahead);
                self.receive_data(limits).await?
            }
            Action::ReceiveChunk { size, last, limits } => self.receive_chunk(size, last, limits).await?,
            Action::Swallow { size, reply } => match self.wire.swallow(size).await? {
                None => {
                    self.reply(&reply);
                    Next::Command
                }
                Some(event) => Next::Event(event),
            },
            Action::HandOff(delivery) => Next::Event(Event::HandedOff(self.hand_off(delivery).await)),
            Action::Close(reply) => {
                if let Some(reply) = reply {
                    self.reply(&reply);
                }
                self.wire.close().await?;
                Next::End
            }
            Action::ReplyAndClose(reply, last) => {
                self.reply_all([&reply, &last].into_iter());
                self.wire.close().await?;
                Next::End
            }
            // The session never puts one pause inside another.
            Action::Wait(..) => Next::End,
        })
    }

    fn reply(&mut self, reply: &Reply) {
        self.reply_all(std::iter::once(reply));
    }

    /// Answers one command with several replies.
    fn reply_all<'a>(&mut self, replies: impl Iterator<Item = &'a Reply> + Clone) {
        self.journal.replied(self.stage, replies.clone());
        for reply in replies {
            self.gate.metrics.replied(self.stage, reply);
            reply.write_to(self.wire.outgoing());
        }
    }

    async fn next_command(&mut self) -> io::Result<Event> {
        self.wire.flush_much().await?;
        loop {
            match self.wire.reader().next_line(MAX_COMMAND_OCTETS) {
                Line::Whole(line) => {
                    let utf8 = match self.session.smtputf8() {
                        true => Utf8Addresses::Allowed,
                        false => Utf8Addresses::Refused,
                    };
                    return Ok(match Command::parse(line, utf8) {
                        Ok(command) => {
                            self.stage = stage_of(command.verb());
                            self.journal.command(self.stage, &command, &self.session);
                            self.refusable = match &command {
                                Command::Rcpt(rcpt) if self.panel.wants_refused_recipients() => {
                                    Some(rcpt.clone())
                                }
                                _ => None,
                            };
                            Event::Command(Ok(command))
                        }
                        Err(refusal) => {
                            self.stage = refusal.verb.and_then(stage_of);
                            Event::Command(Err(refusal.reply))
                        }
                    });
                }
                Line::TooLong => return Ok(self.no_command(Event::LineTooLong)),
                Line::NeedMore => {}
            }
            if let Some(event) = self.fill(COMMAND_OCTETS).await? {
                return Ok(self.no_command(event));
            }
        }
    }

    /// What comes in the place of a command: its reply has nothing to do with the stage of the last one.
    fn no_command(&mut self, event: Event) -> Event {
        self.stage = None;
        event
    }

    async fn next_auth_line(&mut self) -> io::Result<Event> {
        loop {
            match self.wire.reader().next_line(MAX_RESPONSE_OCTETS) {
                Line::Whole(line) => return Ok(Event::AuthLine(Some(line.into()))),
                Line::TooLong => return Ok(Event::AuthLine(None)),
                Line::NeedMore => {}
            }
            if let Some(event) = self.fill(COMMAND_OCTETS).await? {
                return Ok(event);
            }
        }
    }

    /// Reads more; an event says why there is nothing more to read.
    async fn fill(&mut self, room: usize) -> io::Result<Option<Event>> {
        let wait = match self.session.in_transaction() {
            true => Wait::InTransaction,
            false => Wait::BetweenTransactions,
        };
        Ok(match self.wire.fill(room, wait).await? {
            Filled::Some => None,
            Filled::Gone => return Err(io::ErrorKind::UnexpectedEof.into()),
            Filled::Idle => Some(Event::Idle),
            Filled::Expired => Some(Event::Expired),
            Filled::Flooded => Some(Event::Flooded),
            Filled::Draining => Some(Event::Shutdown),
        })
    }

    async fn start_tls(&mut self, reply: &Reply) -> io::Result<Next> {
        self.reply(reply);
        self.wire.flush().await?;
        let Some(acceptor) = &self.acceptor else { return Ok(Next::End) };
        let facts = self.wire.start_tls(acceptor, self.tls_timeout).await?;
        Ok(Next::Event(Event::Secured(session_tls(&facts))))
    }

    async fn receive_data(&mut self, limits: Reception) -> io::Result<Next> {
        let mut incoming = self.begin_message(limits);
        if let Some(event) = incoming.read_data(&mut self.wire).await? {
            return Ok(Next::Event(event));
        }
        Ok(Next::Event(self.received(incoming).await))
    }

    async fn receive_chunk(&mut self, size: u64, last: bool, limits: Reception) -> io::Result<Next> {
        let mut incoming = match self.incoming.take() {
            Some(incoming) => incoming,
            None => self.begin_message(limits),
        };
        if let Some(event) = incoming.read_chunk(&mut self.wire, size, last).await? {
            return Ok(Next::Event(event));
        }
        if last {
            return Ok(Next::Event(self.received(incoming).await));
        }
        let end = match incoming.kept() {
            Kept::Whole => ChunkEnd::Kept,
            Kept::TooLarge => ChunkEnd::TooLarge,
            Kept::OutOfSpace => ChunkEnd::OutOfSpace,
        };
        self.incoming = Some(incoming);
        Ok(Next::Event(Event::ChunkReceived(end)))
    }

    async fn received(&mut self, incoming: Incoming) -> Event {
        let (received, whole) = incoming.finish().await;
        self.journal.received(received.size);
        self.kept = whole;
        Event::Received(Arc::new(received))
    }

    fn begin_message(&mut self, limits: Reception) -> Incoming {
        let allotment = self.allotment.take().unwrap_or_default();
        Incoming::new(self.gate.messages.writer(allotment), limits)
    }

    /// What belongs to a transaction goes with it, however it ended.
    async fn forget_what_is_over(&mut self) {
        if self.session.in_transaction() {
            if self.in_transaction.is_none() {
                self.in_transaction = Some(self.gate.drain.begin_transaction());
            }
            if !self.session.has_chunks() {
                self.incoming = None;
            }
        } else {
            (self.in_transaction, self.incoming, self.kept) = (None, None, None);
            if !self.session.is_deciding() {
                self.panel.transaction_over().await;
                self.allotment = None;
            }
        }
    }
}

const fn stage_of(verb: Verb) -> Option<Stage> {
    match verb {
        Verb::Ehlo | Verb::Helo | Verb::Lhlo => Some(Stage::Ehlo),
        Verb::Auth => Some(Stage::Auth),
        Verb::Mail => Some(Stage::Mail),
        Verb::Rcpt => Some(Stage::Rcpt),
        Verb::Data | Verb::Bdat => Some(Stage::Data),
        _ => None,
    }
}

fn session_tls(facts: &TlsFacts) -> Tls {
    Tls {
        version: facts.version.into(),
        cipher: facts.cipher.into(),
        cipher_bits: facts.cipher_bits,
        client_subject: facts.client_subject.clone(),
        client_issuer: facts.client_issuer.clone(),
    }
}

/// Room for reading commands; a pipelined group of several dozen fits.
const COMMAND_OCTETS: usize = 4096;

fn random() -> u128 {
    let mut octets = [0; 16];
    // Without randomness ids would repeat, which misleads but does no harm.
    if let Err(error) = getrandom::fill(&mut octets) {
        tracing::error!(%error, "no random number for a connection id");
    }
    u128::from_be_bytes(octets)
}
