//! The test bench before anything is tested on it: every peer takes mail from a client that is not Postern, and the next hop
//! misbehaves as it is told. When one of these fails, no other failure says anything about the gate.

use std::time::Duration;

use anyhow::{Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::{Client, deliver, letter};
use postern_tests::hop::{Fault, Hop, Phase, Protocol, Times};
use postern_tests::peers::dovecot::Dovecot;
use postern_tests::peers::postfix::Postfix;
use postern_tests::peers::sink::{Sink, smtp_source};
use postern_tests::peers::swaks::swaks;
use postern_tests::require;
use postern_tests::wait::{self, PATIENCE};

#[test]
fn the_generator_reaches_the_sink() -> Result<()> {
    if !require::peers(&["smtp-source", "smtp-sink"])? {
        return Ok(());
    }
    let sink = Sink::start(&["-d", "message."])?;
    smtp_source(
        sink.address(),
        &["-s", "4", "-m", "20", "-l", "4096", "-f", "a@example.org", "-t", "b@example.test"],
    )?;
    assert_eq!(sink.files()?.len(), 20);
    Ok(())
}

#[test]
fn postfix_delivers_into_its_mailboxes_and_refuses_strangers() -> Result<()> {
    if !require::peers(&["postfix", "swaks"])? {
        return Ok(());
    }
    let postfix = Postfix::start(&["anna", "ben"])?;
    let reply = deliver(postfix.address(), "s@example.org", &["anna@example.test"], &letter("to-anna", 500))?;
    assert!(reply.is("250 2.0.0"), "{reply}");
    let sent = swaks(postfix.address(), &["--to", "ben@example.test", "--from", "s@example.org"])?;
    assert_eq!(sent.status, 0, "{}", sent.transcript);
    let reply = deliver(postfix.address(), "s@example.org", &["nobody@example.test"], &letter("x", 500))?;
    assert!(reply.is("550 5.1.1"), "{reply}");
    wait::until("two deliveries", PATIENCE, || {
        let arrived = postfix.mailbox("anna").count("to-anna")? + postfix.mailbox("ben").messages()?.len();
        Ok((arrived == 2).then_some(()))
    })
}

#[test]
fn postfix_speaks_tls_after_starttls_and_from_the_first_octet() -> Result<()> {
    if !require::peers(&["postfix", "swaks", "openssl"])? {
        return Ok(());
    }
    let postfix = Postfix::with_tls(&["anna"], &Authority::new()?.issue(&["postfix.example.test"])?)?;
    let to = ["--to", "anna@example.test", "--from", "s@example.org"];
    for (tls, address) in [("--tls", postfix.address()), ("--tls-on-connect", postfix.implicit_address())] {
        let sent = swaks(address, &[&to[..], &[tls]].concat())?;
        assert_eq!(sent.status, 0, "{tls}: {}", sent.transcript);
    }
    wait::until("two deliveries", PATIENCE, || {
        Ok((postfix.mailbox("anna").count("using TLSv1.3 with cipher")? == 2).then_some(()))
    })
}

#[test]
fn dovecot_answers_for_each_recipient_and_a_quota_can_be_raised() -> Result<()> {
    if !require::peers(&["dovecot"])? {
        return Ok(());
    }
    let mut dovecot = Dovecot::start(&[("anna", 1024), ("ben", 1)])?;
    let to = ["anna@example.test", "ben@example.test"];
    let mut client = Client::connect(dovecot.address())?;
    client.expect("LHLO client.example.org", "250")?;
    client.envelope("s@example.org", &to)?;
    let first = client.message(&letter("one", 8000))?;
    let second = client.reply()?;
    ensure!(first.is("250 2.0.0") && second.is("452 4.2.2"), "{}", client.transcript());

    dovecot.set_quota("ben", 1024)?;
    client.envelope("s@example.org", &["ben@example.test"])?;
    let third = client.message(&letter("two", 8000))?;
    ensure!(third.is("250 2.0.0"), "{}", client.transcript());
    assert_eq!(dovecot.mailbox("anna").count("Subject: one")?, 1);
    assert_eq!(dovecot.mailbox("ben").messages()?.len(), 1);
    Ok(())
}

#[test]
fn the_next_hop_keeps_what_it_acknowledged_and_undoes_the_dots() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let message = [letter("dots", 100), b".a dot\r\n..two\r\n".to_vec()].concat();
    let reply = deliver(hop.address(), "s@example.org", &["r@example.test"], &message)?;
    assert!(reply.is("250 2.0.0"), "{reply}");
    let stored = hop.stored();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].message, message);
    assert_eq!(stored[0].recipients, ["r@example.test"]);
    Ok(())
}

