//! Each milter does its work behind the gate as it does behind the servers that it was made for.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::{deliver, letter};
use postern_tests::hop::{Hop, Protocol, Stored};
use postern_tests::manifests::{no_session_limits, object, relay};
use postern_tests::peers::clamav::{ClamAv, EICAR};
use postern_tests::peers::opendkim::{Form, OpenDkim};
use postern_tests::peers::recorder::Recorder;
use postern_tests::peers::rspamd::Rspamd;
use postern_tests::peers::spamassassin::{GTUBE, SpamAssassin};
use postern_tests::peers::tls_proxy::TlsProxy;
use postern_tests::require;
use postern_tests::site::Site;

/// All stages that a milter can be asked at.
const ALL_STAGES: &str = "stages: [connect, ehlo, mail, rcpt, data]";

/// An MtaMilter at an address.
fn milter(name: &str, address: SocketAddr, fields: &str) -> String {
    let (host, port) = (address.ip(), address.port());
    object("MtaMilter", name, &format!("{{hostname: \"{host}\", port: {port}, {fields}}}"))
}

/// A gate with these objects in front of a hop.
fn gate(hop: &Hop, objects: &str) -> Result<Site> {
    Site::start(&format!("{}{objects}{}", relay("hop", hop.address(), ""), no_session_limits()))
}

fn only(hop: &Hop) -> Result<Stored> {
    let mut stored = hop.stored();
    ensure!(stored.len() == 1, "the next hop has {} messages", stored.len());
    stored.pop().context("no message")
}

fn text(message: &str) -> Vec<u8> {
    let mut text = letter("body", 0);
    text.extend_from_slice(message.as_bytes());
    text
}

#[test]
fn opendkim_signs_and_another_verifies() -> Result<()> {
    if !require::peers(&["opendkim", "opendkim-genkey"])? {
        return Ok(());
    }
    for form in [Form::Simple, Form::Relaxed] {
        let signer = OpenDkim::start("example.org", "gate", form)?;
        let verifier = OpenDkim::verifier(&[("example.org", &signer)])?;
        let hop = Hop::start(Protocol::Smtp)?;
        let both = milter("signer", signer.address(), "order: 1")
            + &milter("verifier", verifier.address(), "order: 2");
        let site = gate(&hop, &both)?;
        let folded = b"From: <s@example.org>\r\nTo: <user@example.test>\r\nSubject:  folded\r\n\tover  two\r\n  lines\r\n\
                       Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <folded@example.org>\r\n\r\n.dot\r\n\r\nend \r\n\r\n\r\n";
        let reply = deliver(site.address(), "s@example.org", &["user@example.test"], folded)?;
        ensure!(reply.is("250 2.0.0"), "{reply}");
        let stored = only(&hop)?;
        ensure!(
            stored.contains("DKIM-Signature: v=1; a=rsa-sha256;"),
            "{}",
            String::from_utf8_lossy(&stored.message)
        );
        ensure!(
            stored.contains("verifier.example.test") && stored.contains("dkim=pass"),
            "{form:?}: {}",
            String::from_utf8_lossy(&stored.message)
        );
        ensure!(stored.message.ends_with(folded), "the message itself has changed");
    }
    Ok(())
}

#[test]
fn opendkim_sees_what_was_changed_on_the_way() -> Result<()> {
    if !require::peers(&["opendkim", "opendkim-genkey"])? {
        return Ok(());
    }
    let signer = OpenDkim::start("example.org", "gate", Form::Relaxed)?;
    let verifier = OpenDkim::verifier(&[("example.org", &signer)])?;
    let signed = signer.sign(&letter("signed", 2000))?;
    for (message, wanted) in [
        (signed.clone(), "dkim=pass"),
        (String::from_utf8(signed)?.replace("quick", "slow").into_bytes(), "dkim=fail"),
    ] {
        let hop = Hop::start(Protocol::Smtp)?;
        let site = gate(&hop, &milter("verifier", verifier.address(), ALL_STAGES))?;
        let reply = deliver(site.address(), "s@example.org", &["user@example.test"], &message)?;
        ensure!(reply.is("250 2.0.0"), "{reply}");
        let stored = only(&hop)?;
        ensure!(stored.contains(wanted), "no {wanted} in {}", String::from_utf8_lossy(&stored.message));
    }
    Ok(())
}

#[test]
fn rspamd_marks_and_refuses() -> Result<()> {
    if !require::peers(&["rspamd"])? {
        return Ok(());
    }
    let rspamd = Rspamd::milter()?;
    let hop = Hop::start(Protocol::Smtp)?;
    let site = gate(&hop, &milter("rspamd", rspamd.address(), ALL_STAGES))?;
    let send = |message: &[u8]| deliver(site.address(), "s@example.org", &["user@example.test"], message);
    let reply = send(&letter("harmless", 1000))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let stored = only(&hop)?;
    ensure!(stored.contains("X-Spamd-Bar: "), "{}", String::from_utf8_lossy(&stored.message));
    let reply = send(&text(&format!("{GTUBE}\r\n")))?;
    ensure!(reply.is("554 5.7.1"), "{reply}");
    assert_eq!(hop.stored().len(), 1);
    Ok(())
}

