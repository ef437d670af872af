//! What holds for every session, whatever the client says and whatever the world answers.

#![expect(clippy::unwrap_used, reason = "a test whose own values are wrong has failed")]

mod host;
mod policy;
mod promises;

use postern_core::policy::listener::Protocol;
use postern_core::policy::route::MixedRoutes;
use postern_core::session::event::{Action, Event};
use postern_core::smtp::reply::Reply;
use proptest::prelude::*;

use self::host::Host;
use self::policy::inquisitive;
use self::promises::{Known, Next, check, play};

fn said(line: &'static str) -> Next {
    Next::Line(line.into())
}

fn line() -> impl Strategy<Value = Next> {
    let often = prop::sample::select(vec![
        "EHLO client.example.net",
        "MAIL FROM:<bob@example.net>",
        "MAIL FROM:<ann@example.org> SIZE=100",
        "RCPT TO:<ann@example.org>",
        "RCPT TO:<ben@example.org>",
        "RCPT TO:<team@example.org>",
        "DATA",
        "BDAT 10",
        "BDAT 10 LAST",
    ]);
    let seldom = prop::sample::select(vec![
        "LHLO client.example.net",
        "HELO other.example.net",
        "EHLO",
        "AUTH PLAIN AGFubgBzZWNyZXQ=",
        "AUTH LOGIN",
        "AUTH XOAUTH2 dXNlcj1hbm4BYXV0aD1CZWFyZXIgYQEB",
        "AUTH GSSAPI",
        "MAIL FROM:<> SIZE=1 ENVID=a",
        "MAIL FROM:<bob@example.net> BODY=BINARYMIME",
        "MAIL FROM:",
        "RCPT TO:<ann+tag@example.org>",
        "RCPT TO:<carl@elsewhere.example>",
        "RCPT TO:<postmaster>",
        "RCPT TO:<ann@example.org> NOTIFY=NEVER",
        "RCPT TO:<>",
        "RSET",
        "NOOP",
        "HELP",
        "VRFY ann@example.org",
        "EXPN team@example.org",
        "STARTTLS",
        "ETRN example.org",
        "nonsense",
    ]);
    prop_oneof![
        12 => often.prop_map(said),
        8 => seldom.prop_map(said),
        1 => Just(Next::LineTooLong),
    ]
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![60 => line(), 1 => Just(Next::Idle), 1 => Just(Next::Shutdown), 1 => Just(said("QUIT"))]
}

/// What a client usually does, so that most sessions get to messages, with something else now and then.
fn fragment() -> impl Strategy<Value = Vec<Next>> {
    let message = prop::sample::select(vec![
        &["MAIL FROM:<bob@example.net>", "RCPT TO:<ann@example.org>", "DATA"][..],
        &["MAIL FROM:<bob@example.net>", "RCPT TO:<team@example.org>", "RCPT TO:<ben@example.org>", "DATA"],
        &["MAIL FROM:<>", "RCPT TO:<ann@example.org>", "BDAT 5", "BDAT 0 LAST"],
        &["MAIL FROM:<ann@example.org>", "RCPT TO:<carl@elsewhere.example>", "RCPT TO:<postmaster>", "DATA"],
    ]);
    let message = message.prop_map(|lines| lines.iter().map(|line| said(line)).collect::<Vec<_>>());
    prop_oneof![
        3 => message,
        1 => Just(vec![said("EHLO client.example.net")]),
        1 => Just(vec![said("LHLO client.example.net")]),
        4 => next().prop_map(|next| vec![next]),
    ]
}