#[test]
fn the_next_hop_takes_chunks() -> Result<()> {
    let hop = Hop::with_extensions(Protocol::Smtp, &["CHUNKING"])?;
    let mut client = Client::connect(hop.address())?;
    client.play(
        "C: EHLO x
         S: 250 CHUNKING
         C: MAIL FROM:<> BODY=8BITMIME
         S: 250 2.1.0
         C: RCPT TO:<r@example.test>
         S: 250 2.1.5",
    )?;
    client.send(b"BDAT 6\r\nA: b\r\n")?;
    assert!(client.reply()?.is("250"));
    client.send(b"BDAT 5 LAST\r\n\r\n.\r\n")?;
    assert!(client.reply()?.is("250"));
    assert_eq!(hop.stored()[0].message, b"A: b\r\n\r\n.\r\n");
    Ok(())
}

#[test]
fn the_next_hop_fails_where_it_is_told() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let send = || deliver(hop.address(), "s@example.org", &["r@example.test"], &letter("m", 2000));
    let reset = [Phase::Greeting, Phase::Hello, Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot];
    for (fault, phases) in
        [(Fault::Close, reset.as_slice()), (Fault::Reset, &reset), (Fault::Garbage, &reset)]
    {
        for phase in phases {
            hop.arm(*phase, fault.clone(), Times::Once);
            ensure!(send().is_err(), "{fault:?} at {phase:?} went unnoticed");
        }
    }
    assert!(hop.stored().is_empty());
    hop.arm(Phase::Stored, Fault::Close, Times::Once);
    ensure!(send().is_err(), "the lost answer was not lost");
    assert_eq!(hop.copies("Subject: m", "r@example.test"), 1);
    hop.arm(Phase::Dot, Fault::Answer("552 5.2.2 full".into()), Times::Once);
    assert!(send()?.is("552 5.2.2"));
    hop.arm(Phase::Hello, Fault::Slow(Duration::from_millis(1)), Times::Once);
    assert!(send()?.is("250 2.0.0"));
    Ok(())
}

#[test]
fn a_held_next_hop_goes_on_when_released() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    hop.arm(Phase::Dot, Fault::Hold, Times::Once);
    let before = hop.reached(Phase::Dot);
    std::thread::scope(|scope| -> Result<()> {
        let sender =
            scope.spawn(|| deliver(hop.address(), "s@example.org", &["r@example.test"], &letter("m", 100)));
        hop.wait_for(Phase::Dot, before, PATIENCE)?;
        ensure!(hop.stored().is_empty(), "stored while held");
        hop.release();
        let reply = sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        ensure!(reply.is("250"), "{reply}");
        Ok(())
    })
}

#[test]
fn certificates_verify_against_their_authority() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let authority = Authority::new()?;
    let first = authority.issue(&["mx.example.test", "mail.example.test"])?;
    let second = authority.issue(&["mx.example.test"])?;
    assert!(first.certificate.contains("BEGIN CERTIFICATE") && first.key.contains("PRIVATE KEY"));
    assert_ne!(first.key, second.key);
    Ok(())
}
