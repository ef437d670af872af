//! What a milter is told: in which order, once, and with which octets.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_tests::client::{Client, letter};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::object;
use postern_tests::milter::{Milter, Reaction, agree, agree_on};

use crate::bench::{ALL_STAGES, Bench, is_intact, milter_object, note, site};

const NO_CONNECT_TO_RCPT: u32 = 0xf;
const SILENT: u32 = 0xf_f080;
const LEADING_SPACE: u32 = 0x10_0000;
const REFUSED_RECIPIENTS: u32 = 0x800;
const CHUNKS_256K: u32 = 0x1000_0000;
const CHUNKS_1M: u32 = 0x2000_0000;

/// The commands without those that carry the message.
fn outline(commands: &[String]) -> Vec<&str> {
    commands.iter().map(String::as_str).filter(|command| !command.starts_with(['L', 'B', 'O'])).collect()
}

#[test]
fn one_connection_tells_a_whole_session_once() -> Result<()> {
    let dsn = object("MtaExtensions", "default", "{dsn: true}");
    let bench = Bench::with_objects(ALL_STAGES, &dsn, |_| None)?;
    let mut client = bench.client()?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<reset@example.org> SIZE=100", "250")?;
    client.expect("RSET", "250")?;
    for mark in ["first", "second"] {
        client.expect("MAIL FROM:<s@example.org> BODY=8BITMIME", "250")?;
        client.expect("RCPT TO:<user@example.test> NOTIFY=NEVER", "250")?;
        client.expect("RCPT TO:<other@example.test>", "250")?;
        client.expect("DATA", "354")?;
        ensure!(client.message(&letter(mark, 400))?.is("250 2.0.0"));
    }
    client.expect("MAIL FROM:<gone@example.org>", "250")?;
    let port = client.local_port()?;
    client.quit();
    let commands = bench.commands()?;
    let connect = format!("C[127.0.0.1]|4{}127.0.0.1|", String::from_utf8_lossy(&port.to_be_bytes()));
    let connect = connect.replace('\0', "|");
    let mut wanted = vec![connect.as_str(), "Hclient.example.org|", "M<reset@example.org>|SIZE=100|", "A"];
    for _ in 0..2 {
        wanted.extend(["M<s@example.org>|BODY=8BITMIME|", "R<user@example.test>|NOTIFY=NEVER|"]);
        wanted.extend(["R<other@example.test>|", "T", "N", "E"]);
    }
    wanted.extend(["M<gone@example.org>|", "A", "Q"]);
    assert_eq!(outline(&commands), wanted);
    assert_eq!(bench.milter.connections(), 1);
    Ok(())
}

#[test]
fn what_went_before_is_told_when_the_milter_is_first_needed() -> Result<()> {
    let bench = Bench::start("", |_| None)?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    let commands = bench.commands()?;
    let codes: Vec<char> = outline(&commands).iter().filter_map(|command| command.chars().next()).collect();
    assert_eq!(codes, ['C', 'H', 'M', 'R', 'T', 'N', 'E', 'Q']);
    ensure!(
        commands.get(1).is_some_and(|connect| connect.starts_with("Cclient.example.org|4")),
        "{commands:?}"
    );
    Ok(())
}

#[test]
fn a_transaction_ends_for_the_milter_too_however_it_ends() -> Result<()> {
    for ending in ["RSET", "EHLO client.example.org", "QUIT"] {
        let bench = Bench::start("stages: [mail]", |_| None)?;
        let mut client = bench.client()?;
        client.expect("EHLO client.example.org", "250")?;
        client.expect("MAIL FROM:<s@example.org>", "250")?;
        client.command(ending)?;
        drop(client);
        let commands = bench.commands()?;
        let tail: Vec<&str> = outline(&commands).into_iter().rev().take(2).collect();
        assert_eq!(tail, ["Q", "A"], "after {ending}");
    }
    Ok(())
}

