//! Mail through the gate into Postfix, into Dovecot over LMTP, and into Maildir folders.

use anyhow::{Result, ensure};
use postern_tests::client::{Client, deliver, letter};
use postern_tests::maildir::Maildir;
use postern_tests::manifests::{listener, object, relay};
use postern_tests::peers::dovecot::Dovecot;
use postern_tests::peers::postfix::Postfix;
use postern_tests::port::Port;
use postern_tests::require;
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};

#[test]
fn mail_reaches_postfix_with_a_received_field() -> Result<()> {
    if !require::peers(&["postfix"])? {
        return Ok(());
    }
    let postfix = Postfix::start(&["anna"])?;
    let site = Site::start(&relay("postfix", postfix.address(), ""))?;
    let message = [letter("to-postfix", 3000), b".\r\n..\r\nthe end\r\n".to_vec()].concat();
    let reply = deliver(site.address(), "s@example.org", &["anna@example.test"], &message)?;
    ensure!(reply.is("250 2.0.0"), "{reply}");

    wait::until("the delivery", PATIENCE, || {
        Ok((postfix.mailbox("anna").count("Subject: to-postfix")? == 1).then_some(()))
    })?;
    let delivered = postfix.mailbox("anna").messages()?.concat();
    let text = String::from_utf8_lossy(&delivered);
    ensure!(text.contains("by gate.example.test (Postern) with ESMTP id "), "{text}");
    ensure!(text.ends_with("\n.\n..\nthe end\n"), "the dots did not survive: {text}");
    Ok(())
}

#[test]
fn a_user_unknown_to_postfix_is_refused_at_rcpt_in_its_own_words() -> Result<()> {
    if !require::peers(&["postfix"])? {
        return Ok(());
    }
    let postfix = Postfix::start(&["anna"])?;
    let site = Site::start(&relay("postfix", postfix.address(), ""))?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<s@example.org>", "250 2.1.0")?;
    let refusal = client.expect("RCPT TO:<nobody@example.test>", "550 5.1.1")?;
    ensure!(refusal.to_string().contains("nobody@example.test"), "{refusal}");
    client.expect("RCPT TO:<anna@example.test>", "250 2.1.5")?;
    client.expect("DATA", "354")?;
    ensure!(client.message(&letter("after-a-refusal", 500))?.is("250 2.0.0"), "{}", client.transcript());
    Ok(())
}

#[test]
fn an_lmtp_client_gets_dovecots_answer_for_each_recipient() -> Result<()> {
    if !require::peers(&["dovecot"])? {
        return Ok(());
    }
    let dovecot = Dovecot::start(&[("anna", 1024), ("ben", 1), ("cleo", 1024)])?;
    let lmtp = Port::reserve()?;
    let objects = relay("dovecot", dovecot.address(), "protocol: lmtp")
        + &object(
            "MtaListener",
            "lmtp",
            &format!("{{bind: [\"{}\"], protocol: lmtp, publicPort: 25}}", lmtp.address()),
        );
    let _site = Site::start(&objects)?;

    let mut client = Client::connect(lmtp.address())?;
    client.expect("LHLO client.example.org", "250")?;
    client.envelope("s@example.org", &["anna@example.test", "ben@example.test", "cleo@example.test"])?;
    let anna = client.message(&letter("for-three", 9000))?;
    let (ben, cleo) = (client.reply()?, client.reply()?);
    let right = anna.is("250 2.0.0") && ben.is("451 4.2.2") && cleo.is("250 2.0.0");
    ensure!(right, "{}", client.transcript());

    let copies = |local: &str| dovecot.mailbox(local).count("Subject: for-three");
    assert_eq!([copies("anna")?, copies("ben")?, copies("cleo")?], [1, 0, 1]);

    // A copy for one recipient says for whom it was; one for several would tell each about the others.
    client.envelope("s@example.org", &["cleo@example.test"])?;
    ensure!(client.message(&letter("for-one", 900))?.is("250 2.0.0"), "{}", client.transcript());
    let delivered = dovecot.mailbox("cleo").messages()?;
    let field =
        |message: &Vec<u8>| String::from_utf8_lossy(message).contains("Delivered-To: cleo@example.test");
    assert_eq!(delivered.iter().filter(|message| field(message)).count(), 1);
    Ok(())
}

