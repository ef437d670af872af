//! The inbound session: commands and answers in, replies and questions out (RFC 5321, RFC 2033).
//!
//! [`Session::on`] is the only way in. It knows no socket and no clock. Whatever takes time is an
//! [`Action`] for the host to perform; its outcome comes back as the next [`Event`]. A command is decided
//! by a function that only reads the session; see [`question`] for how it waits for answers. What a
//! decision changes is one [`Change`], applied when the decision is complete.

pub mod check;
pub mod consult;
pub mod event;
pub mod id;
pub mod network;
pub mod question;
pub mod record;

mod auth;
mod change;
mod connect;
mod data;
mod ehlo;
mod end_of_data;
mod facts;
mod handoff;
mod mail;
mod mail_parameters;
mod query;
mod rcpt;
mod recipient;
mod replies;
mod route;
mod sasl_error;
mod state;
mod throttling;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::change::{Change, Step};
use self::check::{Check, SenderCheck};
use self::event::{Action, Event, Tls};
use self::id::TraceId;
use self::network::Network;
use self::question::{Answer, Halt, Inquiry};
use self::record::{Note, Notes};
pub use self::replies::DECIDING_FIELDS;
use self::state::{DataState, Hello, Login, Parameters, State, Transaction};
use crate::cause::Cause;
use crate::envelope::Envelope;
use crate::expr::SaslMechanism;
use crate::message::fields::Greeting;
use crate::policy::Policy;
use crate::policy::listener::{Listener, Protocol};
use crate::smtp::command::Command;
use crate::smtp::reply::Reply;

/// What is known of a connection before its first octet.
#[derive(Debug, Clone)]
pub struct Client {
    /// The listener that took it.
    pub listener: Arc<Listener>,
    /// Address and port of the client, after PROXY.
    pub remote: SocketAddr,
    /// Our address, after PROXY.
    pub local_ip: IpAddr,
    /// The port that the client means to have reached.
    pub local_port: u16,
    /// Identity of the connection; random.
    pub id: TraceId,
    /// Whether STARTTLS can be offered.
    pub tls_available: bool,
    /// TLS from the first octet, if it was.
    pub tls: Option<Tls>,
    /// Name of this host, where no policy gives one.
    pub host_name: Arc<str>,
    /// Where the client comes from.
    pub network: Network,
}

/// One inbound session.
#[derive(Debug)]
pub struct Session {
    policy: Arc<Policy>,
    client: Client,
    /// `remote_ip` and `local_ip` as text, since expressions ask for them often.
    remote_ip: Box<str>,
    local_ip: Box<str>,
    hostname: Arc<str>,
    parameters: Parameters,
    tls: Option<Tls>,
    hello: Option<Hello>,
    login: Option<Login>,
    reverse_dns: Option<Check>,
    state: State,
    recipient_errors: u64,
    auth_failures: u64,
    messages: u64,
    transactions: u64,
    pending: Option<Pending>,
    /// What has decided the last action.
    because: Option<Cause>,
    /// What decisions did, when somebody wants to know.
    record: Option<Vec<Note>>,
}

/// A decision that waits for an answer.
#[derive(Debug)]
struct Pending {
    now: Timestamp,
    event: Event,
    answers: Vec<Answer>,
}

/// How long a session may take and how much it may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Silence before the next octets; unset: for ever.
    pub timeout: Option<Duration>,
    /// Age of the connection; unset: any.
    pub max_duration: Option<Duration>,
    /// Octets from the client.
    pub transfer_limit: u64,
}

impl Session {
    /// A session at its beginning; its first event is [`Event::Connected`].
    #[must_use]
    pub fn new(policy: Arc<Policy>, client: Client) -> Self {
        let hostname =
            policy.settings.default_hostname.clone().unwrap_or_else(|| Arc::clone(&client.host_name));
        Self {
            policy,
            remote_ip: client.remote.ip().to_string().into(),
            local_ip: client.local_ip.to_string().into(),
            hostname,
            parameters: Parameters::before_connect(),
            tls: client.tls.clone(),
            client,
            hello: None,
            login: None,
            reverse_dns: None,
            state: State::Connecting,
            recipient_errors: 0,
            auth_failures: 0,
            messages: 0,
            transactions: 0,
            pending: None,
            because: None,
            record: None,
        }
    }

