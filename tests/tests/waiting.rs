//! `postern serve --wait-at`: a policy that cannot be put in force yet is waited out, and senders are told to come again.

use std::ffi::OsString;
use std::net::TcpListener;

use anyhow::{Result, ensure};
use postern_tests::client::{Client, deliver, letter};
use postern_tests::gate::{Gate, Launch};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{Folder, listener, open_domain, relay, settings};
use postern_tests::port::Port;
use postern_tests::wait::{self, PATIENCE};

#[test]
fn a_policy_that_cannot_be_served_is_answered_421_until_there_is_one_that_can() -> Result<()> {
    let (hop, port, taken) = (Hop::start(Protocol::Smtp)?, Port::reserve()?, Port::reserve()?);
    let occupant = TcpListener::bind(taken.address())?;
    let folder = Folder::with(&[
        ("base.yaml", settings() + &open_domain() + &relay("hop", hop.address(), "")),
        ("listener.yaml", listener("smtp", port.address())),
        ("second.yaml", listener("second", taken.address())),
    ])?;
    let arguments = ["--wait-at".into(), OsString::from(port.address().to_string())].to_vec();
    let mut gate = Gate::begin(folder.path(), &Launch { arguments, ..Launch::default() })?;
    wait::until("the reason", PATIENCE, || {
        gate.program().must_run()?;
        let answer = gate.get("/readyz").ok();
        Ok(answer.filter(|(code, body)| *code == 503 && body.contains("MtaListener/second spec.bind: ")))
    })?;
    let reply = wait::until("somebody at the door", PATIENCE, || {
        Ok(Client::connect_silent(port.address()).ok().and_then(|mut client| client.reply().ok()))
    })?;
    ensure!(reply.is("421 4.3.2"), "{reply}");
    let status = gate.status()?;
    ensure!(status["revision"].is_null() && status["ready"] == false, "{status}");
    drop(occupant);
    gate.wait_ready()?;
    let reply = deliver(port.address(), "s@example.org", &["user@example.test"], &letter("waited", 500))?;
    ensure!(reply.is("250") && hop.copies("waited", "user@example.test") == 1, "{reply}");
    Ok(())
}
