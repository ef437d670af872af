//! A conversation in memory: the pure session, and a host that answers from the transcript.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut as _;
use jiff::Timestamp;
use postern_core::message::draft::{Draft, Piece};
use postern_core::message::header::HeaderScanner;
use postern_core::policy::Policy;
use postern_core::policy::listener::{Listener, Protocol};
use postern_core::session::event::{Action, ChunkEnd, Delivery, Event, HandedOff, Received, Reception, Tls};
use postern_core::session::id::TraceId;
use postern_core::session::network::Network;
use postern_core::session::question::{Answer, Question};
use postern_core::session::{Client, Session};
use postern_core::smtp::bdat::ChunkReader;
use postern_core::smtp::command::{Command, Utf8Addresses};
use postern_core::smtp::data::{DataReader, Progress};
use postern_core::smtp::line::{Line, LineReader, MAX_COMMAND_OCTETS, MAX_RESPONSE_OCTETS};
use postern_core::smtp::parameters::{BodyType, RcptParameters};
use postern_core::smtp::reply::Reply;
use postern_server::store::{CounterKey, Counters};

use super::format::{Happening, TlsOffer, Transcript};
use super::outside::Outside;
use super::play::{Handed, Peer, Seen};

/// The gate of one transcript; its connections come one after another.
pub(crate) struct Memory {
    policy: Arc<Policy>,
    listener: Arc<Listener>,
    transcript: Transcript,
    outside: Rc<Outside>,
    counters: Counters,
    now: Timestamp,
    connections: u128,
    connection: Connection,
    handed: VecDeque<Handed>,
}

struct Connection {
    session: Session,
    reader: LineReader,
    mode: Mode,
    seen: VecDeque<Seen>,
    octets: u64,
    incoming: Option<Incoming>,
    /// The message that was read last.
    kept: Vec<u8>,
}

/// Who takes the next octets.
enum Mode {
    Command,
    AuthLine,
    Data(DataReader),
    Chunk { last: bool },
    Swallow { left: u64, reply: Reply },
    Handshake,
    Over,
}

struct Incoming {
    limits: Reception,
    chunks: ChunkReader,
    scanner: HeaderScanner,
    message: Vec<u8>,
    bare_line_ends: bool,
}

impl Memory {
    pub(crate) fn new(policy: Policy, transcript: &Transcript, outside: Rc<Outside>) -> Result<Self, String> {
        let protocol = match &*transcript.client.protocol {
            "lmtp" => Protocol::Lmtp,
            _ => Protocol::Smtp,
        };
        let listener = policy
            .listeners
            .iter()
            .find(|listener| listener.protocol == protocol)
            .cloned()
            .ok_or("the policy has no such listener")?;
        let policy = Arc::new(policy);
        let mut memory = Self {
            connection: Connection::new(Arc::clone(&policy), client(&listener, transcript, 0)),
            policy,
            listener,
            transcript: transcript.clone(),
            outside,
            counters: Counters::default(),
            now: BEGINNING.parse().map_err(|_| "no time")?,
            connections: 0,
            handed: VecDeque::new(),
        };
        memory.tell(Event::Connected)?;
        Ok(memory)
    }

    fn tell(&mut self, event: Event) -> Result<(), String> {
        let mut action = self.connection.session.on(self.now, event);
        while let Some(event) = self.perform(action)? {
            action = self.connection.session.on(self.now, event);
        }
        self.connection.forget_what_is_over();
        Ok(())
    }

