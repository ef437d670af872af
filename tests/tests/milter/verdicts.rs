//! What the answers of a milter do to the session and to the message.

use std::time::Duration;

use anyhow::{Result, ensure};
use postern_tests::client::Client;
use postern_tests::milter::{Reaction, agree};

use crate::bench::{ALL_STAGES, Bench, note};

/// The replies to a session, from EHLO to the end of data, up to the first that is no success.
fn play(bench: &Bench) -> Result<(String, String)> {
    let mut client = bench.client()?;
    let commands =
        ["EHLO client.example.org", "MAIL FROM:<s@example.org>", "RCPT TO:<user@example.test>", "DATA"];
    for command in commands {
        let reply = client.command(command)?;
        if !(reply.is_positive() || reply.code == 354) {
            return Ok((command.get(..4).unwrap_or_default().to_owned(), reply.to_string()));
        }
    }
    Ok(("dot".into(), client.message(&note())?.to_string()))
}

#[test]
fn refusals_have_their_replies_at_every_stage() -> Result<()> {
    for (code, stage) in
        [('H', "EHLO"), ('M', "MAIL"), ('R', "RCPT"), ('T', "dot"), ('L', "dot"), ('B', "dot"), ('E', "dot")]
    {
        for (answer, wanted) in [
            ("r", "503 5.5.3"),
            ("t", "451 4.3.5"),
            ("y550 5.7.1 not today\0", "550 5.7.1 not today"),
            ("y451 4.7.1 later\0", "451 4.7.1 later"),
        ] {
            let bench =
                Bench::start(ALL_STAGES, move |told| (told.code == code).then(|| Reaction::say(&[answer])))?;
            let (at, reply) = play(&bench)?;
            ensure!(at == stage && reply.starts_with(wanted), "{answer} to {code}: {reply} at {at}");
            ensure!(bench.hop.stored().is_empty());
        }
    }
    Ok(())
}

#[test]
fn a_refusal_at_connect_ends_the_session() -> Result<()> {
    let bench = Bench::start(ALL_STAGES, |told| {
        (told.code == 'C').then(|| Reaction::say(&["y554 5.7.1 go away\0"]))
    })?;
    let mut client = Client::connect_silent(bench.site.address())?;
    let reply = client.reply()?;
    ensure!(reply.is("554 5.7.1 go away"), "{reply}");
    ensure!(client.is_closed(Duration::from_secs(5))?);
    Ok(())
}

#[test]
fn several_lines_of_a_reply_stay_several() -> Result<()> {
    let bench = Bench::start("", |told| {
        (told.code == 'E').then(|| Reaction::say(&["y550-5.7.1 first\r\n550 5.7.1 second\0"]))
    })?;
    let (_, reply) = play(&bench)?;
    ensure!(reply.starts_with("550 5.7.1 first / 5.7.1 second [id "), "{reply}");
    Ok(())
}

#[test]
fn a_shutdown_is_421_and_a_connection_failure_says_nothing() -> Result<()> {
    for (answer, wanted) in
        [("4", Some("421 4.3.0")), ("y421 4.7.0 enough\0", Some("421 4.7.0 enough")), ("f", None)]
    {
        let bench =
            Bench::start(ALL_STAGES, move |told| (told.code == 'M').then(|| Reaction::say(&[answer])))?;
        let mut client = bench.client()?;
        client.expect("EHLO client.example.org", "250")?;
        client.send(b"MAIL FROM:<s@example.org>\r\n")?;
        match (client.reply(), wanted) {
            (Ok(reply), Some(wanted)) => ensure!(reply.is(wanted), "{reply}"),
            (Err(_), None) => {}
            (reply, _) => anyhow::bail!("{answer}: {reply:?}"),
        }
        ensure!(client.is_closed(Duration::from_secs(5))?);
    }
    Ok(())
}

#[test]
fn a_discard_is_a_success_that_delivers_nothing() -> Result<()> {
    for code in ['M', 'R', 'T', 'L', 'B', 'E'] {
        let bench = Bench::start(ALL_STAGES, move |told| (told.code == code).then(|| Reaction::say(&["d"])))?;
        let (at, reply) = play(&bench)?;
        ensure!(at == "dot" && reply.starts_with("250 2.0.0"), "discard at {code}: {reply} at {at}");
        ensure!(bench.hop.stored().is_empty(), "discard at {code} was delivered");
    }
    Ok(())
}

#[test]
fn accept_ends_the_questions_of_a_session_or_a_transaction() -> Result<()> {
    for (code, messages) in [('C', 0), ('H', 0), ('M', 2), ('R', 2)] {
        let bench = Bench::start(ALL_STAGES, move |told| match told.code {
            'E' => Some(Reaction::say(&["r"])),
            told if told == code => Some(Reaction::say(&["a"])),
            _ => None,
        })?;
        let mut client = bench.client()?;
        client.expect("EHLO client.example.org", "250")?;
        for _ in 0..2 {
            client.envelope("s@example.org", &["user@example.test"])?;
            ensure!(client.message(&note())?.is("250 2.0.0"), "after accept at {code}");
        }
        client.quit();
        let commands = bench.commands()?;
        ensure!(
            commands.iter().filter(|told| told.starts_with('M')).count() == messages,
            "{code}: {commands:?}"
        );
        assert_eq!(bench.hop.stored().len(), 2);
    }
    Ok(())
}

