//! SIGTERM: idle sessions are told 421, transactions in hand are finished, and the process ends soon.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use postern_tests::client::{Client, letter};
use postern_tests::gate::Launch;
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::relay;
use postern_tests::process::Signal;
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};

#[test]
fn an_idle_session_is_told_421_and_the_process_ends_within_5_s() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let mut site = Site::start(&relay("hop", hop.address(), ""))?;
    let mut idle = Client::connect(site.address())?;
    idle.expect("EHLO client.example.org", "250")?;
    site.gate.program().signal(Signal::Terminate)?;
    let farewell = idle.reply()?;
    ensure!(farewell.is("421 4.3.0"), "{farewell}");
    ensure!(farewell.to_string().contains("gate.example.test"), "no host name in {farewell}");
    ensure!(idle.is_closed(Duration::from_secs(5))?, "the connection stays open");
    let status = site.gate.program().wait(Duration::from_secs(5))?;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[test]
fn a_transaction_in_hand_is_finished() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let mut site = Site::start(&relay("hop", hop.address(), ""))?;
    let gate = site.address();
    let mut client = Client::connect(gate)?;
    client.open("s@example.org", &["user@example.test"])?;
    client.send(b"Subject: in-hand\r\n")?;
    site.gate.program().signal(Signal::Terminate)?;
    wait::until("the listener to close", PATIENCE, || Ok(TcpStream::connect(gate).is_err().then_some(())))?;
    let reply = client.message(&letter("the rest", 500))?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!(hop.copies("in-hand", "user@example.test"), 1);
    let status = site.gate.program().wait(Duration::from_secs(5))?;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[test]
fn a_transaction_that_takes_too_long_is_told_421_and_leaves_its_log_line() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let arguments = ["--drain-timeout=1s", "--log-format=json"].map(Into::into).to_vec();
    let mut site =
        Site::launch(&relay("hop", hop.address(), ""), &Launch { arguments, ..Launch::default() })?;
    let mut client = Client::connect(site.address())?;
    client.open("s@example.org", &["user@example.test"])?;
    site.gate.program().signal(Signal::Terminate)?;
    let farewell = client.reply()?;
    ensure!(farewell.is("421 4.3.0"), "{farewell}");
    site.gate.program().wait(Duration::from_secs(5))?;
    let log = site.gate.program().log();
    ensure!(log.contains("\"message\":\"transaction\"") && log.contains("\"verdict\":\"deferred\""), "{log}");
    Ok(())
}