    /// Does what the session wants, and gives what came of it when that is known at once.
    fn perform(&mut self, action: Action) -> Result<Option<Event>, String> {
        let connection = &mut self.connection;
        match action {
            Action::Listen => connection.mode = Mode::Command,
            Action::Reply(reply) => {
                connection.say(&reply);
                connection.mode = Mode::Command;
            }
            Action::ReplyEach(replies) => {
                replies.iter().for_each(|reply| connection.say(reply));
                connection.mode = Mode::Command;
            }
            Action::Ask(question) => return self.answer(&question).map(Event::Answer).map(Some),
            Action::Wait(pause, action) => {
                connection.seen.push_back(Seen::Pause(pause));
                self.now += pause;
                return self.perform(*action);
            }
            Action::ReplyAndClose(reply, last) => {
                connection.say(&reply);
                connection.say(&last);
                connection.end();
            }
            Action::Challenge(challenge) => {
                connection.say(&challenge);
                connection.mode = Mode::AuthLine;
            }
            Action::StartTls(reply) => {
                connection.say(&reply);
                let _in_clear = std::mem::take(&mut connection.reader).discard();
                connection.mode = Mode::Handshake;
            }
            Action::ReceiveData { go_ahead, limits } => {
                connection.say(&go_ahead);
                connection.incoming = Some(Incoming::new(limits));
                connection.mode = Mode::Data(DataReader::new());
            }
            Action::ReceiveChunk { size, last, limits } => {
                let incoming = connection.incoming.get_or_insert_with(|| Incoming::new(limits));
                incoming.chunks.begin(size, last);
                connection.mode = Mode::Chunk { last };
            }
            Action::Swallow { size, reply } => connection.mode = Mode::Swallow { left: size, reply },
            Action::HandOff(delivery) => return self.hand_off(*delivery).map(Event::HandedOff).map(Some),
            Action::Close(reply) => {
                if let Some(reply) = reply {
                    connection.say(&reply);
                }
                connection.end();
            }
        }
        Ok(None)
    }

    fn answer(&self, question: &Question) -> Result<Answer, String> {
        match question {
            Question::Throttle { index, key } => {
                let throttle = self.policy.throttles.get(*index).ok_or("no such throttle")?;
                let key = CounterKey::of(throttle, key);
                Ok(Answer::Admitted(self.counters.admit(key, &throttle.rate, self.now)))
            }
            Question::MayLogIn(rate) => {
                let key = CounterKey::of_failed_logins(rate, self.transcript.client.remote);
                Ok(Answer::Admitted(self.counters.has_room(key, rate, self.now)))
            }
            Question::LoginFailed(rate) => {
                let key = CounterKey::of_failed_logins(rate, self.transcript.client.remote);
                Ok(Answer::Admitted(self.counters.admit(key, rate, self.now)))
            }
            question => self.outside.answer(question, &self.policy),
        }
    }

    fn hand_off(&mut self, delivery: Delivery) -> Result<HandedOff, String> {
        let each: Vec<Reply> = delivery
            .copies
            .iter()
            .map(|copy| self.outside.last_answer(&copy.recipient))
            .collect::<Result<_, _>>()?;
        let worst = |is: fn(&Reply) -> bool| each.iter().find(|reply| is(reply));
        let overall = worst(Reply::is_transient).or(worst(Reply::is_permanent)).or(each.first());
        let overall = overall.cloned().ok_or("a delivery to nobody")?;
        self.record(&delivery, &each)?;
        Ok(HandedOff { overall, each })
    }

    /// Writes down what each route got.
    fn record(&mut self, delivery: &Delivery, each: &[Reply]) -> Result<(), String> {
        let message = self.connection.message(delivery)?;
        let taken = delivery.copies.iter().zip(each).filter(|(_, reply)| reply.is_positive());
        for (copy, _) in taken {
            let words = recipient_words(&copy.recipient.parameters);
            let to = format!("<{}>", copy.recipient.address);
            match self
                .handed
                .iter_mut()
                .find(|handed| handed.route == *copy.route.name && handed.id == delivery.id.to_string())
            {
                Some(handed) => {
                    handed.to.push(to);
                    handed.parameters.extend(words);
                }
                None => self.handed.push_back(Handed {
                    id: delivery.id.to_string(),
                    route: copy.route.name.to_string(),
                    from: delivery.envelope.sender.to_string(),
                    to: vec![to],
                    parameters: delivery
                        .envelope
                        .parameters
                        .iter()
                        .map(|parameter| parameter.to_string())
                        .chain(words)
                        .collect(),
                    message: message.clone(),
                }),
            }
        }
        Ok(())
    }

    /// Lets the session have what the client has sent, as far as it goes.
    fn run(&mut self) -> Result<(), String> {
        while let Some(event) = self.connection.next_event(&self.outside) {
            self.tell(event)?;
        }
        Ok(())
    }
}