#[test]
fn the_body_has_exactly_its_octets() -> Result<()> {
    for (steps, most) in
        [(0, 65_535), (SILENT, 65_535), (CHUNKS_256K, 262_143), (CHUNKS_1M | SILENT, 1_048_575)]
    {
        let bench = Bench::start("", move |told| {
            (told.code == 'O')
                .then(|| agree(steps | NO_CONNECT_TO_RCPT))
                .or_else(|| (steps & SILENT != 0 && "TLNB".contains(told.code)).then(Reaction::silence))
        })?;
        let message = letter("octets", 3_000_000);
        ensure!(bench.send(&message)?.is("250 2.0.0"), "with {steps:x}");
        is_intact_large(&bench, &message)?;
        bench.milter.wait_idle(Duration::from_secs(20))?;
        let told = bench.milter.told();
        let parts: Vec<&Vec<u8>> =
            told.iter().filter(|told| told.code == 'B').map(|told| &told.payload).collect();
        ensure!(parts.iter().all(|part| part.len() <= most), "with {steps:x}");
        // Blocks of a file are cut into equal parts.
        let fit = message.len() / most.min(131_072) * 5 / 4 + 8;
        ensure!(parts.len() <= fit, "{} parts with {steps:x}", parts.len());
        let body = message.windows(4).position(|octets| octets == b"\r\n\r\n").context("no body")? + 4;
        let joined: Vec<u8> = parts.into_iter().flatten().copied().collect();
        ensure!(message.get(body..) == Some(&*joined), "{} octets with {steps:x}", joined.len());
    }
    Ok(())
}

/// The next hop keeps 4 MiB of a message, so that all of it is there.
fn is_intact_large(bench: &Bench, message: &[u8]) -> Result<()> {
    let stored = bench.stored()?;
    ensure!(stored.message.ends_with(message), "{} octets arrived", stored.octets);
    Ok(())
}

#[test]
fn header_fields_are_told_as_libmilter_promises() -> Result<()> {
    let message = b"Subject:  two\r\n\tlines\r\nX-None:\r\nx-odd : kept \r\n\r\nbody\r\n";
    for (steps, wanted) in [
        (0, ["LSubject| two\n\tlines|", "LX-None||", "Lx-odd|kept |"]),
        (LEADING_SPACE, ["LSubject|  two\n\tlines|", "LX-None||", "Lx-odd| kept |"]),
    ] {
        let bench = Bench::start("", move |told| (told.code == 'O').then(|| agree(steps)))?;
        ensure!(bench.send(message)?.is("250 2.0.0"));
        let commands = bench.commands()?;
        let fields: Vec<&str> =
            commands.iter().map(String::as_str).filter(|told| told.starts_with('L')).collect();
        assert_eq!(fields, wanted);
        is_intact(&bench.stored()?, message)?;
    }
    Ok(())
}

#[test]
fn steps_that_are_not_wanted_are_left_out_and_silent_ones_not_waited_for() -> Result<()> {
    let bench = Bench::start("", |told| match told.code {
        'O' => Some(agree(0x7f | 0x200)),
        _ => None,
    })?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    assert_eq!(outline(&bench.commands()?), ["E", "Q"]);
    let bench = Bench::start("timeoutData: 2s", |told| match told.code {
        'O' => Some(agree(SILENT)),
        'E' => None,
        _ => Some(Reaction::silence()),
    })?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    Ok(())
}

#[test]
fn version_2_has_no_data_and_hears_of_headers_alone() -> Result<()> {
    let bench =
        Bench::start("protocolVersion: v2", |told| (told.code == 'O').then(|| agree_on(2, 0x10, b"")))?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    let told = bench.milter.told();
    let offer = told.first().context("nothing was offered")?;
    assert_eq!(offer.payload, [2_u32, 0x3f, 0x7f].map(u32::to_be_bytes).concat());
    let commands = bench.commands()?;
    ensure!(!commands.iter().any(|told| told.starts_with(['T', 'B'])), "{commands:?}");
    Ok(())
}

