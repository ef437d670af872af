//! A directory that hangs, is away, or is not the one that was meant: answered in time, with the codes for now, and never with a yes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use postern_tests::client::Client;
use postern_tests::manifests::object;
use postern_tests::require;
use postern_tests::wait::{self, PATIENCE};

use super::bench::{Bench, Door, PROGRAMS, directory};

/// NUL ann@example.test NUL correct horse
const LOGIN: &str = "AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAY29ycmVjdCBob3JzZQ==";

fn objects() -> String {
    object(
        "MtaStageAuth",
        "default",
        "{allowClearTextAuth: true, saslMechanisms: '[plain]', require: false, waitOnFail: false}",
    ) + &object("MtaExtensions", "default", "{vrfy: true, expn: true}")
}

/// What every command says while the directory cannot be asked; each within that time.
fn all_wait(bench: &Bench, limit: Duration) -> Result<()> {
    let mut client = Client::connect(bench.address(Door::Submission))?;
    client.expect("EHLO client.example.org", "250")?;
    for (command, wanted) in [
        (LOGIN, "454 4.7.0"),
        ("VRFY ann@example.test", "252 2.4.3"),
        ("EXPN team@example.test", "252 2.4.3"),
        ("MAIL FROM:<a@elsewhere.test>", "250"),
        ("RCPT TO:<ann@example.test>", "451 4.4.3"),
        ("RCPT TO:<nobody@example.test>", "451 4.4.3"),
    ] {
        let began = Instant::now();
        client.expect(command, wanted)?;
        ensure!(began.elapsed() < limit, "{command} took {:?}", began.elapsed());
    }
    Ok(())
}

fn all_is_well(bench: &Bench) -> Result<()> {
    let mut client = Client::connect(bench.address(Door::Submission))?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect(LOGIN, "235")?;
    client.expect("MAIL FROM:<ann@example.test>", "250")?;
    client.expect("RCPT TO:<ben@example.test>", "250")?;
    client.quit();
    Ok(())
}

#[test]
fn a_directory_that_is_away_is_found_again() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let mut bench = Bench::start("cacheTtl: 0", &objects())?;
    all_is_well(&bench)?;
    bench.slapd.kill()?;
    all_wait(&bench, Duration::from_secs(5))?;
    bench.slapd.begin()?;
    all_is_well(&bench)
}

#[test]
fn a_directory_that_hangs_is_bounded_in_time() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let bench = Bench::start("cacheTtl: 0, timeout: 500ms", &objects())?;
    all_is_well(&bench)?;
    bench.slapd.freeze()?;
    all_wait(&bench, Duration::from_secs(5))
}

#[test]
fn a_directory_that_is_another_one_is_not_asked() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let bench = Bench::start("", &objects())?;
    let (clear, tls) = (bench.slapd.address(), bench.slapd.tls_address());
    let right = directory(&format!("ldaps://{tls}"), "cacheTtl: 0");
    bench.replace_directory(&right)?;
    all_is_well(&bench)?;
    for wrong in [
        right.replace("ldap.example.test", "other.example.test"),
        right.replace("tls: {caSecretRef: {name: ldap-ca}, ", "tls: {"),
        // Clear text where TLS begins at once, and TLS where clear text is spoken.
        directory(&format!("ldap://{tls}"), "timeout: 1s"),
        directory(&format!("ldaps://{clear}"), "timeout: 1s"),
    ] {
        bench.replace_directory(&wrong)?;
        all_wait(&bench, Duration::from_secs(5))?;
    }
    bench.replace_directory(&right)?;
    all_is_well(&bench)
}

#[test]
fn a_service_that_may_not_search_finds_nobody_and_says_so() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let bench = Bench::start("", &objects())?;
    let right = directory(&format!("ldap://{}", bench.slapd.address()), "cacheTtl: 0");
    let wrong = right.replace("{secretKeyRef: {name: ldap, key: password}}", "{value: another}");
    bench.replace_directory(&wrong)?;
    all_wait(&bench, Duration::from_secs(5))?;
    let elsewhere = right.replace("baseDn: 'dc=example,dc=test'", "baseDn: 'dc=elsewhere,dc=test'");
    bench.replace_directory(&elsewhere)?;
    all_wait(&bench, Duration::from_secs(5))?;
    bench.replace_directory(&right)?;
    wait::until("the directory", PATIENCE, || Ok(all_is_well(&bench).ok()))
}
