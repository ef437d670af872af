//! examples/ldap as it stands, but for addresses, and with a certificate so that its people may log in.

use anyhow::{Result, ensure};
use postern_tests::certificate::Authority;
use postern_tests::client::Client;
use postern_tests::gate::{Gate, file_of_tree, postern};
use postern_tests::manifests::Folder;
use postern_tests::peers::slapd::Slapd;
use postern_tests::peers::swaks::swaks;
use postern_tests::port::Port;
use postern_tests::require;

use super::bench::PROGRAMS;

#[test]
fn the_example_has_no_fault() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ldap");
    let (status, said) = postern(&["check", folder])?;
    ensure!(status.success(), "{said}");
    Ok(())
}

#[test]
fn the_people_of_the_example_get_mail_and_send_it() -> Result<()> {
    if !require::peers(&[PROGRAMS, &["swaks"]].concat())? {
        return Ok(());
    }
    let authority = Authority::new()?;
    let slapd =
        Slapd::start(&file_of_tree("examples/ldap/people.ldif")?, &authority.issue(&["ldap.example.org"])?)?;
    let (smtp, submission) = (Port::reserve()?, Port::reserve()?);
    let policy = file_of_tree("examples/ldap/gate.yaml")?
        .replace("ldap://ldap.example.org", &format!("ldap://{}", slapd.address()))
        .replace("tls: {serverName:", "tls: {caSecretRef: {name: ldap-ca}, serverName:")
        .replace("127.0.0.1:2525", &smtp.address().to_string())
        .replace(
            "127.0.0.1:2587\"], publicPort: 587",
            &format!("{}\"], publicPort: 587, tls: {{secretNames: [mx]}}", submission.address()),
        );
    let folder = Folder::with(&[
        ("gate.yaml", policy),
        (
            "certificates.yaml",
            authority.secret("ldap-ca")? + &authority.issue(&["mx.example.test"])?.secret("mx"),
        ),
    ])?;
    let _gate = Gate::start(folder.path())?;

    let mut client = Client::connect(smtp.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<a@elsewhere.test>", "250")?;
    client.expect("RCPT TO:<everybody@example.test>", "250")?;
    client.expect("RCPT TO:<nobody@example.test>", "550")?;
    let login = ["--tls", "--auth", "PLAIN", "--auth-user", "ann", "--auth-password", "correct horse"];
    let envelope = ["--from", "ann.smith@example.test", "--to", "ann@example.test"];
    let sent = swaks(submission.address(), &[&login[..], &envelope].concat())?;
    ensure!(sent.status == 0, "{}", sent.transcript);
    Ok(())
}