#[test]
fn the_offer_is_all_that_is_honoured_or_what_the_policy_says() -> Result<()> {
    for (fields, actions, steps) in
        [("", 0x1ff, 0x301f_ffff_u32), ("flagsAction: 1, flagsProtocol: 66", 1, 66)]
    {
        let bench = Bench::start(fields, |_| None)?;
        ensure!(bench.send(&note())?.is("250 2.0.0"));
        let told = bench.milter.told();
        let offer = told.first().context("nothing was offered")?;
        assert_eq!(offer.payload, [6, actions, steps].map(u32::to_be_bytes).concat());
    }
    Ok(())
}

#[test]
fn lists_of_macros_are_obeyed() -> Result<()> {
    let lists = b"\0\0\0\0j {client_port}\0\0\0\0\x02{mail_addr}\0\0\0\0\x06i\0\0\0\0\x05\0";
    let bench = Bench::start("", move |told| (told.code == 'O').then(|| agree_on(6, 0, lists)))?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    let told = bench.milter.told();
    let macros: Vec<String> = told.iter().filter(|told| told.code == 'D').map(ToString::to_string).collect();
    let of = |code: char| macros.iter().find(|told| told.starts_with(&format!("D{code}")));
    ensure!(
        of('C').is_some_and(|told| told.starts_with("DCj|gate.example.test|{client_port}|")),
        "{macros:?}"
    );
    assert_eq!(of('M').map(String::as_str), Some("DM{mail_addr}|s@example.org|"));
    ensure!(of('N').is_some_and(|told| told.starts_with("DNi|")) && of('E').is_none(), "{macros:?}");
    Ok(())
}

#[test]
fn refused_recipients_are_told_to_those_who_ask() -> Result<()> {
    for (steps, told) in [(REFUSED_RECIPIENTS, true), (0, false)] {
        let bench = Bench::start(ALL_STAGES, move |told| (told.code == 'O').then(|| agree(steps)))?;
        let mut client = bench.client()?;
        client.expect("EHLO client.example.org", "250")?;
        client.expect("MAIL FROM:<s@example.org>", "250")?;
        client.expect("RCPT TO:<stranger@elsewhere.example>", "550 5.1.2")?;
        client.expect("RCPT TO:<user@example.test>", "250")?;
        client.quit();
        let commands = bench.commands()?;
        assert_eq!(commands.contains(&"R<stranger@elsewhere.example>|".to_owned()), told, "{commands:?}");
        let macros = bench.milter.told().iter().any(|told| told.to_string().contains("{rcpt_mailer}|error|"));
        assert_eq!(macros, told);
    }
    Ok(())
}

#[test]
fn a_recipient_that_the_milter_refuses_is_told_once() -> Result<()> {
    let bench = Bench::start(ALL_STAGES, |told| match told.code {
        'O' => Some(agree(REFUSED_RECIPIENTS)),
        'R' => Some(Reaction::say(&["y550 5.1.1 not here\0"])),
        _ => None,
    })?;
    let mut client = bench.client()?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<s@example.org>", "250")?;
    client.expect("RCPT TO:<user@example.test>", "550 5.1.1 not here")?;
    client.quit();
    let commands = bench.commands()?;
    assert_eq!(commands.iter().filter(|told| told.starts_with('R')).count(), 1, "{commands:?}");
    Ok(())
}

#[test]
fn a_milter_that_hangs_up_between_messages_is_connected_anew() -> Result<()> {
    let bench =
        Bench::start(ALL_STAGES, |told| (told.code == 'E').then(|| Reaction::say(&["c"]).then_close()))?;
    let mut client = bench.client()?;
    client.expect("EHLO client.example.org", "250")?;
    for mark in ["first", "second"] {
        client.envelope("s@example.org", &["user@example.test"])?;
        ensure!(client.message(&letter(mark, 400))?.is("250 2.0.0"));
    }
    client.quit();
    assert_eq!(bench.milter.connections(), 2);
    Ok(())
}

