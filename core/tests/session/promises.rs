//! What a session promises, whatever happens: checked after each event.

use std::borrow::Cow;

use postern_core::policy::listener::Protocol;
use postern_core::session::event::Event;
use postern_core::smtp::command::{Command, Utf8Addresses, Verb};
use postern_core::smtp::reply::Reply;

use super::host::{Course, Host};

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    Line(Cow<'static, str>),
    LineTooLong,
    Idle,
    Shutdown,
}

pub(crate) fn play(host: &mut Host, next: &Next) -> Course {
    match next {
        Next::Line(line) => host.line(line),
        Next::LineTooLong => host.event(Event::LineTooLong),
        Next::Idle => host.event(Event::Idle),
        Next::Shutdown => host.event(Event::Shutdown),
    }
}

/// What is said, if it is a command: one that has no syntax changes nothing, whatever it begins with.
fn verb(next: &Next) -> Option<Verb> {
    let Next::Line(line) = next else { return None };
    Command::parse(line.as_bytes(), Utf8Addresses::Allowed).ok().map(|command| command.verb())
}

fn is_greeting(next: &Next) -> bool {
    matches!(verb(next), Some(Verb::Ehlo | Verb::Helo | Verb::Lhlo))
}

/// What a client knows of its transaction by the replies that it got.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) open: bool,
    recipients: usize,
    discarded: bool,
}

impl Known {
    pub(crate) fn learn(&mut self, next: &Next, course: &Course) {
        let positive = course.replies.first().is_some_and(Reply::is_positive);
        match next {
            next if verb(next) == Some(Verb::Mail) && positive => {
                *self = Self { open: true, recipients: 0, discarded: course.discarded };
            }
            next if verb(next) == Some(Verb::Rcpt) && positive => {
                self.recipients += 1;
                self.discarded |= course.discarded;
            }
            next if verb(next) == Some(Verb::Rset) || course.received || course.secured => {
                *self = Self::default()
            }
            // A verb of the other protocol is no command here, and ends nothing.
            next if is_greeting(next) && (positive || ![500, 502].contains(&course.code())) => {
                *self = Self::default();
            }
            _ => {}
        }
    }
}

/// Everything that has to hold after each event.
pub(crate) fn check(next: &Next, course: &Course, before: &Known, host: &Host, protocol: Protocol) {
    let session = &host.session;
    let replies = &course.replies;
    // One reply for each command; at the end of an LMTP message one for each recipient.
    let each = protocol == Protocol::Lmtp && course.received && !course.closed;
    match (course.closed, each) {
        (true, _) => assert!(replies.len() <= 2),
        (false, true) => assert_eq!(replies.len(), before.recipients),
        // The handshake is the answer to STARTTLS.
        (false, false) => assert_eq!(replies.len(), usize::from(!course.secured), "{:?}", course.log),
    }
    if course.closed {
        return;
    }
    assert!(replies.iter().all(|reply| reply.code() != 421), "421 leaves the session open");
    if course.received || verb(next) == Some(Verb::Rset) || course.secured {
        assert!(!session.in_transaction());
    }
    if course.secured {
        assert_eq!(session.account(), None, "an account outlives STARTTLS");
    }
    if course.received && replies.iter().any(Reply::is_positive) {
        let delivered = course.handed_off.as_ref().is_some_and(|(_, overall)| overall.is_positive() || each);
        assert!(delivered || before.discarded || course.discarded, "250 for a message that nobody took");
    }
    if let Some((delivery, overall)) = &course.handed_off {
        assert!(!before.discarded || delivery.copies.len() < before.recipients * 2);
        if !each {
            let told = match overall.is_positive() {
                true => overall.clone(),
                false => overall.with_id(delivery.id),
            };
            assert_eq!(replies.first(), Some(&told));
        }
        for copy in &delivery.copies {
            let local = copy.recipient.address.key_domain() == "example.org";
            let postmaster = copy.recipient.address.key_local() == "postmaster";
            assert!(local || postmaster || session.account().is_some(), "an open relay");
        }
    }
}