#[test]
fn a_mixed_answer_and_five_tries_leave_one_copy_in_each_mailbox() -> Result<()> {
    if !require::peers(&["dovecot"])? {
        return Ok(());
    }
    let mut dovecot = Dovecot::start(&[("anna", 1024), ("ben", 1), ("cleo", 1024)])?;
    let site = Site::start(&relay("dovecot", dovecot.address(), "protocol: lmtp"))?;
    let to = ["anna@example.test", "ben@example.test", "cleo@example.test"];
    let message = letter("mixed", 9000);
    for attempt in 1..=5 {
        if attempt == 5 {
            dovecot.set_quota("ben", 1024)?;
        }
        let reply = deliver(site.address(), "s@example.org", &to, &message)?;
        let wanted = if attempt < 5 { "451" } else { "250 2.0.0" };
        ensure!(reply.is(wanted), "try {attempt} was answered {reply}, not {wanted}");
    }
    for local in ["anna", "ben", "cleo"] {
        let copies = dovecot.mailbox(local).count("Subject: mixed")?;
        ensure!(copies == 1, "{copies} copies for {local}\n{}", dovecot.log());
    }
    Ok(())
}

#[test]
fn a_maildir_gets_one_finished_file_for_each_recipient() -> Result<()> {
    let site = maildir_site("mail/{domain}/{local}")?;
    let to = ["anna@example.test", "ben@example.test"];
    let reply = deliver(site.address(), "s@example.org", &to, &letter("to-maildir", 3000))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    for local in ["anna", "ben"] {
        let maildir = Maildir::at(site.gate.home().join("mail/example.test").join(local));
        assert_eq!(maildir.count("Subject: to-maildir")?, 1);
        assert!(maildir.unfinished()?.is_empty());
        let text = String::from_utf8_lossy(&maildir.messages()?.concat()).into_owned();
        for field in [
            "Received: from client.example.org",
            "Return-Path: <s@example.org>",
            &format!("Delivered-To: {local}@"),
        ] {
            ensure!(text.contains(field), "no {field} in {text}");
        }
    }
    Ok(())
}

#[test]
fn no_recipient_leads_out_of_the_maildir_base() -> Result<()> {
    let site = maildir_site("mail/{recipient}")?;
    for local in ["\"../../escape\"", "\"/etc/escape\"", "..", "\"a\\/../escape\"", "a/../../escape"] {
        let rcpt = format!("{local}@example.test");
        // Refused or stored, but inside.
        let _ = deliver(site.address(), "s@example.org", &[&rcpt], &letter("escape", 300))?;
    }
    let home = site.gate.home();
    let mut outside: Vec<String> = std::fs::read_dir(home)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    outside.retain(|name| !["mail", "log"].contains(&name.as_str()));
    ensure!(outside.is_empty(), "found beside the base folder: {outside:?}");
    ensure!(
        !home.join("../escape").exists() && !std::path::Path::new("/etc/escape").exists(),
        "a file escaped"
    );
    Ok(())
}

#[test]
fn one_gate_serves_two_routes_chosen_by_domain() -> Result<()> {
    if !require::peers(&["postfix", "dovecot"])? {
        return Ok(());
    }
    let postfix = Postfix::start(&["anna"])?;
    let dovecot = Dovecot::start(&[("ben", 1024)])?;
    let port = Port::reserve()?;
    let folder = postern_tests::manifests::Folder::with(&[(
        "gate.yaml",
        postern_tests::manifests::settings()
            + &listener("smtp", port.address())
            + &relay("postfix", postfix.address(), "")
            + &relay("dovecot", dovecot.address(), "protocol: lmtp")
            + &object("MtaDomain", "a", "{name: example.test, allowRelaying: true, route: postfix}")
            + &object("MtaDomain", "b", "{name: lists.example.test, allowRelaying: true, route: dovecot}"),
    )])?;
    let _gate = postern_tests::gate::Gate::start(folder.path())?;
    let mut client = Client::connect(port.address())?;
    client.open("s@example.org", &["anna@example.test"])?;
    ensure!(client.message(&letter("by-domain", 500))?.is("250 2.0.0"), "{}", client.transcript());
    client.expect("MAIL FROM:<s@example.org>", "250")?;
    // Dovecot has no such user: the answer shows who was asked.
    client.expect("RCPT TO:<zoe@lists.example.test>", "550 5.1.1")?;
    wait::until("the delivery", PATIENCE, || {
        Ok((postfix.mailbox("anna").count("Subject: by-domain")? == 1).then_some(()))
    })
}

fn maildir_site(path: &str) -> Result<Site> {
    Site::start(&object("MtaRoute", "mailboxes", &format!("{{type: Maildir, path: \"{path}\"}}")))
}