    /// Takes an event and says what to do next. `now` is the time of the event.
    pub fn on(&mut self, now: Timestamp, event: Event) -> Action {
        let mut pending = match event {
            Event::Answer(answer) => match self.pending.take() {
                Some(mut pending) => {
                    pending.answers.push(answer);
                    pending
                }
                // Nothing was asked: the host has lost its way, and going on would be a guess.
                None => return self.close(None),
            },
            event => Pending { now, event, answers: Vec::new() },
        };
        if matches!(self.state, State::Closed) {
            return Action::Close(None);
        }
        let inquiry = Inquiry::new(&pending.answers, Notes::new(self.record.is_some()));
        let decided = self.decide(pending.now, &pending.event, &inquiry);
        let notes = inquiry.into_notes();
        let step = match decided {
            Ok(step) => step,
            Err(Halt::Ask(question)) => {
                pending.answers.shrink_to_fit();
                self.pending = Some(pending);
                return Action::Ask(question);
            }
            Err(Halt::Refuse(reply)) => self.refused(&pending.event, reply),
            Err(Halt::Unable(cause)) => {
                let reply = self.unable(&pending.event).or_because(cause.as_ref());
                self.refused(&pending.event, reply)
            }
        };
        // Not of a decision that waits: it will run again from its start.
        if let Some(record) = &mut self.record {
            record.extend(notes);
        }
        let begins =
            self.transaction().is_none() && matches!(pending.event, Event::Command(Ok(Command::Mail(_))));
        // A MAIL that is refused is told of under the id that its transaction would have had, which nothing else gets.
        let id = if begins { self.transaction_id() } else { self.id() };
        self.transactions = self.transactions.saturating_add(begins.into());
        self.because = step.because.or_else(|| step.action.reply().and_then(Reply::because).cloned());
        self.apply(step.change);
        let action = match self.policy.settings.add_id_to_refusals {
            true => step.action.with_id(id),
            false => step.action,
        };
        match &action {
            // RFC 5321 section 3.8: 421 announces that the channel is closed.
            Action::Reply(reply) if reply.code() == 421 => self.close(Some(reply.clone())),
            last if last.is_the_last() => {
                self.state = State::Closed;
                action
            }
            _ => action,
        }
    }

    /// What of the policy has decided the last action, where one object did: also for what has no reply.
    #[must_use]
    pub const fn because(&self) -> Option<&Cause> {
        self.because.as_ref()
    }

    /// From now on, writes down what decisions evaluate and ask.
    pub fn keep_record(&mut self) {
        self.record.get_or_insert_default();
    }

