//! One simulated session: a client that goes its way, and the session of the server, without a network between.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use postern_core::handoff::{Outcome as HopOutcome, worst};
use postern_core::message::header::HeaderScanner;
use postern_core::policy::listener::{Listener, Protocol};
use postern_core::session::event::{Action, Delivery, Event, HandedOff, Received, Reception, Tls};
use postern_core::session::{Client, Session};
use postern_core::smtp::command::{Command, Utf8Addresses};
use postern_core::smtp::data::DataReader;
use postern_core::smtp::reply::Reply;

use super::handed;
use super::message::on_the_wire;
use super::outcome::{findings, outcome_of, recipients_of};
use super::recording::as_lines;
use super::report::{Course, Decider, HandedOn, Step};
use super::visit::{Visit, VisitError};
use super::world::{Outside, World, digest};
use crate::gate::Gate;
use crate::message::{Allotment, Whole};
use crate::snapshot::Snapshot;

/// Runs a session to its end.
///
/// # Errors
/// When the policy lacks what the session is about.
pub(super) async fn run(
    gate: &Arc<Gate>,
    snapshot: &Snapshot,
    visit: &Visit,
    outside: &Outside,
    now: Timestamp,
) -> Result<Course, VisitError> {
    visit.check_lines()?;
    let listener = visit.listener(&snapshot.policy)?;
    let account = visit.account(&snapshot.policy)?;
    let mut session = Session::new(Arc::clone(&snapshot.policy), client(gate, listener, visit));
    session.keep_record();
    let world = World::new(gate, visit, outside, account, now);
    let mut run = Run { session, world, steps: Vec::new(), handed_on: Vec::new() };
    run.visit(visit, listener).await;
    let recipients = recipients_of(&run.steps, visit);
    let outcome = outcome_of(&run.steps, recipients);
    run.world.panel.leave();
    Ok(Course { outside: outside.described(), steps: run.steps, outcome, handed_on: run.handed_on })
}

struct Run<'a> {
    session: Session,
    world: World<'a>,
    steps: Vec<Step>,
    handed_on: Vec<HandedOn>,
}

/// What the client is to do next.
enum Turn {
    Command(Option<Reply>),
    Respond,
    Handshake,
    Data(Reception),
    Over,
}

impl Turn {
    fn is_positive(&self) -> bool {
        matches!(self, Self::Command(Some(reply)) if reply.is_positive())
    }
}

