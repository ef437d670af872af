//! A host that answers every question by chance, and writes down what came of each event.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use postern_core::expr::{LookupFailure, Value};
use postern_core::message::header::Header;
use postern_core::policy::Policy;
use postern_core::policy::listener::Protocol;
use postern_core::session::check::{Check, CheckResult, Dmarc, DmarcPolicy, MessageResults};
use postern_core::session::event::{Action, ChunkEnd, Delivery, Event, HandedOff, Received, Tls};
use postern_core::session::id::TraceId;
use postern_core::session::network::Network;
use postern_core::session::question::{Answer, Authentication, DirectoryAnswer, Question};
use postern_core::session::{Client, Session};
use postern_core::smtp::address::Address;
use postern_core::smtp::command::{Command, Utf8Addresses};
use postern_core::smtp::reply::{EnhancedCode, Reply};
use postern_core::verdict::Verdict;

use super::HARMLESS;
use super::policy::{account, listener};

/// More questions than one decision can have.
const MOST_QUESTIONS: usize = 100;

pub(crate) struct Host {
    pub(crate) session: Session,
    chance: Chance,
}

/// What came of one event, with everything that followed from it without another line of the client.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// Replies that end something: all but 334 and 354.
    pub(crate) replies: Vec<Reply>,
    pub(crate) closed: bool,
    /// A message was read to its end.
    pub(crate) received: bool,
    /// A filter has discarded something.
    pub(crate) discarded: bool,
    /// TLS began.
    pub(crate) secured: bool,
    pub(crate) handed_off: Option<(Delivery, Reply)>,
    /// Every action, as text.
    pub(crate) log: Vec<String>,
}

impl Course {
    /// The one reply, where there is just one.
    pub(crate) fn code(&self) -> u16 {
        self.replies.first().map_or(0, Reply::code)
    }
}

/// Octets of chance, over and over; most of them are favourable, so that sessions get somewhere.
struct Chance {
    octets: Vec<u8>,
    at: usize,
}

impl Chance {
    fn next(&mut self) -> u8 {
        let octet = self.octets.get(self.at % self.octets.len()).copied().unwrap_or_default();
        self.at += 1;
        octet
    }

    fn is_bad(&mut self) -> bool {
        self.next() >= HARMLESS
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all.iter().cycle().nth(self.next().into()).unwrap().clone()
    }
}

impl Host {
    pub(crate) fn new(policy: Policy, protocol: Protocol, chance: Vec<u8>) -> Self {
        let client = Client {
            listener: listener(protocol),
            remote: SocketAddr::from(([198, 51, 100, 7], 40_000)),
            local_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            local_port: 2525,
            id: TraceId(7),
            tls_available: true,
            tls: None,
            host_name: "mx.example.org".into(),
            network: Network::default(),
        };
        Self { session: Session::new(Arc::new(policy), client), chance: Chance { octets: chance, at: 0 } }
    }

    pub(crate) fn line(&mut self, line: &str) -> Course {
        let utf8 = match self.session.smtputf8() {
            true => Utf8Addresses::Allowed,
            false => Utf8Addresses::Refused,
        };
        let command = Command::parse(line.as_bytes(), utf8).map_err(|refusal| refusal.reply);
        self.event(Event::Command(command))
    }

    pub(crate) fn event(&mut self, event: Event) -> Course {
        let mut course = Course::default();
        let mut next = Some(event);
        let mut questions = 0;
        while let Some(event) = next {
            let action = self.session.on(Timestamp::UNIX_EPOCH, event);
            questions += usize::from(matches!(action, Action::Ask(_)));
            assert!(questions < MOST_QUESTIONS, "a decision that never ends: {:?}", course.log);
            course.log.push(format!("{action:?}"));
            next = self.perform(action, &mut course);
        }
        course
    }

    fn perform(&mut self, action: Action, course: &mut Course) -> Option<Event> {
        match action {
            Action::Listen => {}
            Action::Reply(reply) => course.replies.push(reply),
            Action::ReplyEach(replies) => course.replies.extend(replies),
            Action::Ask(question) => return Some(Event::Answer(self.answer(&question, course))),
            Action::Wait(_, action) => {
                assert!(!matches!(*action, Action::Wait(..)), "a pause inside a pause");
                return self.perform(*action, course);
            }
            Action::ReplyAndClose(reply, last) => {
                course.replies.extend([reply, last]);
                course.closed = true;
            }
            Action::Challenge(_) => {
                let lines: [Option<&[u8]>; 5] =
                    [None, Some(b"*"), Some(b"!"), Some(b"AGFubgBzZWNyZXQ="), Some(b"YW5u")];
                return Some(Event::AuthLine(self.chance.of(&lines).map(Arc::from)));
            }
            Action::StartTls(_) => {
                course.secured = true;
                return Some(Event::Secured(tls()));
            }
            Action::ReceiveData { .. } => return Some(self.received(course)),
            Action::ReceiveChunk { last: true, .. } => return Some(self.received(course)),
            Action::ReceiveChunk { .. } => {
                let ends = [ChunkEnd::Kept, ChunkEnd::Kept, ChunkEnd::TooLarge, ChunkEnd::OutOfSpace];
                return Some(Event::ChunkReceived(self.chance.of(&ends)));
            }
            Action::Swallow { reply, .. } => course.replies.push(reply),
            Action::HandOff(delivery) => {
                let each: Vec<_> = delivery.copies.iter().map(|_| self.last_reply()).collect();
                let worst = each.iter().find(|reply| !reply.is_positive());
                let overall = worst.or(each.first()).cloned().unwrap();
                course.handed_off = Some((*delivery, overall.clone()));
                return Some(Event::HandedOff(HandedOff { overall, each }));
            }
            Action::Close(reply) => {
                course.replies.extend(reply);
                course.closed = true;
            }
        }
        None
    }

