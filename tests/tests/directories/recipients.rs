//! Recipients, lists and queries that slapd answers.

use anyhow::{Result, ensure};
use postern_tests::client::letter;
use postern_tests::manifests::object;
use postern_tests::require;

use super::bench::{Bench, PROGRAMS};

#[test]
fn recipients_are_those_of_the_directory() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let fast = object("MtaStageRcpt", "default", "{waitOnFail: false, maxFailures: 100}");
    let bench = Bench::start("", &fast)?;
    let mut client = bench.client()?;
    client.expect("MAIL FROM:<a@elsewhere.test>", "250")?;
    for (recipient, wanted) in [
        ("ann@example.test", "250 2.1.5"),
        ("ANNA@Example.Test", "250 2.1.5"),
        ("ben+notes@example.test", "250 2.1.5"),
        ("nobody@example.test", "550 5.1.2"),
        ("*@example.test", "550 5.1.2"),
        ("\"*)(mail=*\"@example.test", "550 5.1.2"),
        ("postern@example.test", "550 5.1.2"),
        ("someone@elsewhere.test", "550 5.1.2"),
    ] {
        client.expect(&format!("RCPT TO:<{recipient}>"), wanted)?;
    }
    client.expect("DATA", "354")?;
    ensure!(client.message(&letter("one", 200))?.is("250"), "the message");
    let stored = bench.hop.stored();
    assert_eq!(stored[0].recipients, ["ann@example.test", "ANNA@Example.Test", "ben@example.test"]);
    Ok(())
}

#[test]
fn lists_become_their_members_and_queries_are_answered() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let bench = Bench::start("", &object("MtaExtensions", "default", "{vrfy: true, expn: true}"))?;
    let mut client = bench.client()?;
    client.open("a@elsewhere.test", &["team@example.test", "board@example.test"])?;
    ensure!(client.message(&letter("one", 200))?.is("250"), "the message");
    let mut recipients = bench.hop.stored()[0].recipients.clone();
    recipients.sort();
    assert_eq!(recipients, ["ann@example.test", "ben@example.test", "someone@elsewhere.test"]);

    client.expect("VRFY ann@example.test", "250 ann@example.test")?;
    client.expect("VRFY team@example.test", "550 5.1.2")?;
    client.expect("VRFY nobody@example.test", "550 5.1.2")?;
    let members = client.expect("EXPN board@example.test", "250")?;
    let mut lines = members.lines;
    lines.sort();
    assert_eq!(lines, ["ann@example.test", "ben@example.test"]);
    client.expect("EXPN ann@example.test", "550 5.1.2")?;
    Ok(())
}

#[test]
fn answers_are_remembered_good_and_bad_and_counted() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let bench =
        Bench::start("", &object("MtaStageRcpt", "default", "{waitOnFail: false, maxFailures: 100}"))?;
    for _ in 0..5 {
        let mut client = bench.client()?;
        client.expect("MAIL FROM:<a@elsewhere.test>", "250")?;
        client.expect("RCPT TO:<ann@example.test>", "250")?;
        client.expect("RCPT TO:<nobody@example.test>", "550")?;
    }
    let searches = bench.slapd.log().matches("SRCH base").count();
    // One for Ann; nobody is looked for among people and lists.
    assert_eq!(searches, 3, "{}", bench.slapd.log());
    let (_, metrics) = bench.gate.get("/metrics")?;
    for line in [
        "postern_directory_cache_total{directory=\"staff\",outcome=\"Miss\"} 2",
        "postern_directory_cache_total{directory=\"staff\",outcome=\"Found\"} 4",
        "postern_directory_cache_total{directory=\"staff\",outcome=\"Nobody\"} 4",
    ] {
        ensure!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    Ok(())
}
