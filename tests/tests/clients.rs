//! Clients that administrators and programs use: swaks with AUTH, the generator of Postfix, and the first example of the README.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::Client;
use postern_tests::gate::{Gate, file_of_tree};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::maildir::Maildir;
use postern_tests::manifests::{Folder, no_session_limits, object, open_domain, relay, settings};
use postern_tests::peers::sink::{Sink, smtp_source};
use postern_tests::peers::swaks::{Outcome, swaks};
use postern_tests::port::Port;
use postern_tests::process;
use postern_tests::require;
use postern_tests::site::Site;

#[test]
fn swaks_logs_in_with_plain_and_login_inside_tls() -> Result<()> {
    if !require::peers(&["swaks", "openssl"])? {
        return Ok(());
    }
    let site = Submission::start()?;
    for mechanism in ["PLAIN", "LOGIN"] {
        let sent = site.send(mechanism, "anna@example.test", "correct horse", "anna@example.test")?;
        ensure!(
            sent.status == 0 && sent.transcript.contains("235 2.7.0"),
            "{mechanism}: {}",
            sent.transcript
        );
    }
    let stored = site.hop.stored();
    assert_eq!(stored.len(), 2);
    ensure!(stored.iter().all(|message| message.recipients == ["someone@elsewhere.test"]), "{stored:?}");
    Ok(())
}

#[test]
fn a_wrong_password_an_unknown_user_and_a_foreign_sender_are_refused() -> Result<()> {
    if !require::peers(&["swaks", "openssl"])? {
        return Ok(());
    }
    let site = Submission::start()?;
    for (user, password) in [("anna@example.test", "wrong"), ("nobody@example.test", "correct horse")] {
        let refused = site.send("PLAIN", user, password, "anna@example.test")?;
        ensure!(refused.status != 0 && refused.transcript.contains("535 5.7.8"), "{}", refused.transcript);
    }
    let foreign = site.send("PLAIN", "anna@example.test", "correct horse", "boss@example.test")?;
    ensure!(foreign.transcript.contains("501 5.5.4"), "{}", foreign.transcript);
    assert!(site.hop.stored().is_empty());
    Ok(())
}

#[test]
fn outside_tls_no_mechanism_is_offered_or_taken_and_mail_needs_a_login() -> Result<()> {
    if !require::peers(&["openssl"])? {
        return Ok(());
    }
    let site = Submission::start()?;
    let mut client = Client::connect(site.port.address())?;
    let offer = client.expect("EHLO client.example.org", "250")?;
    ensure!(!offer.has_line("AUTH"), "{offer}");
    client.expect("AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AGNvcnJlY3QgaG9yc2U=", "503 5.5.1")?;
    client.expect("MAIL FROM:<anna@example.test>", "503 5.5.1")?;
    Ok(())
}

#[test]
fn the_generator_of_postfix_gets_all_its_mail_through() -> Result<()> {
    if !require::peers(&["smtp-source", "smtp-sink"])? {
        return Ok(());
    }
    let sink = Sink::start(&["-d", "message."])?;
    let site = Site::start(&(relay("sink", sink.address(), "") + &no_session_limits()))?;
    let envelope = ["-M", "client.example.org", "-f", "s@example.org", "-t", "user@example.test"];
    smtp_source(site.address(), &[&["-s", "20", "-m", "400", "-l", "4096"], &envelope[..]].concat())?;
    smtp_source(
        site.address(),
        &[&["-d", "-s", "5", "-m", "100", "-l", "100000", "-r", "3"], &envelope[..]].concat(),
    )?;
    assert_eq!(sink.files()?.len(), 500);
    Ok(())
}

#[test]
fn the_quickstart_takes_a_first_message_into_a_maildir() -> Result<()> {
    if !require::peers(&["swaks"])? {
        return Ok(());
    }
    let port = Port::reserve()?;
    let folder = Folder::with(&[])?;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/quickstart");
    for entry in fs::read_dir(example).context("examples/quickstart")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            let text = file_of_tree(&format!("examples/quickstart/{name}"))?;
            // The only change: a port that is free here.
            folder.put(&name, &text.replace("127.0.0.1:2525", &port.address().to_string()))?;
        }
    }
    let gate = Gate::start(folder.path())?;

    // The very line of the README, but for the port.
    let readme = file_of_tree("README.md")?;
    ensure!(readme.contains("serve --config examples/quickstart"), "the README starts something else");
    let line = readme.lines().find(|line| line.trim_start().starts_with("swaks "));
    let line = line.context("the README has no line that begins with swaks")?;
    ensure!(line.contains("127.0.0.1:2525"), "the README sends to another address: {line}");
    let line = line.replace("127.0.0.1:2525", &port.address().to_string());
    process::run(Command::new("sh").args(["-c", &line]))?;

    let found = maildirs(&gate.home().join("mail"))?;
    let messages: Vec<Vec<u8>> = found.iter().map(Maildir::messages).collect::<Result<Vec<_>>>()?.concat();
    assert_eq!(messages.len(), 1, "in {found:?}");
    let text = String::from_utf8_lossy(&messages[0]);
    ensure!(text.contains("Received: from ") && text.contains("(Postern) with ESMTP id "), "{text}");
    Ok(())
}

/// Every folder below `root` that holds a `new`.
fn maildirs(root: &std::path::Path) -> Result<Vec<Maildir>> {
    let mut found = Vec::new();
    if root.join("new").is_dir() {
        found.push(Maildir::at(root));
    }
    for entry in fs::read_dir(root).with_context(|| format!("reading {}", root.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(maildirs(&path)?);
        }
    }
    Ok(found)
}

/// A gate for users with passwords: a listener that is not port 25, STARTTLS, and one account.
struct Submission {
    _gate: Gate,
    _folder: Folder,
    hop: Hop,
    port: Port,
}

impl Submission {
    fn start() -> Result<Self> {
        let (hop, port) = (Hop::start(Protocol::Smtp)?, Port::reserve()?);
        let listener =
            format!("{{bind: [\"{}\"], publicPort: 587, tls: {{secretNames: [mx]}}}}", port.address());
        let accounts =
            "{type: Inline, accounts: [{address: anna@example.test, passwords: [{value: correct horse}]}]}";
        let folder = Folder::with(&[
            ("settings.yaml", settings() + &open_domain() + &relay("hop", hop.address(), "")),
            ("listener.yaml", object("MtaListener", "submission", &listener)),
            ("users.yaml", object("MtaDirectory", "users", accounts)),
            ("mx.yaml", Authority::new()?.issue(&["mx.example.test"])?.secret("mx")),
        ])?;
        let gate = Gate::start(folder.path())?;
        Ok(Self { _gate: gate, _folder: folder, hop, port })
    }

    /// Relays to a foreign domain, which only a user who has logged in may do.
    fn send(&self, mechanism: &str, user: &str, password: &str, from: &str) -> Result<Outcome> {
        let login = ["--tls", "--auth", mechanism, "--auth-user", user, "--auth-password", password];
        swaks(
            self.port.address(),
            &[&login[..], &["--from", from, "--to", "someone@elsewhere.test"]].concat(),
        )
    }
}