    fn received(&mut self, course: &mut Course) -> Event {
        course.received = true;
        let message: &[u8] = match self.chance.is_bad() {
            true => b"no message",
            false => b"From: bob@example.net\r\n\r\nhello\r\n",
        };
        Event::Received(Arc::new(Received {
            size: message.len() as u64,
            too_large: self.chance.is_bad(),
            out_of_space: self.chance.is_bad(),
            bare_line_ends: self.chance.is_bad(),
            header: Header::parse(message).map(Arc::new),
        }))
    }

    fn last_reply(&mut self) -> Reply {
        match self.chance.is_bad() {
            true => self.chance.of(&[BUSY, REFUSED]),
            false => Reply::new(250, EnhancedCode(2, 0, 0), "queued"),
        }
    }

    fn answer(&mut self, question: &Question, course: &mut Course) -> Answer {
        let bad = self.chance.is_bad();
        match question {
            Question::Lookup(_) if bad => Answer::Value(Err(LookupFailure::TimedOut)),
            Question::Lookup(lookup) => Answer::Value(Ok(match self.chance.next() % 4 {
                0 => Value::Integer(1),
                _ => lookup.nothing_found(),
            })),
            Question::Throttle { .. }
            | Question::Greylist { .. }
            | Question::Reserve(_)
            | Question::MayLogIn(_)
            | Question::LoginFailed(_) => Answer::Admitted(!bad),
            Question::Consult(_) if bad => {
                let verdicts = [
                    Verdict::Reject(REFUSED),
                    Verdict::Defer(BUSY),
                    Verdict::Discard,
                    Verdict::Discard,
                    Verdict::Defer(Reply::new(421, EnhancedCode(4, 3, 0), "gone")),
                    Verdict::Disconnect(None),
                    Verdict::Disconnect(Some(REFUSED)),
                ];
                let verdict = self.chance.of(&verdicts);
                course.discarded |= verdict == Verdict::Discard;
                Answer::Ruling(verdict.into())
            }
            Question::Consult(_) => Answer::Ruling(Verdict::Pass(Vec::new()).into()),
            Question::ReverseDns | Question::SpfEhlo { .. } | Question::SpfMail { .. } => {
                Answer::Check(Check { result: self.result(bad), detail: None })
            }
            Question::Message(wanted) => Answer::Message(Box::new(MessageResults {
                dkim: wanted.dkim.then(|| vec![self.result(bad).into()]),
                arc: wanted.arc.then(|| self.result(bad)),
                dmarc: wanted.dmarc.then(|| Dmarc {
                    result: self.result(bad),
                    policy: DmarcPolicy::Reject,
                    from: "example.net".into(),
                    reason: None,
                }),
            })),
            Question::Authenticate(_) => Answer::Authentication(match bad {
                true => self.chance.of(&[
                    Authentication::Wrong,
                    Authentication::Expired,
                    Authentication::Forbidden,
                    Authentication::Unavailable,
                ]),
                false => Authentication::Account(Arc::new(account())),
            }),
            Question::Directory(address) => Answer::Directory(match bad {
                true => self.chance.of(&[
                    DirectoryAnswer::Unknown,
                    DirectoryAnswer::Unavailable,
                    DirectoryAnswer::List(Vec::new()),
                    DirectoryAnswer::List(vec![Address::parse("ann@example.org").unwrap()]),
                ]),
                false => DirectoryAnswer::Mailbox(address.clone()),
            }),
            Question::Verify(_) => Answer::Verified(bad.then(|| self.chance.of(&[BUSY, REFUSED]))),
        }
    }

    fn result(&mut self, bad: bool) -> CheckResult {
        match bad {
            true => self.chance.of(&[CheckResult::Fail, CheckResult::None, CheckResult::TempError]),
            false => CheckResult::Pass,
        }
    }
}

fn tls() -> Tls {
    Tls {
        version: "TLSv1.3".into(),
        cipher: "TLS13_AES_128_GCM_SHA256".into(),
        cipher_bits: 128,
        client_subject: None,
        client_issuer: None,
    }
}

const BUSY: Reply = Reply::new(451, EnhancedCode(4, 3, 0), "busy");
const REFUSED: Reply = Reply::new(550, EnhancedCode(5, 7, 1), "refused");
