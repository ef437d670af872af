//! Clients that do not mean well or do not work well: the documented reply, and a gate that is none the worse for them.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use postern_tests::client::{Client, letter, stuffed};
use postern_tests::hop::{Hop, Protocol};
use postern_tests::manifests::{object, relay};
use postern_tests::site::Site;
use postern_tests::wait::{self, PATIENCE};

const RCPT: &str = "user@example.test";

#[test]
fn an_overlong_line_is_swallowed_and_the_session_goes_on() -> Result<()> {
    let (_hop, site) = standing("")?;
    for octets in [4097, 100_000, 5_000_000] {
        let mut client = Client::connect(site.address())?;
        client.send(&[vec![b'A'; octets], b"\r\n".to_vec()].concat())?;
        let reply = client.reply()?;
        ensure!(reply.is("554 5.3.4") || reply.is("500 5.5.1"), "{octets} octets were answered {reply}");
        client.expect("NOOP", "250 2.0.0")?;
    }
    Ok(())
}

#[test]
fn nul_and_8_bit_octets_in_commands_are_errors_and_no_more() -> Result<()> {
    let (_hop, site) = standing("")?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    let lines: [&[u8]; 5] = [
        b"NO\0OP\r\n",
        b"\0\0\0\0\r\n",
        b"\xff\xfe\xfd\r\n",
        b"MAIL FROM:<a\0b@example.org>\r\n",
        b"MAIL FROM:<caf\xe9@example.org>\r\n",
    ];
    for line in lines {
        client.send(line)?;
        let reply = client.reply()?;
        ensure!(reply.code / 100 == 5, "{line:?} was answered {reply}");
    }
    client.open("s@example.org", &[RCPT])?;
    ensure!(client.message(&letter("after-the-noise", 300))?.is("250 2.0.0"), "{}", client.transcript());
    Ok(())
}

#[test]
fn a_header_without_an_end_is_read_to_the_limit_and_refused() -> Result<()> {
    let (hop, site) = standing("{maxMessageSize: 1000000}")?;
    let mut client = Client::connect(site.address())?;
    client.open("s@example.org", &[RCPT])?;
    client.send(b"Subject: ")?;
    for _ in 0..100 {
        client.send(&[b'x'; 100_000])?;
    }
    client.send(b"\r\n.\r\n")?;
    let reply = client.reply()?;
    ensure!(reply.is("552 5.3.4"), "{reply}");
    client.expect("NOOP", "250 2.0.0")?;
    assert!(hop.stored().is_empty());
    Ok(())
}

#[test]
fn lies_about_the_size_of_a_chunk_are_refused() -> Result<()> {
    let (hop, site) = standing("")?;
    let mut client = Client::connect(site.address())?;
    client.expect("EHLO client.example.org", "250")?;
    client.expect("MAIL FROM:<s@example.org>", "250")?;
    client.expect(&format!("RCPT TO:<{RCPT}>"), "250")?;
    for lie in ["BDAT", "BDAT -1", "BDAT x LAST", "BDAT 5 FIRST", "BDAT 99999999999999999999999999 LAST"] {
        client.expect(lie, "501 5.5.2")?;
    }
    // Promises more than it sends, and goes.
    client.send(b"BDAT 100000 LAST\r\nSubject: cut\r\n\r\nshort")?;
    drop(client);
    let mut next = Client::connect(site.address())?;
    next.open("s@example.org", &[RCPT])?;
    ensure!(next.message(&letter("whole", 300))?.is("250 2.0.0"), "{}", next.transcript());
    assert_eq!(hop.stored().len(), 1, "the cut message was handed on");
    Ok(())
}

#[test]
fn a_message_that_comes_octet_by_octet_is_taken() -> Result<()> {
    let (hop, site) = standing("")?;
    let mut client = Client::connect(site.address())?;
    client.open("s@example.org", &[RCPT])?;
    for octet in stuffed(&letter("drop-by-drop", 600)) {
        client.send(&[octet])?;
    }
    let reply = client.reply()?;
    ensure!(reply.is("250 2.0.0"), "{reply}");
    assert_eq!(hop.copies("drop-by-drop", RCPT), 1);
    Ok(())
}

#[test]
fn sudden_ends_at_every_octet_leave_nothing_behind() -> Result<()> {
    let (hop, mut site) = standing("")?;
    let session = [
        b"EHLO client.example.org\r\nMAIL FROM:<s@example.org>\r\nRCPT TO:<user@example.test>\r\nDATA\r\n"
            .to_vec(),
        letter("cut", 200),
        b".\r".to_vec(),
    ]
    .concat();
    // One whole session first, so that the pool has its connection to the next hop.
    let mut client = Client::connect(site.address())?;
    client.open("s@example.org", &[RCPT])?;
    ensure!(client.message(&letter("warm", 300))?.is("250"), "{}", client.transcript());
    client.quit();
    let before = settled_files(&mut site)?;
    for end in 0..session.len() {
        Client::connect_silent(site.address())?.send(session.get(..end).unwrap_or_default())?;
    }
    wait::until("the sessions to be given up", PATIENCE, || {
        Ok((site.gate.program().open_files()? <= before + FEW).then_some(()))
    })?;
    assert_eq!(hop.stored().len(), 1, "a message without an end was handed on");
    none_the_worse(&mut site)
}

#[test]
fn noise_of_every_sort_is_survived() -> Result<()> {
    let (_hop, mut site) = standing("")?;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        let mut client = Client::connect_silent(site.address())?;
        for _ in 0..noise.below(20) {
            let words: [&[u8]; 14] = [
                b"EHLO a.example\r\n",
                b"MAIL FROM:<a@example.org>",
                b"RCPT TO:<b@example.test>",
                b"\r\n",
                b"DATA\r\n",
                b"BDAT 10\r\n",
                b" SIZE=1",
                b"\n",
                b"\r",
                b".\r\n",
                b"AUTH PLAIN ",
                b"STARTTLS\r\n",
                b"\0",
                b"PROXY TCP4 ",
            ];
            let word = words.get(noise.below(words.len())).copied().unwrap_or_default();
            let random: Vec<u8> = (0..noise.below(40)).map(|_| noise.below(256) as u8).collect();
            // The gate may have closed the connection: a PROXY header, a limit.
            if client.send(if noise.below(3) == 0 { &random } else { word }).is_err() {
                break;
            }
        }
    }
    none_the_worse(&mut site)
}

/// The gate still runs, takes mail, and never panicked.
fn none_the_worse(site: &mut Site) -> Result<()> {
    site.gate.program().must_run()?;
    let mut client = Client::connect(site.address())?;
    client.open("s@example.org", &[RCPT])?;
    ensure!(client.message(&letter("still-here", 300))?.is("250 2.0.0"), "{}", client.transcript());
    let log = site.log()?;
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

/// How many files are open once nothing changes any more.
fn settled_files(site: &mut Site) -> Result<usize> {
    let mut last = usize::MAX;
    wait::until("the open files to settle", PATIENCE, || {
        thread::sleep(Duration::from_millis(100));
        let now = site.gate.program().open_files()?;
        let settled = now == last;
        last = now;
        Ok(settled.then_some(now))
    })
}

fn standing(data: &str) -> Result<(Hop, Site)> {
    let hop = Hop::start(Protocol::Smtp)?;
    let data = if data.is_empty() { String::new() } else { object("MtaStageData", "default", data) };
    let site = Site::start(&(relay("hop", hop.address(), "") + &data))?;
    Ok((hop, site))
}

/// Connections to the next hop that the pool may have opened meanwhile.
const FEW: usize = 4;

/// The same noise in every run (xorshift).
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