    /// What was written down since the last call.
    pub fn take_record(&mut self) -> Vec<Note> {
        self.record.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The limits that the host watches over, as they hold now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            timeout: self.parameters.timeout,
            max_duration: self.parameters.max_duration,
            transfer_limit: self.parameters.transfer_limit,
        }
    }

    /// Whether a transaction is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether octets of a message were read and are to be kept for more.
    #[must_use]
    pub fn has_chunks(&self) -> bool {
        self.transaction().is_some_and(|transaction| transaction.data == DataState::Chunks)
    }

    /// Whether MAIL of the open transaction said SMTPUTF8.
    #[must_use]
    pub fn smtputf8(&self) -> bool {
        self.transaction().is_some_and(|transaction| transaction.envelope.parameters.smtputf8)
    }

    /// The policy that this session runs under.
    #[must_use]
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Address of the client, after PROXY, as text.
    #[must_use]
    pub fn remote_ip(&self) -> &str {
        &self.remote_ip
    }

    /// Whether a decision waits for an answer.
    #[must_use]
    pub fn is_deciding(&self) -> bool {
        self.pending.is_some()
    }

    /// The account that is logged in.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.account.address.key())
    }

    /// How the account has logged in.
    #[must_use]
    pub fn sasl_mechanism(&self) -> Option<SaslMechanism> {
        self.login.as_ref().map(|login| login.mechanism)
    }

    /// SPF of the open transaction's sender, if it was checked.
    #[must_use]
    pub fn sender_spf(&self) -> Option<&SenderCheck> {
        self.transaction().and_then(|transaction| transaction.spf.as_ref())
    }

    /// SPF of the EHLO name, if it was checked.
    #[must_use]
    pub fn helo_spf(&self) -> Option<&Check> {
        self.hello.as_ref().and_then(|hello| hello.spf.as_ref())
    }

    /// Reverse DNS of the client, if it was checked.
    #[must_use]
    pub fn reverse_dns(&self) -> Option<&Check> {
        self.reverse_dns.as_ref()
    }

    /// The name of EHLO, as sent; empty before it.
    #[must_use]
    pub fn helo(&self) -> &str {
        self.hello.as_ref().map_or("", |hello| &hello.name)
    }

    /// How the client greeted; unset before it did.
    #[must_use]
    pub fn greeting(&self) -> Option<Greeting> {
        self.hello.as_ref().map(|hello| hello.greeting)
    }

    /// TLS of the connection, if there is any.
    #[must_use]
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// The envelope of the open transaction.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        self.transaction().map(|transaction| &transaction.envelope)
    }

    /// Our name towards the client.
    #[must_use]
    pub fn hostname(&self) -> &Arc<str> {
        &self.hostname
    }

    /// Queue id of the open transaction, else the id of the connection.
    #[must_use]
    pub fn id(&self) -> TraceId {
        self.transaction().map_or(self.client.id, |transaction| transaction.id)
    }

    /// Queue id of the open transaction, else of the one that the next MAIL would open.
    #[must_use]
    pub fn transaction_id(&self) -> TraceId {
        self.transaction()
            .map_or_else(|| self.client.id.of_transaction(self.transactions), |transaction| transaction.id)
    }

    fn decide(&self, now: Timestamp, event: &Event, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        match event {
            Event::Connected => self.connected(inquiry),
            Event::Command(Ok(command)) => self.command(now, command, inquiry),
            Event::Command(Err(reply)) => Ok(Step::reply(reply.clone())),
            Event::LineTooLong => Ok(Step::reply(replies::LINE_TOO_LONG)),
            Event::AuthLine(line) => self.auth_line(line.as_deref(), inquiry),
            Event::Secured(tls) => self.secured(tls, inquiry),
            Event::ChunkReceived(end) => Ok(self.chunk_received(*end)),
            Event::Received(received) => self.received(now, received, inquiry),
            Event::HandedOff(outcome) => Ok(self.handed_off(outcome)),
            Event::Idle => Ok(self.goodbye(&replies::IDLE)),
            Event::Expired => Ok(self.goodbye(&replies::EXPIRED)),
            Event::Flooded => Ok(self.goodbye(&replies::FLOODED)),
            Event::Shutdown => Ok(self.goodbye(&replies::SHUTDOWN)),
            // Taken by `on` before it gets here.
            Event::Answer(_) => Err(Halt::OUT_OF_PLACE),
        }
    }

    fn command(&self, now: Timestamp, command: &Command, inquiry: &Inquiry<'_>) -> Result<Step, Halt> {
        match command {
            Command::Ehlo(name) => self.ehlo(now, Greeting::Ehlo, name, inquiry),
            Command::Helo(name) => self.ehlo(now, Greeting::Helo, name, inquiry),
            Command::Lhlo(name) => self.ehlo(now, Greeting::Lhlo, name, inquiry),
            Command::Auth { mechanism, initial_response } => {
                self.auth(mechanism, initial_response.as_deref(), inquiry)
            }
            Command::Mail(mail) => self.mail(now, mail, inquiry),
            Command::Rcpt(rcpt) => self.rcpt(rcpt, inquiry),
            Command::Data => self.data(inquiry),
            Command::Bdat { size, last } => self.bdat(*size, *last, inquiry),
            Command::Rset => Ok(Step::new(Change::DropTransaction, Action::Reply(replies::OK))),
            Command::Noop => Ok(Step::reply(replies::OK)),
            Command::Help => Ok(Step::reply(replies::HELP)),
            Command::Vrfy(name) => self.vrfy(name, inquiry),
            Command::Expn(name) => self.expn(name, inquiry),
            Command::StartTls => Ok(self.start_tls()),
            Command::Quit => Ok(Step::action(Action::Close(Some(replies::BYE)))),
            Command::NotImplemented(_) => Ok(Step::reply(replies::NOT_IMPLEMENTED)),
        }
    }

    fn start_tls(&self) -> Step {
        Step::reply_or(
            match (&self.tls, self.client.tls_available) {
                (Some(_), _) => Err(replies::TLS_ALREADY),
                (None, false) => Err(replies::TLS_UNAVAILABLE),
                (None, true) => Ok(()),
            },
            || Action::StartTls(replies::TLS_GO_AHEAD),
        )
    }

    /// What a refusal means for the session; most change nothing.
    fn refused(&self, event: &Event, reply: Reply) -> Step {
        match event {
            // Nobody is greeted who was refused before the greeting.
            Event::Connected => Step::action(Action::Close(Some(reply))),
            // RFC 3207 section 4.2: what was said in clear is forgotten, whatever follows.
            Event::Secured(_) => Step::action(Action::Close(Some(reply))),
            Event::Command(Ok(Command::Ehlo(_) | Command::Helo(_) | Command::Lhlo(_))) => {
                Step::new(Change::DropTransaction, Action::Reply(reply))
            }
            Event::Received(_) => self.message_refused(reply),
            _ => Step::reply(reply),
        }
    }

    fn unable(&self, event: &Event) -> Reply {
        match event {
            Event::Connected | Event::Secured(_) => replies::UNABLE_TO_GREET,
            _ => replies::UNABLE,
        }
    }

    fn goodbye(&self, reply: &Reply) -> Step {
        Step::action(Action::Close(Some(reply.prefix_hostname(&self.hostname))))
    }

    fn close(&mut self, reply: Option<Reply>) -> Action {
        self.state = State::Closed;
        Action::Close(reply)
    }

    fn transaction(&self) -> Option<&Transaction> {
        match &self.state {
            State::Open(transaction) => Some(transaction),
            _ => None,
        }
    }

    fn is_lmtp(&self) -> bool {
        self.client.listener.protocol == Protocol::Lmtp
    }
}