impl Peer for Memory {
    fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        let connection = &mut self.connection;
        if matches!(connection.mode, Mode::Over | Mode::Handshake) {
            return Err("nobody reads what the client sends here".to_owned());
        }
        let left = connection.session.limits().transfer_limit.saturating_sub(connection.octets);
        let within = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        connection.octets += octets.len() as u64;
        connection.reader.space(within).put_slice(&octets[..within]);
        self.run()?;
        match within < octets.len() && !matches!(self.connection.mode, Mode::Over) {
            true => self.tell(Event::Flooded),
            false => Ok(()),
        }
    }

    fn next(&mut self) -> Option<Seen> {
        self.connection.seen.pop_front()
    }

    fn unexpected(&mut self) -> Option<Seen> {
        self.next()
    }

    fn pause(&mut self, span: Duration) -> Result<(), String> {
        match self.next() {
            Some(Seen::Pause(found)) if found == span => Ok(()),
            seen => Err(format!("a pause of {span:?} was expected, but {seen:?}")),
        }
    }

    fn handshake(&mut self) -> Result<(), String> {
        if !matches!(self.connection.mode, Mode::Handshake) {
            return Err("nobody waits for a handshake".to_owned());
        }
        self.tell(Event::Secured(tls()))
    }

    fn happens(&mut self, happening: Happening) -> Result<(), String> {
        self.tell(match happening {
            Happening::Idle => Event::Idle,
            Happening::Expired => Event::Expired,
            Happening::Shutdown => Event::Shutdown,
        })
    }

    fn later(&mut self, span: Duration) -> Result<(), String> {
        self.now += span;
        Ok(())
    }

    fn connect_again(&mut self) -> Result<(), String> {
        self.connections += 1;
        let client = client(&self.listener, &self.transcript, self.connections);
        self.connection = Connection::new(Arc::clone(&self.policy), client);
        self.tell(Event::Connected)
    }

    fn because(&self) -> Option<String> {
        Some(self.connection.session.because().map(ToString::to_string).unwrap_or_default())
    }

    fn handed(&mut self) -> &mut VecDeque<Handed> {
        &mut self.handed
    }
}

impl Connection {
    fn new(policy: Arc<Policy>, client: Client) -> Self {
        Self {
            session: Session::new(policy, client),
            reader: LineReader::new(),
            mode: Mode::Command,
            seen: VecDeque::new(),
            octets: 0,
            incoming: None,
            kept: Vec::new(),
        }
    }

    fn say(&mut self, reply: &Reply) {
        let mut octets = Vec::new();
        reply.write_to(&mut octets);
        let text = String::from_utf8_lossy(&octets);
        self.seen.extend(text.lines().map(|line| Seen::Line(line.to_owned())));
    }

    fn end(&mut self) {
        self.seen.push_back(Seen::End);
        self.mode = Mode::Over;
    }

    fn forget_what_is_over(&mut self) {
        let reads_on = matches!(self.mode, Mode::Data(_) | Mode::Chunk { .. });
        if !reads_on && !self.session.has_chunks() {
            self.incoming = None;
        }
    }

    /// The next event that follows from octets that are here.
    fn next_event(&mut self, outside: &Outside) -> Option<Event> {
        match &mut self.mode {
            Mode::Command => match self.reader.next_line(MAX_COMMAND_OCTETS) {
                Line::Whole(line) => {
                    let utf8 = match self.session.smtputf8() {
                        true => Utf8Addresses::Allowed,
                        false => Utf8Addresses::Refused,
                    };
                    Some(Event::Command(Command::parse(line, utf8).map_err(|refusal| refusal.reply)))
                }
                Line::TooLong => Some(Event::LineTooLong),
                Line::NeedMore => None,
            },
            Mode::AuthLine => match self.reader.next_line(MAX_RESPONSE_OCTETS) {
                Line::Whole(line) => Some(Event::AuthLine(Some(line.into()))),
                Line::TooLong => Some(Event::AuthLine(None)),
                Line::NeedMore => None,
            },
            Mode::Data(data) => {
                let incoming = self.incoming.as_mut()?;
                let mut block = Vec::new();
                let progress = data.push(self.reader.unread(), &mut block);
                incoming.keep(&block);
                incoming.bare_line_ends = data.saw_bare_line_end();
                self.advance(progress)?;
                Some(self.received(outside))
            }
            Mode::Chunk { last } => {
                let (incoming, last) = (self.incoming.as_mut()?, *last);
                let mut block = Vec::new();
                let progress = incoming.chunks.push(self.reader.unread(), &mut block);
                incoming.keep(&block);
                incoming.bare_line_ends = incoming.chunks.saw_bare_line_end();
                let end = incoming.chunk_end(outside);
                self.advance(progress)?;
                Some(if last { self.received(outside) } else { Event::ChunkReceived(end) })
            }
            Mode::Swallow { left, reply } => {
                let octets = (self.reader.unread().len() as u64).min(*left);
                *left -= octets;
                let reply = (*left == 0).then(|| reply.clone());
                self.reader.consume(usize::try_from(octets).unwrap_or(usize::MAX));
                self.say(&reply?);
                self.mode = Mode::Command;
                self.next_event(outside)
            }
            Mode::Handshake | Mode::Over => None,
        }
    }

