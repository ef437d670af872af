//! A milter that is down, slow, or wrong: its failure rule applies, nothing of what it asked for is done, and the message is
//! otherwise whole.

use std::time::Duration;

use anyhow::{Result, ensure};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::milter::{Reaction, Told, agree_on};
use postern_tests::port::Port;

use crate::bench::{ALL_STAGES, Bench, is_intact, milter_object, note, site};

/// Limits so short that a milter that hangs is given up within the test.
const SHORT: &str = "timeoutConnect: 500ms, timeoutCommand: 500ms, timeoutData: 500ms";

/// Both failure rules: the message waits; or the milter is left out, and the message arrives as it was.
fn fails(
    fields: &str,
    reason: &str,
    script: impl Fn(&Told) -> Option<Reaction> + Clone + Send + Sync + 'static,
) -> Result<()> {
    let mut bench = Bench::start(fields, script.clone())?;
    let reply = bench.send(&note())?;
    ensure!(reply.is("451 4.3.5"), "{reason}: {reply}");
    ensure!(bench.hop.stored().is_empty(), "{reason}: delivered");
    one_line_says(&mut bench, reason)?;

    let mut bench = Bench::start(&format!("tempFailOnError: false, {fields}"), script)?;
    let reply = bench.send(&note())?;
    ensure!(reply.is("250 2.0.0"), "{reason}: {reply}");
    is_intact(&bench.stored()?, &note())?;
    one_line_says(&mut bench, reason)
}

fn one_line_says(bench: &mut Bench, reason: &str) -> Result<()> {
    let lines = bench.log_lines("a filter failed")?;
    ensure!(lines.len() == 1, "{} lines about {reason}: {lines:?}", lines.len());
    ensure!(
        lines.iter().all(|line| line.contains(reason) && line.contains("scripted")),
        "no {reason} in {lines:?}"
    );
    Ok(())
}

/// What the milter says at the end of a message; an edit comes first, of which nothing may be left.
fn at_the_end(reaction: Reaction) -> impl Fn(&Told) -> Option<Reaction> + Clone + Send + Sync + 'static {
    move |told| (told.code == 'E').then(|| reaction.clone())
}

fn edit() -> Reaction {
    Reaction::say(&["hX-Half\0done\0", "+bcc@example.test\0", "m\0\0\0\u{1}Subject\0changed\0"])
}

#[test]
fn a_milter_that_is_down() -> Result<()> {
    let (nobody, hop) = (Port::reserve()?, Hop::start(Protocol::Smtp)?);
    let place = format!("hostname: 127.0.0.1, port: {}", nobody.number());
    for (place, rule, answer) in [
        (place.as_str(), "tempFailOnError: true", "451 4.3.5"),
        (place.as_str(), "tempFailOnError: false", "250 2.0.0"),
        ("socketPath: /nowhere/milter.sock", "tempFailOnError: true", "451 4.3.5"),
        ("hostname: nowhere.invalid", "timeoutConnect: 2s", "451 4.3.5"),
    ] {
        let mut site = site(&hop, &milter_object(place, rule), "")?;
        let reply =
            postern_tests::client::deliver(site.address(), "s@example.org", &["user@example.test"], &note())?;
        ensure!(reply.is(answer), "{place}, {rule}: {reply}");
        let log = site.log()?;
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("a filter failed")).collect();
        ensure!(lines.len() == 1 && lines.concat().contains("cannot connect to"), "{lines:?}");
    }
    is_intact(&hop.stored().concat_one()?, &note())
}

trait One<T> {
    fn concat_one(self) -> Result<T>;
}

impl<T> One<T> for Vec<T> {
    fn concat_one(mut self) -> Result<T> {
        ensure!(self.len() == 1, "{} of them", self.len());
        self.pop().ok_or_else(|| anyhow::anyhow!("none"))
    }
}

#[test]
fn a_milter_that_is_slow() -> Result<()> {
    for code in ['O', 'C', 'M', 'L', 'B', 'E'] {
        let hangs = move |told: &Told| (told.code == code).then(|| Reaction::silence().then_hang());
        fails(SHORT, "no answer to", hangs)?;
    }
    Ok(())
}

#[test]
fn a_milter_that_closes_half_way_through_a_body_replacement() -> Result<()> {
    fails("", "connection lost", at_the_end(edit().frame(b"bhalf of the new body").then_close()))?;
    let torn = edit().raw(b"\0\0\x10\0bhalf of a frame");
    fails("", "connection lost", at_the_end(torn.then_close()))?;
    fails(SHORT, "no answer to", at_the_end(edit().frame(b"bhalf of the new body").then_hang()))
}

#[test]
fn a_milter_that_closes_anywhere() -> Result<()> {
    for code in ['O', 'C', 'M', 'T', 'L', 'B'] {
        fails("", "connection lost", move |told: &Told| {
            (told.code == code).then(|| Reaction::silence().then_close())
        })?;
    }
    Ok(())
}

#[test]
fn a_milter_that_sends_wrong_frames() -> Result<()> {
    fails("", "`z` is no answer", at_the_end(edit().frame(b"z")))?;
    fails("", "no octets", at_the_end(edit().raw(b"\0\0\0\0")))?;
    fails("", "cannot be read", at_the_end(edit().frame(b"hX-Cut")))?;
    fails("", "cannot be read", at_the_end(edit().frame(b"m\0\0").frame(b"c")))?;
    fails("", "an address that is none", at_the_end(edit().frame(b"+nobody\0").frame(b"c")))?;
    fails("", "`h` is no answer to", |told| (told.code == 'M').then(|| Reaction::say(&["hX\0early\0"])))?;
    fails("", "`s` is no answer to", |told| (told.code == 'M').then(|| Reaction::say(&["s"])))?;
    fails("", "in place of an answer to the offer", |told| {
        (told.code == 'O').then(|| Reaction::say(&["c"]))
    })?;
    fails("", "cannot be read", |told| (told.code == 'O').then(|| Reaction::say(&["O\0\0\0\u{6}"])))?;
    fails("", "protocol version 7", |told| (told.code == 'O').then(|| agree_on(7, 0, b"")))?;
    fails("", "answer of more than", |told| {
        (told.code == 'O').then(|| Reaction::silence().raw(b"220 mail.example.org ESMTP\r\n"))
    })
}

