//! The same message through the gate and through Postfix, past the same milter: what the milter is told, and what it does.
//!
//! Every difference is written down here and explained in docs/milter.md; a new one fails the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_tests::client::deliver;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{no_session_limits, object, relay};
use postern_tests::peers::opendkim::{Form, OpenDkim};
use postern_tests::peers::postfix::Postfix;
use postern_tests::peers::recorder::{Entry, Recorder};
use postern_tests::peers::rspamd::Rspamd;
use postern_tests::require;
use postern_tests::site::Site;
use postern_tests::wait;

const MESSAGE: &[u8] = b"From: <s@example.org>\r\nTo: <user@example.test>\r\nSubject:  folded\r\n\tover two lines\r\n\
    Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <beside@example.org>\r\nX-Empty:\r\nX-Tab:\ttab\r\nX-Fold:\r\n fold\r\n\r\n..a line with dots\r\n\r\nend\r\n";

const TO: [&str; 2] = ["user@example.test", "other@example.test"];

/// One milter at every stage, as Postfix has it.
fn through_gate(milter: SocketAddr, message: &[u8]) -> Result<Vec<u8>> {
    let hop = Hop::start(Protocol::Smtp)?;
    let (host, port) = (milter.ip(), milter.port());
    let fields = format!("{{hostname: \"{host}\", port: {port}, stages: [connect, ehlo, mail, rcpt, data]}}");
    let objects = format!(
        "{}{}{}",
        relay("hop", hop.address(), ""),
        object("MtaMilter", "beside", &fields),
        no_session_limits()
    );
    let site = Site::start(&objects)?;
    let reply = deliver(site.address(), "s@example.org", &TO, message)?;
    ensure!(reply.is("250"), "the gate: {reply}");
    hop.stored().pop().map(|stored| stored.message).context("nothing arrived")
}

fn through_postfix(milter: SocketAddr, message: &[u8]) -> Result<Vec<u8>> {
    let postfix = Postfix::with_milter(&["user", "other"], milter)?;
    let reply = deliver(postfix.address(), "s@example.org", &TO, message)?;
    ensure!(reply.is("250"), "Postfix: {reply}");
    let mailbox = postfix.mailbox("user");
    wait::until("Postfix to deliver", Duration::from_secs(60), || Ok(mailbox.messages()?.pop()))
}

#[test]
fn the_recorder_is_told_the_same_but_for_what_is_documented() -> Result<()> {
    if !Recorder::is_there()? || !require::peers(&["postfix"])? {
        return Ok(());
    }
    let (one, other) = (Recorder::start()?, Recorder::start()?);
    through_gate(one.address(), MESSAGE)?;
    through_postfix(other.address(), MESSAGE)?;
    let (gate, postfix) = (one.session()?, other.session()?);

    assert_eq!(commands(&gate), commands(&postfix), "which commands, in which order");
    for (ours, theirs) in gate.iter().zip(&postfix) {
        if ours.command == "connect" {
            // Without reverse DNS: Postfix says `localhost` or `unknown`, we give the address itself.
            assert_eq!(ours.arguments.last(), theirs.arguments.last(), "the address of the client");
        } else {
            assert_eq!(ours.arguments, theirs.arguments, "{}", ours.command);
        }
    }
    let names = |these: &[Entry], those: &[Entry], command| {
        let those = macros(those, command);
        macros(these, command)
            .into_keys()
            .filter(|name| !those.contains_key(name))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let differences: Vec<_> = ["connect", "helo", "mail", "rcpt", "data", "eom"]
        .iter()
        .map(|at| (*at, names(&gate, &postfix, at), names(&postfix, &gate, at)))
        .collect();
    let documented: Vec<_> = DIFFERENCES
        .iter()
        .map(|(at, ours, theirs)| (*at, (*ours).to_owned(), (*theirs).to_owned()))
        .collect();
    assert_eq!(differences, documented, "macros that only one of them tells");
    for command in ["connect", "mail", "rcpt", "eom"] {
        let theirs = macros(&postfix, command);
        let other = |name: &String, value: &String| theirs.get(name).is_some_and(|theirs| theirs != value);
        let differing = macros(&gate, command).into_iter().filter(|(name, value)| other(name, value));
        let differing: Vec<String> =
            differing.map(|(name, _)| name).filter(|name| !OF_THEIR_OWN.contains(&&**name)).collect();
        assert!(differing.is_empty(), "values at {command}: {differing:?} in {gate:#?} and {postfix:#?}");
    }
    Ok(())
}

/// Macros that only we tell, and that only Postfix tells, when it is asked for all.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("connect", OF_THE_CLIENT, ""),
    ("helo", AND_OF_TLS, ""),
    ("mail", AND_THE_ID, ""),
    ("rcpt", AND_THE_ID, ""),
    ("data", AND_OF_TLS, ""),
    ("eom", AND_OF_TLS, ""),
];

const OF_THE_CLIENT: &str = "{client_addr} {client_name} {client_port} {client_ptr} {daemon_port}";
const AND_OF_TLS: &str =
    "{cipher} {client_addr} {client_name} {client_port} {client_ptr} {daemon_port} {tls_version}";
const AND_THE_ID: &str =
    "i {cipher} {client_addr} {client_name} {client_port} {client_ptr} {daemon_port} {tls_version}";

/// Macros whose values are names and numbers of the server or of the connection.
const OF_THEIR_OWN: &[&str] =
    &["i", "j", "v", "_", "{daemon_name}", "{daemon_port}", "{client_port}", "{rcpt_mailer}"];

fn commands(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.command.as_str()).collect()
}

/// What is known at the first command of that name.
fn macros(entries: &[Entry], command: &str) -> BTreeMap<String, String> {
    entries
        .iter()
        .find(|entry| entry.command == command)
        .map(|entry| entry.macros.clone())
        .unwrap_or_default()
}

#[test]
fn opendkim_signs_the_same() -> Result<()> {
    if !require::peers(&["opendkim", "opendkim-genkey", "postfix"])? {
        return Ok(());
    }
    let signer = OpenDkim::start("example.org", "gate", Form::Simple)?;
    let gate = signed(&through_gate(signer.address(), MESSAGE)?)?;
    let postfix = signed(&through_postfix(signer.address(), MESSAGE)?)?;
    for tag in ["bh", "h", "c", "d", "s"] {
        let value = |signature: &str| {
            let tags = signature.split(';').map(str::trim);
            tags.filter_map(|one| one.strip_prefix(&format!("{tag}="))).map(str::to_owned).next()
        };
        ensure!(value(&gate).is_some() && value(&gate) == value(&postfix), "{tag}: {gate} and {postfix}");
    }
    Ok(())
}

/// The value of the signature, folds taken out.
fn signed(message: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n").replace("\n\t", "").replace("\n ", " ");
    let line = text.lines().find_map(|line| line.strip_prefix("DKIM-Signature:"));
    line.map(str::to_owned).with_context(|| format!("no signature in {text}"))
}

#[test]
fn rspamd_marks_the_same() -> Result<()> {
    if !require::peers(&["rspamd", "postfix"])? {
        return Ok(());
    }
    let rspamd = Rspamd::milter()?;
    let bar = |message: Vec<u8>| -> Result<String> {
        let text = String::from_utf8_lossy(&message).into_owned();
        let line = text.lines().find(|line| line.starts_with("X-Spamd-Bar:"));
        line.map(str::to_owned).with_context(|| format!("not marked: {text}"))
    };
    assert_eq!(
        bar(through_gate(rspamd.address(), MESSAGE)?)?,
        bar(through_postfix(rspamd.address(), MESSAGE)?)?
    );
    Ok(())
}