    fn advance(&mut self, progress: Progress) -> Option<()> {
        match progress {
            Progress::Done(octets) => {
                self.reader.consume(octets);
                Some(())
            }
            Progress::More => {
                self.reader.consume(self.reader.unread().len());
                None
            }
        }
    }

    fn received(&mut self, outside: &Outside) -> Event {
        let Some(incoming) = self.incoming.take() else { return Event::Idle };
        let end = incoming.chunk_end(outside);
        self.kept = incoming.message;
        Event::Received(Arc::new(Received {
            size: self.kept.len() as u64,
            too_large: end == ChunkEnd::TooLarge,
            out_of_space: end == ChunkEnd::OutOfSpace,
            bare_line_ends: incoming.bare_line_ends,
            header: incoming.scanner.finish().map(Arc::new),
        }))
    }

    /// The message as a next hop gets it.
    fn message(&self, delivery: &Delivery) -> Result<Vec<u8>, String> {
        let mut scanner = HeaderScanner::new();
        scanner.push(&self.kept);
        let header = scanner.finish().map_err(|error| error.to_string())?;
        let mut draft = Draft::new(Arc::new(header), self.kept.len() as u64);
        draft.apply(delivery.edits.iter().cloned()).map_err(|error| error.to_string())?;
        let mut message = delivery.prefix.clone();
        for piece in draft.pieces() {
            match piece {
                Piece::Original(range) => {
                    let (start, end) = (range.start as usize, range.end as usize);
                    message.extend_from_slice(self.kept.get(start..end).ok_or("a piece beyond the message")?);
                }
                Piece::New(octets) => message.extend_from_slice(&octets),
            }
        }
        Ok(message)
    }
}

impl Incoming {
    fn new(limits: Reception) -> Self {
        Self {
            limits,
            chunks: ChunkReader::new(limits.binary.then_some(BodyType::BinaryMime)),
            scanner: HeaderScanner::new(),
            message: Vec::new(),
            bare_line_ends: false,
        }
    }

    fn keep(&mut self, block: &[u8]) {
        self.message.extend_from_slice(block);
        self.scanner.push(block);
    }

    fn chunk_end(&self, outside: &Outside) -> ChunkEnd {
        let size = self.message.len() as u64;
        if self.limits.max_size > 0 && size > self.limits.max_size {
            return ChunkEnd::TooLarge;
        }
        match outside.room() {
            Some(room) if size > room => ChunkEnd::OutOfSpace,
            _ => ChunkEnd::Kept,
        }
    }
}

fn recipient_words(parameters: &RcptParameters) -> Vec<String> {
    let notify = parameters.notify.map(|notify| format!("NOTIFY={notify}"));
    let orcpt = parameters.orcpt.as_ref().map(|orcpt| format!("ORCPT={orcpt}"));
    notify.into_iter().chain(orcpt).collect()
}

fn client(listener: &Arc<Listener>, transcript: &Transcript, connection: u128) -> Client {
    let facts = &transcript.client;
    Client {
        listener: Arc::clone(listener),
        remote: SocketAddr::new(facts.remote, 40_000),
        local_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 25)),
        local_port: facts.port,
        id: TraceId(connection),
        tls_available: facts.tls != TlsOffer::None,
        tls: (facts.tls == TlsOffer::Implicit).then(tls),
        host_name: "host.internal.example".into(),
        network: Network::default(),
    }
}

fn tls() -> Tls {
    Tls {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        cipher_bits: 256,
        client_subject: None,
        client_issuer: None,
    }
}

const BEGINNING: &str = "2026-01-01T00:00:00Z";