#[test]
fn a_unix_socket_works_like_tcp() -> Result<()> {
    let home = tempfile::tempdir()?;
    let milter = Milter::start_at(&home.path().join("milter.sock"), |told| {
        (told.code == 'E').then(|| Reaction::say(&["hX-Seen\0yes\0", "c"]))
    })?;
    let hop = Hop::start(Protocol::Smtp)?;
    let site = site(&hop, &milter_object(&milter.fields(), ""), "")?;
    let reply =
        postern_tests::client::deliver(site.address(), "s@example.org", &["user@example.test"], &note())?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    ensure!(hop.stored().iter().all(|stored| stored.contains("X-Seen: yes\r\n")));
    Ok(())
}

#[test]
fn every_address_of_a_name_is_tried() -> Result<()> {
    // `localhost` is ::1 before 127.0.0.1 on most machines; the milter is on the latter only.
    let (milter, hop) = (Milter::start(|_| None)?, Hop::start(Protocol::Smtp)?);
    let place = format!("hostname: localhost, port: {}", milter.address()?.port());
    let site = site(&hop, &milter_object(&place, ""), "")?;
    let reply =
        postern_tests::client::deliver(site.address(), "s@example.org", &["user@example.test"], &note())?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!(milter.connections(), 1);
    Ok(())
}

#[test]
fn nothing_is_asked_at_auth() -> Result<()> {
    let bench = Bench::start("stages: [auth]", |_| None)?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    assert_eq!(bench.milter.connections(), 0);
    Ok(())
}

#[test]
fn milters_run_by_order_and_each_sees_what_the_one_before_has_changed() -> Result<()> {
    let second = Milter::start(|told| (told.code == 'E').then(|| Reaction::say(&["hX-Second\0yes\0", "c"])))?;
    let other = object("MtaMilter", "another", &format!("{{{}, order: 5}}", second.fields()));
    let bench = Bench::with_objects("order: 1", &other, |told| {
        (told.code == 'E').then(|| {
            Reaction::say(&[
                "hX-First\0yes\0",
                "bnew body\r\n",
                "+more@example.test\0",
                "e<new@example.org>\0",
                "c",
            ])
        })
    })?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    second.wait_idle(Duration::from_secs(20))?;
    let commands = second.commands();
    for wanted in ["M<new@example.org>|", "R<more@example.test>|", "LX-First|yes|", "Bnew body\r\n"] {
        ensure!(commands.iter().any(|told| told == wanted), "{wanted} is not in {commands:?}");
    }
    let stored = bench.stored()?;
    ensure!(stored.contains("X-Second: yes\r\n") && stored.contains("X-First: yes\r\n"));
    ensure!(stored.contains("\r\n\r\nnew body\r\n") && stored.sender.starts_with("<new@example.org>"));
    assert_eq!(stored.recipients, ["user@example.test", "more@example.test"]);
    Ok(())
}

#[test]
fn an_observed_milter_changes_nothing() -> Result<()> {
    let mut bench = Bench::start(&format!("mode: Observe, {ALL_STAGES}"), |told| {
        "MRE".contains(told.code).then(|| Reaction::say(&["y550 5.7.1 no\0"]))
    })?;
    ensure!(bench.send(&note())?.is("250 2.0.0"));
    is_intact(&bench.stored()?, &note())?;
    let lines = bench.log_lines("would have acted")?;
    ensure!(lines.iter().any(|line| line.contains("reject")), "{lines:?}");
    Ok(())
}

#[test]
fn a_session_without_mail_ends_with_quit_alone() -> Result<()> {
    let bench = Bench::start("stages: [connect]", |_| None)?;
    let client: Client = bench.client()?;
    client.quit();
    let codes: Vec<char> = bench.commands()?.iter().filter_map(|command| command.chars().next()).collect();
    assert_eq!(codes, ['O', 'C', 'Q']);
    Ok(())
}