#[test]
fn clamav_refuses_eicar() -> Result<()> {
    if !require::peers(&["clamd", "clamav-milter"])? || !root()? {
        return Ok(());
    }
    let clamav = ClamAv::start()?;
    let hop = Hop::start(Protocol::Smtp)?;
    let site = gate(&hop, &milter("clamav", clamav.address(), ""))?;
    let send = |message: &[u8]| deliver(site.address(), "s@example.org", &["user@example.test"], message);
    let reply = send(&letter("harmless", 100_000))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    ensure!(only(&hop)?.contains("X-Virus-Status: Clean\r\n"));
    let attached = format!("a file:\r\n\r\n{EICAR}\r\n");
    let reply = send(&text(&attached))?;
    ensure!(reply.code == 550 && reply.to_string().contains("infected with Test.Eicar"), "{reply}");
    assert_eq!(hop.stored().len(), 1);
    Ok(())
}

#[test]
fn spamassassin_marks_and_refuses_over_a_unix_socket() -> Result<()> {
    if !require::peers(&["spamd", "spamc", "spamass-milter"])? || !root()? {
        return Ok(());
    }
    let spamassassin = SpamAssassin::start()?;
    let hop = Hop::start(Protocol::Smtp)?;
    let fields = format!("{{socketPath: \"{}\", {ALL_STAGES}}}", spamassassin.socket());
    let site = gate(&hop, &object("MtaMilter", "spamassassin", &fields))?;
    let send = |message: &[u8]| deliver(site.address(), "s@example.org", &["user@example.test"], message);
    let reply = send(&letter("harmless", 1000))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let stored = only(&hop)?;
    ensure!(stored.contains("X-Spam-Status: No"), "{}", String::from_utf8_lossy(&stored.message));
    let reply = send(&text(&format!("{GTUBE}\r\n")))?;
    ensure!(reply.is("550 5.7.1"), "{reply}");
    assert_eq!(hop.stored().len(), 1);
    Ok(())
}

#[test]
fn the_recorder_uses_every_change() -> Result<()> {
    if !Recorder::is_there()? {
        return Ok(());
    }
    let recorder = Recorder::start()?;
    let hop = Hop::start(Protocol::Smtp)?;
    let site = gate(&hop, &milter("recorder", recorder.address(), ALL_STAGES))?;
    let message = b"From: <s@example.org>\r\nX-Change: please\r\nSubject: original\r\n\
                    Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <c@example.org>\r\n\r\nan old body\r\n";
    let to = ["user@example.test", "removed@example.test"];
    let reply = deliver(site.address(), "s@example.org", &to, message)?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    let stored = only(&hop)?;
    let text = String::from_utf8_lossy(&stored.message);
    for wanted in [
        "X-Added: by the recorder\r\n",
        "Subject: changed\r\n",
        "X-Quarantine: recorded\r\n",
        "\r\n\r\na new body\r\n",
    ] {
        ensure!(text.contains(wanted), "no {wanted:?} in {text}");
    }
    ensure!(text.contains("From: <s@example.org>\r\nX-Inserted: second\r\n"), "{text}");
    ensure!(!text.contains("X-Change") && !text.contains("an old body"), "{text}");
    ensure!(
        stored.sender.starts_with("<changed@example.org>") && stored.sender.contains("ENVID=recorder"),
        "{}",
        stored.sender
    );
    assert_eq!(stored.recipients, ["user@example.test", "added@example.test", "never@example.test"]);
    Ok(())
}

#[test]
fn a_milter_behind_tls_must_have_a_good_certificate() -> Result<()> {
    if !Recorder::is_there()? {
        return Ok(());
    }
    let recorder = Recorder::start()?;
    let authority = Authority::new()?;
    let proxy = TlsProxy::start(&authority.issue(&["milter.example.test"])?, recorder.address())?;
    let port = proxy.address().port();
    let secret = authority.secret("authority")?;
    for (tls, answer) in [
        ("{caSecretRef: {name: authority}, serverName: milter.example.test}", "250 2.0.0"),
        ("{caSecretRef: {name: authority}, serverName: other.example.test}", "451 4.3.5"),
        ("{serverName: milter.example.test}", "451 4.3.5"),
        ("{allowInvalidCerts: true}", "250 2.0.0"),
    ] {
        let hop = Hop::start(Protocol::Smtp)?;
        let fields = format!("{{hostname: 127.0.0.1, port: {port}, tls: {tls}}}");
        let site = gate(&hop, &format!("{}{secret}", object("MtaMilter", "recorder", &fields)))?;
        let reply = deliver(site.address(), "s@example.org", &["user@example.test"], &letter("tls", 400))?;
        ensure!(reply.is(answer), "{tls}: {reply}");
    }
    Ok(())
}

fn root() -> Result<bool> {
    if require::is_root() { Ok(true) } else { require::skip("the scanners run as root here") }
}