fn sessions() -> impl Strategy<Value = (Vec<Next>, Vec<u8>, Protocol, MixedRoutes)> {
    (
        prop::collection::vec(fragment(), 1..25).prop_map(|fragments| fragments.concat()),
        // Some worlds have no troubles at all.
        prop_oneof![prop::collection::vec(any::<u8>(), 1..200), prop::collection::vec(0..HARMLESS, 1..200)],
        prop::sample::select(vec![Protocol::Smtp, Protocol::Smtp, Protocol::Lmtp]),
        prop::sample::select(vec![MixedRoutes::Fanout, MixedRoutes::Defer]),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_session_keeps_its_promises((events, chance, protocol, mixed) in sessions()) {
        let mut host = Host::new(inquisitive(mixed), protocol, chance);
        let mut known = Known::default();
        let mut closed = host.event(Event::Connected).closed;
        for next in &events {
            if closed {
                let action = host.session.on(jiff::Timestamp::UNIX_EPOCH, Event::LineTooLong);
                prop_assert!(matches!(action, Action::Close(None)), "a closed session says {action:?}");
                break;
            }
            let course = play(&mut host, next);
            check(next, &course, &known, &host, protocol);
            known.learn(next, &course);
            closed = course.closed;
            if !closed {
                prop_assert_eq!(known.open, host.session.in_transaction(), "after {:?}: {:?}", next, course.log);
            }
        }
    }

    #[test]
    fn the_same_events_and_answers_give_the_same_actions((events, chance, protocol, mixed) in sessions()) {
        let run = || {
            let mut host = Host::new(inquisitive(mixed), protocol, chance.clone());
            let mut log = host.event(Event::Connected).log;
            events.iter().for_each(|next| log.extend(play(&mut host, next).log));
            log
        };
        prop_assert_eq!(run(), run());
    }
}

/// Octets of chance below this bring no trouble.
const HARMLESS: u8 = 247;

#[test]
fn an_answer_to_no_question_closes() {
    let mut host = Host::new(inquisitive(MixedRoutes::Fanout), Protocol::Smtp, vec![0]);
    assert!(!host.event(Event::Connected).closed);
    let answer = postern_core::session::question::Answer::Admitted(true);
    assert!(host.event(Event::Answer(answer)).closed);
}

#[test]
fn a_refusal_ends_with_an_id_unless_that_is_turned_off() {
    for (on, wanted) in [
        (true, "Command not implemented [id 00000000000000000000000000000007]"),
        (false, "Command not implemented"),
    ] {
        let mut policy = inquisitive(MixedRoutes::Fanout);
        policy.settings.add_id_to_refusals = on;
        let mut host = Host::new(policy, Protocol::Smtp, vec![0]);
        host.event(Event::Connected);
        let told = host.line("ETRN example.org").replies;
        assert_eq!(told.first().map(Reply::text), Some(wanted));
        let greeted = host.line("EHLO client.example.net").replies;
        assert!(greeted.iter().all(|reply| !reply.text().contains("[id ")));
    }
}

#[test]
fn an_answer_of_the_wrong_kind_never_opens_the_gate() {
    let mut host = Host::new(inquisitive(MixedRoutes::Fanout), Protocol::Smtp, vec![0]);
    assert!(!host.event(Event::Connected).closed);
    assert_eq!(host.line("EHLO client.example.net").code(), 250);
    let mail = postern_core::smtp::command::Command::parse(
        b"MAIL FROM:<bob@example.net>",
        postern_core::smtp::command::Utf8Addresses::Refused,
    );
    let now = jiff::Timestamp::UNIX_EPOCH;
    let asked = host.session.on(now, Event::Command(mail.map_err(|refusal| refusal.reply)));
    assert!(matches!(asked, Action::Ask(_)));
    let answer = postern_core::session::question::Answer::Verified(None);
    let action = host.session.on(now, Event::Answer(answer));
    assert!(matches!(&action, Action::Reply(reply) if reply.code() == 451), "{action:?}");
    assert!(!host.session.in_transaction());
}

/// RFC 5321 section 4.1.1.1: whoever refuses an EHLO for its syntax stays in the state that he was in.
#[test]
fn a_greeting_that_is_no_command_leaves_the_transaction_open() {
    let mut host = Host::new(inquisitive(MixedRoutes::Fanout), Protocol::Smtp, vec![1]);
    host.event(Event::Connected);
    assert_eq!(host.line("EHLO client.example.net").code(), 250);
    assert_eq!(host.line("MAIL FROM:<bob@example.net>").code(), 250);
    assert_eq!(host.line("EHLO client.example.net again").code(), 501);
    assert!(host.session.in_transaction());
}
