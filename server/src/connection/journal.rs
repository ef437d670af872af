//! What operators are told of a connection: spans while it runs, and a log line for it and for each transaction.
//!
//! The connection is a trace under its own id, with its stages before MAIL. A transaction is one under the queue id,
//! with a link to the connection. Whatever a command brings about happens at the [place](Journal::place) of its stage.

use std::fmt;
use std::io;
use std::sync::Arc;

use postern_core::session::id::TraceId;
use postern_core::session::{Client, Session};
use postern_core::smtp::command::{Command, Verb};
use postern_core::smtp::reply::Reply;
use postern_core::verdict::Stage;
use postern_trace::{Began, Kind, Place, Root, Span};

use super::record::{Ending, Record, Verdict, describe_reply};
use crate::filter::Asked;
use crate::gate::Gate;
use crate::handoff::Handed;

/// The journal of one connection.
pub(super) struct Journal {
    gate: Arc<Gate>,
    id: TraceId,
    began: Began,
    /// `smtp.connection`; recorded when its trace is, or that of a transaction in it.
    span: Span,
    /// What the command in hand does, if it belongs to a stage.
    step: Span,
    transaction: Option<Record>,
    /// Filters that were asked outside of transactions.
    asked: Vec<Asked>,
    transactions: u64,
    accepted: u64,
    /// The last refusal that no transaction tells of.
    refusal: Option<Reply>,
}

impl Journal {
    pub(super) fn begin(gate: &Arc<Gate>, client: &Client) -> Self {
        let began = Began::now();
        let span = gate.metrics.tracer().begin(root(client.id, "smtp.connection", began));
        let mut journal = Self {
            gate: Arc::clone(gate),
            id: client.id,
            began,
            step: Span::NONE,
            span,
            transaction: None,
            asked: Vec::new(),
            transactions: 0,
            accepted: 0,
            refusal: None,
        };
        journal.step = journal.span.child("smtp.connect", Kind::Internal);
        journal
    }

    /// Where things happen now.
    pub(super) fn place(&self) -> Place {
        let (id, whole) = match &self.transaction {
            Some(record) => (record.id, &record.span),
            None => (self.id, &self.span),
        };
        Place::below(if self.step.is_recorded() { &self.step } else { whole }, id.0)
    }

    /// A command was read, and is about to be decided.
    pub(super) fn command(&mut self, stage: Option<Stage>, command: &Command, session: &Session) {
        if let Command::Mail(mail) = command
            && self.transaction.is_none()
        {
            self.begin_transaction(session);
            if let Some(record) = &mut self.transaction {
                record.mail(&mail.from);
            }
        }
        if let (Command::Rcpt(rcpt), Some(record)) = (command, &mut self.transaction) {
            record.rcpt(&rcpt.to);
        }
        let Some(name) = name_of(stage, command.verb()) else { return };
        let whole = match (&self.transaction, stage) {
            (Some(record), Some(Stage::Mail | Stage::Rcpt | Stage::Data)) => &record.span,
            _ => &self.span,
        };
        self.step = whole.child(name, Kind::Internal);
    }

    fn begin_transaction(&mut self, session: &Session) {
        let (id, began) = (session.transaction_id(), Began::now());
        let tracer = self.gate.metrics.tracer();
        let mut span = tracer.begin(root(id, "smtp.transaction", began));
        if span.is_recorded() && !self.span.is_recorded() {
            // So that the link leads somewhere.
            self.span = tracer.begin_regardless(root(self.id, "smtp.connection", self.began));
        }
        span.link(&self.span);
        self.transactions += 1;
        self.transaction = Some(Record::begin(id, began, span));
    }

    /// Filters were asked.
    pub(super) fn asked(&mut self, asked: Vec<Asked>) {
        match &mut self.transaction {
            Some(record) => record.asked(asked),
            None => self.asked.extend(asked.into_iter().take(MOST_ASKED.saturating_sub(self.asked.len()))),
        }
    }

    /// A message was read to its end.
    pub(super) fn received(&mut self, octets: u64) {
        self.step.number("postern.message.octets", octets);
        if let Some(record) = &mut self.transaction {
            record.octets = Some(octets);
        }
    }

    /// Next hops have answered.
    pub(super) fn handed_on(&mut self, handed: Vec<Handed>) {
        if let Some(record) = &mut self.transaction {
            record.handed = Some(handed);
        }
    }