impl Run<'_> {
    async fn visit(&mut self, visit: &Visit, listener: &Listener) -> Option<()> {
        let greeted = self.tell("connect", format!("connects from {}", visit.ip), Event::Connected).await;
        self.going_on(&greeted)?;
        let verb = if listener.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
        let hello = format!("{verb} {}", visit.ehlo);
        let mut extensions = self.must("ehlo", &hello).await?;
        if visit.tls && self.session.tls().is_none() {
            let begun = self.say("ehlo", "STARTTLS").await;
            if !matches!(begun, Turn::Handshake) {
                return self.leave().await;
            }
            let secured = self.tell("ehlo", "does the handshake".to_owned(), Event::Secured(tls())).await;
            if matches!(secured, Turn::Over) {
                return None;
            }
            extensions = self.must("ehlo", &hello).await?;
        }
        if let Some(account) = &visit.auth
            && !self.log_in(account, &extensions).await
        {
            return self.leave().await;
        }
        self.mail(visit).await?;
        self.leave().await
    }

    async fn mail(&mut self, visit: &Visit) -> Option<()> {
        let parameters = visit.parameters.trim();
        let gap = if parameters.is_empty() { "" } else { " " };
        self.must("mail", &format!("MAIL FROM:<{}>{gap}{parameters}", visit.from)).await?;
        let mut accepted = false;
        for recipient in &visit.to {
            let turn = self.say("rcpt", &format!("RCPT TO:<{recipient}>")).await;
            self.going_on(&turn)?;
            accepted |= turn.is_positive();
        }
        if !accepted {
            return Some(());
        }
        match self.say("data", "DATA").await {
            Turn::Data(limits) => {
                let received = self.receive(&visit.message, limits).await;
                let sent = format!("sends a message of {} octets", visit.message.len());
                let turn = self.tell("data", sent, Event::Received(Arc::new(received))).await;
                self.going_on(&turn)
            }
            turn => self.going_on(&turn),
        }
    }

    /// AUTH, by the best mechanism that is offered. The account is taken at its word.
    async fn log_in(&mut self, account: &str, extensions: &Reply) -> bool {
        let offered = |name: &str| {
            let auth = extensions.text().lines().find_map(|line| line.trim().strip_prefix("AUTH "));
            auth.is_some_and(|names| names.split_ascii_whitespace().any(|offer| offer == name))
        };
        let bearer = "auth=Bearer simulated\u{1}\u{1}";
        let (mechanism, secret) = match () {
            () if offered("PLAIN") => ("PLAIN", format!("\0{account}\0simulated")),
            () if offered("OAUTHBEARER") => ("OAUTHBEARER", format!("n,a={account},\u{1}{bearer}")),
            () if offered("XOAUTH2") => ("XOAUTH2", format!("user={account}\u{1}{bearer}")),
            () if offered("LOGIN") => return self.log_in_by_login(account).await,
            () => ("PLAIN", format!("\0{account}\0simulated")),
        };
        let line = format!("AUTH {mechanism} {}", STANDARD.encode(secret));
        let shown = format!("AUTH {mechanism} as {account}");
        self.command("auth", shown, &line).await.is_positive()
    }

    async fn log_in_by_login(&mut self, account: &str) -> bool {
        let mut turn = self.say("auth", "AUTH LOGIN").await;
        for (what, secret) in [("the account", account), ("the password", "simulated")] {
            if !matches!(turn, Turn::Respond) {
                return false;
            }
            let line: Arc<[u8]> = STANDARD.encode(secret).into_bytes().into();
            turn = self.tell("auth", format!("sends {what}"), Event::AuthLine(Some(line))).await;
        }
        turn.is_positive()
    }

    async fn leave(&mut self) -> Option<()> {
        self.say("quit", "QUIT").await;
        None
    }

    /// A command without which the client gives up.
    async fn must(&mut self, stage: &'static str, line: &str) -> Option<Reply> {
        match self.say(stage, line).await {
            Turn::Command(Some(reply)) if reply.is_positive() => Some(reply),
            Turn::Over => None,
            _ => {
                self.leave().await;
                None
            }
        }
    }

    fn going_on(&self, turn: &Turn) -> Option<()> {
        (!matches!(turn, Turn::Over)).then_some(())
    }

    async fn say(&mut self, stage: &'static str, line: &str) -> Turn {
        self.command(stage, line.to_owned(), line).await
    }

    async fn command(&mut self, stage: &'static str, shown: String, line: &str) -> Turn {
        let utf8 = match self.session.smtputf8() {
            true => Utf8Addresses::Allowed,
            false => Utf8Addresses::Refused,
        };
        let parsed = Command::parse(line.as_bytes(), utf8).map_err(|refusal| refusal.reply);
        self.tell(stage, shown, Event::Command(parsed)).await
    }

    /// Tells the session of an event, and does what it wants until it is the client's turn again.
    async fn tell(&mut self, stage: &'static str, client: String, event: Event) -> Turn {
        let mut step = Step {
            stage,
            client,
            findings: Vec::new(),
            waited: 0.0,
            replies: Vec::new(),
            because: None,
            closed: false,
        };
        let mut next = event;
        let turn = loop {
            let action = self.session.on(self.world.now, next);
            if !matches!(action, Action::Ask(_)) {
                let told = std::mem::take(&mut self.world.answers);
                step.findings.extend(findings(self.session.take_record(), told));
            }
            next = match self.perform(action, &mut step).await {
                Ok(event) => event,
                Err(turn) => break turn,
            };
        };
        step.because = self.session.because().map(Decider::from);
        step.closed = matches!(turn, Turn::Over);
        self.steps.push(step);
        turn
    }

    /// The next event, or else whose turn it is.
    async fn perform(&mut self, action: Action, step: &mut Step) -> Result<Event, Turn> {
        let mut action = action;
        while let Action::Wait(pause, then) = action {
            step.waited += pause.as_secs_f64();
            self.world.now += pause;
            action = *then;
        }
        let mut say = |reply: &Reply| step.replies.push(as_lines(reply));
        match action {
            Action::Ask(question) => {
                return Ok(Event::Answer(self.world.answer(&self.session, &question).await));
            }
            Action::HandOff(delivery) => return Ok(Event::HandedOff(self.hand_on(*delivery).await)),
            Action::Listen => return Err(Turn::Command(None)),
            Action::Reply(reply) => {
                say(&reply);
                return Err(Turn::Command(Some(reply)));
            }
            Action::ReplyEach(replies) => {
                replies.iter().for_each(say);
                return Err(Turn::Command(replies.into_iter().next()));
            }
            Action::Challenge(challenge) => {
                say(&challenge);
                return Err(Turn::Respond);
            }
            Action::StartTls(reply) => {
                say(&reply);
                return Err(Turn::Handshake);
            }
            Action::ReceiveData { go_ahead, limits } => {
                say(&go_ahead);
                return Err(Turn::Data(limits));
            }
            // This client never sends chunks.
            Action::Swallow { reply, .. } => say(&reply),
            Action::Close(reply) => reply.iter().for_each(say),
            Action::ReplyAndClose(reply, last) => {
                say(&reply);
                say(&last);
            }
            Action::ReceiveChunk { .. } | Action::Wait(..) => {}
        }
        Err(Turn::Over)
    }

    /// Reads the message as the server would.
    async fn receive(&mut self, message: &[u8], limits: Reception) -> Received {
        let (mut reader, mut octets) = (DataReader::new(), Vec::with_capacity(message.len()));
        reader.push(&on_the_wire(message), &mut octets);
        let size = octets.len() as u64;
        let too_large = limits.max_size > 0 && size > limits.max_size;
        let mut scanner = HeaderScanner::new();
        scanner.push(&octets);
        let header = scanner.finish().map(Arc::new);
        let mut out_of_space = false;
        if !too_large {
            let mut writer = self.world.gate.messages.writer(Allotment::default());
            writer.write(&octets).await;
            match (writer.finish().await, &header) {
                (Ok(message), Ok(header)) => {
                    self.world.kept = Some(Whole { message, header: Arc::clone(header) });
                }
                (Err(_), Ok(_)) => out_of_space = true,
                (_, Err(_)) => {}
            }
        }
        self.world.digest = digest(&octets);
        Received { size, too_large, out_of_space, bare_line_ends: reader.saw_bare_line_end(), header }
    }

    /// Every next hop takes the message, which none of them gets.
    async fn hand_on(&mut self, delivery: Delivery) -> HandedOff {
        let counting = delivery.dispatches.iter().filter(|dispatch| dispatch.counts());
        let copies: Vec<_> =
            delivery.copies.iter().chain(counting.map(|dispatch| &dispatch.copy)).cloned().collect();
        let shown = match self.world.kept.take() {
            Some(whole) => handed::of(delivery, &whole).await,
            None => None,
        };
        let outcome = if shown.is_some() { HopOutcome::Delivered } else { HopOutcome::LOST };
        self.handed_on.extend(shown.unwrap_or_default());
        let outcomes = vec![outcome; copies.len()];
        let overall = worst(copies.iter().map(|copy| &copy.recipient.address).zip(&outcomes));
        HandedOff { overall, each: outcomes.iter().map(HopOutcome::reply).collect() }
    }
}

fn client(gate: &Gate, listener: &Arc<Listener>, visit: &Visit) -> Client {
    let bound = listener.bind.first();
    let has_tls = listener.tls.as_ref();
    Client {
        listener: Arc::clone(listener),
        remote: (visit.ip, CLIENT_PORT).into(),
        local_ip: bound.map_or(visit.ip, |address| address.ip()),
        local_port: listener.public_port.or(bound.map(|address| address.port())).unwrap_or_default(),
        id: postern_core::session::id::TraceId(0),
        tls_available: has_tls.is_some(),
        tls: has_tls.filter(|settings| settings.implicit).map(|_| tls()),
        host_name: Arc::clone(&gate.hostname),
        network: gate.snapshot().geo.network(visit.ip),
    }
}

/// TLS as most clients do it.
fn tls() -> Tls {
    Tls {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        cipher_bits: 256,
        client_subject: None,
        client_issuer: None,
    }
}

/// One of the ports that clients are given.
const CLIENT_PORT: u16 = 40_000;
