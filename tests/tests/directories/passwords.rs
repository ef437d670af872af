//! Logging in with a password that slapd knows.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use postern_tests::client::Client;
use postern_tests::manifests::object;
use postern_tests::peers::openssl::{Start, s_client};
use postern_tests::peers::swaks::swaks;
use postern_tests::require;

use super::bench::{Bench, Door, PROGRAMS};

const DOORS: [Door; 2] = [Door::Submission, Door::Submissions];

/// No pause after a failure.
fn hurried() -> String {
    object("MtaStageAuth", "default", "{waitOnFail: false, maxFailures: 100, failureRate: {count: 0}}")
}

#[test]
fn swaks_and_smtplib_log_in_at_both_doors_with_both_mechanisms() -> Result<()> {
    if !require::peers(&[PROGRAMS, &["swaks", "python3"]].concat())? {
        return Ok(());
    }
    let bench = Bench::start("", "")?;
    for door in DOORS {
        for mechanism in ["PLAIN", "LOGIN"] {
            let tls = if door == Door::Submission { "--tls" } else { "--tls-on-connect" };
            let login = [
                tls,
                "--auth",
                mechanism,
                "--auth-user",
                "ann@example.test",
                "--auth-password",
                "correct horse",
            ];
            let envelope = ["--from", "ann@example.test", "--to", "someone@elsewhere.test"];
            let sent = swaks(bench.address(door), &[&login[..], &envelope].concat())?;
            ensure!(
                sent.status == 0 && sent.transcript.contains("235 2.7.0"),
                "{door:?} {mechanism}: {}",
                sent.transcript
            );
            let said = bench.smtplib(door, mechanism, "ben@example.test", "secret")?;
            ensure!(said.starts_with("235 2.7.0"), "{door:?} {mechanism}: {said}");
        }
    }
    assert_eq!(bench.hop.stored().len(), 4);
    Ok(())
}

#[test]
fn s_client_logs_in_by_hand() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let bench = Bench::start("", "")?;
    for (door, start) in [(Door::Submission, Start::StartTls), (Door::Submissions, Start::Implicit)] {
        // NUL ann@example.test NUL correct horse
        let lines = ["EHLO c.example", "AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAY29ycmVjdCBob3JzZQ==", "QUIT"];
        let seen = s_client(bench.address(door), start, "mx.example.test", &bench.authority.file(), &lines)?;
        ensure!(seen.verified && seen.text.contains("235 2.7.0"), "{}", seen.text);
    }
    Ok(())
}

#[test]
fn an_alias_is_its_account_and_a_foreign_sender_is_refused() -> Result<()> {
    if !require::peers(&[PROGRAMS, &["swaks"]].concat())? {
        return Ok(());
    }
    let bench = Bench::start("", "")?;
    for (from, wanted) in [
        ("ann@example.test", "250 2.0.0"),
        ("anna@example.test", "250 2.0.0"),
        ("ben@example.test", "501 5.5.4"),
    ] {
        let login = [
            "--tls",
            "--auth",
            "PLAIN",
            "--auth-user",
            "ANNA@example.test",
            "--auth-password",
            "correct horse",
        ];
        let sent = swaks(
            bench.address(Door::Submission),
            &[&login[..], &["--from", from, "--to", "x@elsewhere.test"]].concat(),
        )?;
        ensure!(sent.transcript.contains(wanted), "{from}: {}", sent.transcript);
    }
    Ok(())
}

#[test]
fn wrong_passwords_and_names_that_are_filters_are_refused() -> Result<()> {
    if !require::peers(&[PROGRAMS, &["python3"]].concat())? {
        return Ok(());
    }
    let bench = Bench::start("loginFilter: '(|(mail={address})(uid={address}))'", &hurried())?;
    let right = bench.smtplib(Door::Submission, "PLAIN", "ann", "correct horse")?;
    ensure!(right.starts_with("235"), "{right}");
    for (user, password) in [
        ("ann@example.test", "wrong"),
        ("ann@example.test", "correct horse "),
        ("nobody@example.test", "correct horse"),
        ("*", "correct horse"),
        ("an*", "correct horse"),
        ("*)(uid=ann", "correct horse"),
        ("ann)(|(uid=*", "correct horse"),
        ("ann\\2a", "correct horse"),
        ("uid=ann,dc=example,dc=test", "correct horse"),
        ("cn=postern,dc=example,dc=test", "service secret"),
    ] {
        let said = bench.smtplib(Door::Submission, "PLAIN", user, password)?;
        ensure!(said.starts_with("535 5.7.8"), "{user}: {said}");
    }
    for user in ["ann", "nobody"] {
        let said = bench.smtplib(Door::Submission, "PLAIN", user, "")?;
        ensure!(said.starts_with("500 5.5.6"), "{user}: {said}");
    }
    let log = bench.slapd.log();
    ensure!(!log.contains("BIND dn=\"\""), "an empty name or password has reached the server: {log}");
    Ok(())
}

#[test]
fn hashes_are_compared_here_where_the_policy_says_so() -> Result<()> {
    if !require::peers(&[PROGRAMS, &["python3"]].concat())? {
        return Ok(());
    }
    let bench = Bench::start("authentication: Hash", &hurried())?;
    for (user, password, wanted) in [
        ("ann@example.test", "correct horse", "235"),
        ("ben@example.test", "secret", "235"),
        ("ben@example.test", "Secret", "535"),
        ("ben@example.test", "{SSHA}ThBNqV7Cj+pWedD9VkXlmYHGt6KGZsAE", "535"),
        ("nobody@example.test", "secret", "535"),
    ] {
        let said = bench.smtplib(Door::Submissions, "LOGIN", user, password)?;
        ensure!(said.starts_with(wanted), "{user} {password}: {said}");
    }
    ensure!(!bench.slapd.log().contains("BIND dn=\"uid="), "a user was bound");
    Ok(())
}

#[test]
fn guessing_at_speed_holds_nobody_else_up() -> Result<()> {
    if !require::peers(PROGRAMS)? {
        return Ok(());
    }
    let auth = "{allowClearTextAuth: true, saslMechanisms: '[plain]', waitOnFail: 3s, maxFailures: 2}";
    // Without the cache every recipient needs a turn on a connection, as every guess does.
    let bench = Bench::start("cacheTtl: 0", &object("MtaStageAuth", "default", auth))?;
    let server = bench.address(Door::Submission);
    let guessers: Vec<_> = (0..100)
        .map(|_| {
            thread::spawn(move || -> Result<Duration> {
                let mut client = Client::connect(server)?;
                client.expect("EHLO guesser.example", "250")?;
                let began = Instant::now();
                // NUL ann@example.test NUL wrong
                client.expect("AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAd3Jvbmc=", "535 5.7.8")?;
                Ok(began.elapsed())
            })
        })
        .collect();
    let began = Instant::now();
    let mut others = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let mut client = bench.client()?;
        let asked = Instant::now();
        client.open("a@elsewhere.test", &["ann@example.test"])?;
        ensure!(asked.elapsed() < Duration::from_secs(1), "another session waited {:?}", asked.elapsed());
        others += 1;
    }
    ensure!(others > 10, "only {others} sessions went through beside the guessers");
    for guesser in guessers {
        let waited = guesser.join().map_err(|_| anyhow!("a guesser has panicked"))??;
        ensure!(waited >= Duration::from_secs(3), "a guesser waited only {waited:?}");
    }
    println!("100 guessers, {others} other sessions in 2 s");
    Ok(())
}