    /// The replies to a command go out; mostly it is one.
    pub(super) fn replied<'a>(
        &mut self,
        stage: Option<Stage>,
        replies: impl Iterator<Item = &'a Reply> + Clone,
    ) {
        let replies = replies.filter(|reply| !reply.is_intermediate());
        // A span has every attribute once, so it tells of the worst.
        if let Some(worst) = replies.clone().max_by_key(|reply| reply.code()) {
            describe_reply(&mut self.step, worst);
        }
        for reply in replies {
            match (stage, &mut self.transaction) {
                (Some(stage), Some(record)) => record.replied(stage, reply),
                // No command of the transaction was answered, though there may be one.
                _ if !reply.is_positive() => self.refusal = Some(reply.clone()),
                _ => {}
            }
        }
    }

    /// The next command comes, or none; whatever the last one was about is done.
    pub(super) fn command_over(&mut self, session: &Session) {
        self.step = Span::NONE;
        if !session.in_transaction()
            && let Some(record) = self.transaction.take()
        {
            self.end_transaction(record, session, Ending::Orderly);
        }
    }

    fn end_transaction(&mut self, record: Record, session: &Session, ending: Ending) {
        let verdict = record.verdict(ending);
        self.gate.metrics.transaction(verdict, record.octets);
        self.accepted += u64::from(verdict == Verdict::Accepted);
        record.end(verdict, self.id, session);
    }

    /// The connection is over; with an error when it broke.
    pub(super) fn end(mut self, session: &Session, (received, sent): (u64, u64), error: Option<io::Error>) {
        self.step = Span::NONE;
        if let Some(record) = self.transaction.take() {
            self.end_transaction(record, session, Ending::Lost);
        }
        let client = session.client();
        let span = &mut self.span;
        if span.is_recorded() {
            describe_client(span, session);
            span.number("postern.connection.transactions", self.transactions);
            span.number("postern.connection.octets_received", received);
            span.number("postern.connection.octets_sent", sent);
        }
        if let Some(refusal) = &self.refusal {
            describe_reply(span, refusal);
        }
        if let Some(error) = &error {
            span.text("error.type", error.kind());
            span.text("postern.reason", error);
        }
        tracing::info!(
            id = %self.id,
            client = %client.remote,
            listener = %client.listener.name,
            tls = session.tls().map(|tls| &*tls.version),
            cipher = session.tls().map(|tls| &*tls.cipher),
            ehlo = some(session.helo()),
            account = session.account(),
            policy = %session.policy().revision,
            transactions = self.transactions,
            accepted = self.accepted,
            octets_received = received,
            octets_sent = sent,
            refusal = self.refusal.as_ref().map(tracing::field::display),
            filters = some_list(&self.asked),
            error = error.as_ref().map(tracing::field::display),
            seconds = self.began.elapsed().as_secs_f64(),
            "session"
        );
    }
}

/// The client as traces know it. Where OpenTelemetry has a name for something, that is used.
pub(super) fn describe_client(span: &mut Span, session: &Session) {
    let client = session.client();
    span.text("client.address", client.remote.ip());
    span.number("client.port", client.remote.port().into());
    span.text("server.address", client.local_ip);
    span.number("server.port", client.local_port.into());
    span.text("network.protocol.name", client.listener.protocol.name());
    span.text("postern.listener", &client.listener.name);
    span.text("postern.policy.revision", &session.policy().revision);
    span.text_if("postern.ehlo", some(session.helo()));
    span.text_if("enduser.id", session.account());
    if let Some(tls) = session.tls() {
        span.text("tls.protocol.version", &tls.version);
        span.text("tls.cipher", &tls.cipher);
    }
}

fn root(id: TraceId, name: &'static str, began: Began) -> Root {
    Root { trace: id.0, name, kind: Kind::Server, began }
}

/// The span of a command; of some there is none.
const fn name_of(stage: Option<Stage>, verb: Verb) -> Option<&'static str> {
    Some(match (stage, verb) {
        (Some(Stage::Connect), _) => "smtp.connect",
        (Some(Stage::Ehlo), _) => "smtp.ehlo",
        (Some(Stage::Auth), _) => "smtp.auth",
        (Some(Stage::Mail), _) => "smtp.mail",
        (Some(Stage::Rcpt), _) => "smtp.rcpt",
        (Some(Stage::Data), _) => "smtp.data",
        (None, Verb::StartTls) => "smtp.starttls",
        (None, _) => return None,
    })
}

/// A text that is there.
pub(super) fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// What of a list a log line shows; nothing of an empty one.
pub(super) fn some_list<T: fmt::Display>(list: &[T]) -> Option<tracing::field::DisplayValue<List<'_, T>>> {
    (!list.is_empty()).then(|| tracing::field::display(List(list)))
}

/// A list on one line.
pub(super) struct List<'a, T>(pub(super) &'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

/// Questions to filters that a log line shows; a session before MAIL asks a handful.
pub(super) const MOST_ASKED: usize = 64;