#[test]
fn a_milter_that_sends_huge_frames() -> Result<()> {
    fails("", "answer of more than 52428800", at_the_end(edit().raw(b"\xff\xff\xff\xffb")))?;
    let frame = [&b"b"[..], &[b'x'; 1024]].concat();
    fails("maxResponseSize: 1024", "answer of more than 1024", at_the_end(edit().frame(&frame).frame(b"c")))?;
    let half = [&b"b"[..], &[b'x'; 600]].concat();
    let both = edit().frame(&half).frame(&half).frame(b"c");
    fails("maxResponseSize: 1024", "answer of more than 1024", at_the_end(both))
}

#[test]
fn a_milter_that_sends_line_ends_in_header_values() -> Result<()> {
    for field in [
        "hX-Evil\0a\r\nBcc: b@example.org\0",
        "hX-Evil\0a\nBcc: b@example.org\0",
        "hX-Evil\0a\rb\0",
        "i\0\0\0\0X-Evil\0a\r\n\r\nnew body\0",
        "m\0\0\0\u{1}Subject\0a\nb\0",
        "hX-Evil\r\nBcc\0a\0",
    ] {
        fails("", "would break the header", at_the_end(edit().frame(field.as_bytes()).frame(b"c")))?;
    }
    Ok(())
}

#[test]
fn a_change_that_was_not_offered() -> Result<()> {
    fails("flagsAction: 17", "was not offered", at_the_end(edit().frame(b"c")))
}

#[test]
fn a_text_cannot_inject_smtp_lines() -> Result<()> {
    let bench =
        Bench::start("", at_the_end(Reaction::say(&["y550 5.7.1 no\r\n250 2.0.0 queued\r\n354 go on\0"])))?;
    let mut client = bench.client()?;
    client.open("s@example.org", &["user@example.test"])?;
    let reply = client.message(&note())?;
    let told = reply.to_string();
    assert!(
        told.starts_with("550 5.7.1 no 250 2.0.0 queued 354 go on [id ") && !told.contains('\n'),
        "{told}"
    );
    client.expect("NOOP", "250")?;
    client.quit();
    ensure!(bench.hop.stored().is_empty());
    Ok(())
}

#[test]
fn a_text_that_is_no_refusal_is_a_failure() -> Result<()> {
    fails("", "a reply that is no refusal", at_the_end(Reaction::say(&["y250 2.0.0 fine\0"])))?;
    fails("", "cannot be read", at_the_end(Reaction::say(&["yno code\0"])))
}

#[test]
fn the_failure_rule_holds_at_every_stage_and_the_next_one_connects_anew() -> Result<()> {
    for (code, refused) in [('H', "EHLO"), ('M', "MAIL"), ('R', "RCPT")] {
        let bench = Bench::start(ALL_STAGES, move |told| {
            (told.code == code && told.connection == 1).then(|| Reaction::silence().then_close())
        })?;
        let mut client = bench.client()?;
        let mut answers = Vec::new();
        for command in [
            "EHLO client.example.org",
            "EHLO client.example.org",
            "MAIL FROM:<s@example.org>",
            "MAIL FROM:<s@example.org>",
            "RCPT TO:<user@example.test>",
            "RCPT TO:<user@example.test>",
        ] {
            let reply = client.command(command)?;
            if reply.is("451 4.3.5") {
                answers.push(command.get(..4).unwrap_or_default());
            } else {
                ensure!(reply.is("250") || reply.is("503"), "{command}: {reply}");
            }
        }
        assert_eq!(answers, [refused], "after {code}");
        client.expect("DATA", "354")?;
        ensure!(client.message(&note())?.is("250 2.0.0"));
        client.quit();
        assert_eq!(bench.milter.connections(), 2, "after {code}");
    }
    Ok(())
}

#[test]
fn a_milter_that_fails_at_connect_refuses_the_session() -> Result<()> {
    let bench = Bench::start("stages: [connect]", |_| Some(Reaction::silence().then_close()))?;
    let mut client = postern_tests::client::Client::connect_silent(bench.site.address())?;
    let reply = client.reply()?;
    ensure!(reply.code / 100 == 4, "{reply}");
    ensure!(client.is_closed(Duration::from_secs(5))?);
    Ok(())
}

#[test]
fn a_milter_that_keeps_failing_is_left_alone_for_a_while() -> Result<()> {
    let fields = "breaker: {failures: 2, cooldown: 1h}";
    let bench = Bench::start(fields, |_| Some(Reaction::silence().then_close()))?;
    for _ in 0..4 {
        ensure!(bench.send(&note())?.is("451 4.3.5"));
    }
    assert_eq!(bench.milter.connections(), 2);
    Ok(())
}

#[test]
fn a_message_that_is_too_large_for_the_milter() -> Result<()> {
    let mut bench = Bench::start("maxMessageSize: 1000", |_| None)?;
    ensure!(bench.send(&postern_tests::client::letter("large", 5000))?.is("451 4.3.5"));
    one_line_says(&mut bench, "too large for it")?;
    assert_eq!(bench.milter.connections(), 0);
    Ok(())
}
