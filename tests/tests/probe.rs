//! `postern probe`: a message by hand, and what became of it.

use anyhow::{Result, ensure};
use postern_tests::gate::postern;
use postern_tests::hop::{Fault, Hop, Phase, Protocol, Times};
use postern_tests::port::Port;

#[test]
fn a_message_that_is_taken_is_a_success() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let arguments = ["probe", "--to", "user@example.test", &hop.address().to_string()];
    let (status, text) = postern(&arguments)?;
    ensure!(status.success() && text.starts_with("250 "), "{text}");
    let [stored] = &hop.stored()[..] else { anyhow::bail!("{:?}", hop.stored()) };
    ensure!(stored.sender.starts_with("<>"), "{}", stored.sender);
    ensure!(stored.contains("Subject: postern probe "), "{}", String::from_utf8_lossy(&stored.message));
    assert_eq!(stored.recipients, ["user@example.test"]);
    Ok(())
}

#[test]
fn a_refusal_is_shown_and_is_a_failure() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    hop.arm(Phase::Rcpt, Fault::Answer("550 5.1.1 nobody of that name".to_owned()), Times::Always);
    let arguments =
        ["probe", "--from", "me@example.org", "--to", "user@example.test", &hop.address().to_string()];
    let (status, text) = postern(&arguments)?;
    ensure!(!status.success() && text.starts_with("550 5.1.1 nobody of that name"), "{text}");
    ensure!(hop.stored().is_empty());
    Ok(())
}

#[test]
fn where_nobody_listens_is_a_failure_that_says_so() -> Result<()> {
    let port = Port::reserve()?;
    let (status, text) = postern(&["probe", "--to", "user@example.test", &port.address().to_string()])?;
    ensure!(!status.success() && text.starts_with("451 ") && text.contains("refused"), "{text}");
    Ok(())
}