#[test]
fn accept_at_the_end_keeps_the_changes() -> Result<()> {
    let bench = Bench::start("", |told| (told.code == 'E').then(|| Reaction::say(&["hX-Kept\0yes\0", "a"])))?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    ensure!(bench.stored()?.contains("X-Kept: yes\r\n"));
    Ok(())
}

#[test]
fn a_refusal_at_the_end_drops_the_changes_with_the_message() -> Result<()> {
    let bench = Bench::start("", |told| (told.code == 'E').then(|| Reaction::say(&["hX-Lost\0yes\0", "r"])))?;
    ensure!(bench.send(&note())?.is("503 5.5.3"));
    ensure!(bench.hop.stored().is_empty());
    Ok(())
}

#[test]
fn skip_ends_the_body() -> Result<()> {
    let bench = Bench::start("", |told| (told.code == 'B').then(|| Reaction::say(&["s"])))?;
    ensure!(bench.send(&postern_tests::client::letter("skipped", 500_000))?.is("250 2.0.0"));
    let commands = bench.commands()?;
    assert_eq!(commands.iter().filter(|told| told.starts_with('B')).count(), 1);
    ensure!(commands.iter().any(|told| told == "E"));
    Ok(())
}

#[test]
fn progress_starts_the_time_for_an_answer_anew() -> Result<()> {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    // The milter answers each `p` only when the test lets it: three times over half of the limit.
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let bench = Bench::start("timeoutData: 1s", move |told| match told.code {
        'O' => Some(agree(0x7f)),
        'E' => {
            let beats = wait.lock().map(|wait| wait.recv().is_ok()).unwrap_or(false);
            Some(if beats {
                Reaction::say(&["p", "p", "hX-Slow\0yes\0", "p", "c"])
            } else {
                Reaction::silence()
            })
        }
        _ => None,
    })?;
    go.send(())?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    ensure!(bench.stored()?.contains("X-Slow: yes\r\n"));
    Ok(())
}

#[test]
fn every_change_arrives() -> Result<()> {
    let bench = Bench::start("", |told| {
        (told.code == 'E').then(|| {
            Reaction::say(&[
                "hX-Top\0one\0",
                "hX-Top\0two\r\n\tfolded\0",
                "i\0\0\0\u{2}X-Third\0three\0",
                "i\0\0\0\u{63}X-Last\0last\0",
                "m\0\0\0\u{1}Subject\0changed\0",
                "m\0\0\0\u{1}Date\0\0",
                "m\0\0\0\u{1}X-New\0new\0",
                "m\0\0\0\u{1}X-Nothing\0\0",
                "bnew ",
                "bbody\r\n",
                "+<bcc@example.test>\0",
                "+bcc@example.test\0",
                "2dsn@example.test\0NOTIFY=NEVER nonsense=1\0",
                "-<user@example.test>\0",
                "e<new@example.org>\0ENVID=abc\0",
                "qodd looking\0",
                "c",
            ])
        })
    })?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    let stored = bench.stored()?;
    let text = String::from_utf8_lossy(&stored.message).replace("\r\n\t", " ").replace("\r\n", "\n");
    let fields: Vec<&str> = text
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| {
            !line.starts_with("Received")
                && !line.starts_with("Authentication")
                && !line.starts_with("Return-Path")
        })
        .collect();
    let wanted = [
        "X-Top: one",
        "X-Top: two folded",
        "X-New: new",
        "X-Quarantine: odd looking",
        "From: <sender@example.org>",
        "To: <user@example.test>",
        "X-Third: three",
        "Subject: changed",
        "Message-ID: <note@example.org>",
        "X-Last: last",
    ];
    let without_date: Vec<&str> = fields.iter().copied().filter(|line| !line.starts_with("Date:")).collect();
    assert_eq!(without_date, wanted);
    ensure!(text.ends_with("\n\nnew body\n"), "{text}");
    assert_eq!(stored.recipients, ["bcc@example.test", "dsn@example.test"]);
    ensure!(
        stored.sender.starts_with("<new@example.org>") && stored.sender.contains("ENVID=abc"),
        "{}",
        stored.sender
    );
    Ok(())
}

#[test]
fn a_message_without_recipients_is_taken_and_delivered_nowhere() -> Result<()> {
    let bench =
        Bench::start("", |told| (told.code == 'E').then(|| Reaction::say(&["-user@example.test\0", "c"])))?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    ensure!(bench.hop.stored().is_empty());
    Ok(())
}
