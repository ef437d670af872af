//! SMTP smuggling (published in December 2023): octets that one server takes for the end of a message and another does not. The gate
//! ends data at CRLF `.` CRLF alone, and hands on lines that end in CRLF alone, so neither side of it can be fooled.

use anyhow::{Result, ensure};
use postern_tests::client::Client;
use postern_tests::hop::{Hop, Protocol, Stored};
use postern_tests::manifests::{object, relay};
use postern_tests::site::Site;

/// Octets that some server somewhere took for the end of a message.
const FALSE_ENDS: [&[u8]; 13] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\n.\r",
    b"\r.\n",
];
const SMUGGLED: &[u8] =
    b"MAIL FROM:<admin@example.test>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil";

#[test]
fn no_false_end_of_data_lets_a_second_message_in() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let site = Site::start(&relay("hop", hop.address(), ""))?;
    for (number, end) in FALSE_ENDS.into_iter().enumerate() {
        let mut client = Client::connect(site.address())?;
        client.open("s@example.org", &["user@example.test"])?;
        client.send(&[b"Subject: outer\r\n\r\nbefore", end, SMUGGLED, b"\r\n.\r\n"].concat())?;
        let reply = client.reply()?;
        ensure!(reply.is("250 2.0.0"), "{end:?} was answered {reply}");
        // Exactly one answer: the next one is that of NOOP.
        client.expect("NOOP", "250 2.0.0")?;
        let stored = hop.stored();
        ensure!(stored.len() == number + 1, "{end:?} made {} messages", stored.len() - number);
        let last = stored.last().map(check).transpose()?;
        ensure!(last.is_some(), "{end:?} made no message");
    }
    Ok(())
}

#[test]
fn a_chunk_with_an_end_of_data_inside_is_one_message_for_a_next_hop_without_chunking() -> Result<()> {
    let hop = Hop::with_extensions(Protocol::Smtp, &["PIPELINING", "8BITMIME"])?;
    let site = Site::start(&relay("hop", hop.address(), ""))?;
    let ends = FALSE_ENDS.into_iter().chain([&b"\r\n.\r\n"[..]]);
    for (number, end) in ends.enumerate() {
        let mut client = Client::connect(site.address())?;
        client.expect("EHLO client.example.org", "250")?;
        client.expect("MAIL FROM:<s@example.org>", "250")?;
        client.expect("RCPT TO:<user@example.test>", "250")?;
        let message = [b"Subject: outer\r\n\r\nbefore", end, SMUGGLED, b"\r\n"].concat();
        client.send(&[format!("BDAT {} LAST\r\n", message.len()).as_bytes(), &message].concat())?;
        let reply = client.reply()?;
        ensure!(reply.is("250 2.0.0"), "{end:?} was answered {reply}");
        let stored = hop.stored();
        ensure!(stored.len() == number + 1, "{end:?} made {} messages", stored.len() - number);
        stored.last().map(check).transpose()?;
    }
    Ok(())
}

#[test]
fn bare_line_ends_can_be_refused() -> Result<()> {
    let hop = Hop::start(Protocol::Smtp)?;
    let strict = object("MtaStageData", "default", "{bareLineEnds: Reject}");
    let site = Site::start(&(relay("hop", hop.address(), "") + &strict))?;
    for end in [&b"\n.\n"[..], b"\r.\r", b"a\nb", b"a\rb"] {
        let mut client = Client::connect(site.address())?;
        client.open("s@example.org", &["user@example.test"])?;
        client.send(&[b"Subject: outer\r\n\r\nbefore", end, b"\r\n.\r\n"].concat())?;
        let reply = client.reply()?;
        ensure!(reply.is("550 5.6.0"), "{end:?} was answered {reply}");
    }
    assert!(hop.stored().is_empty());
    Ok(())
}

/// One outer message whose lines all end in CRLF, for the one recipient that was given.
fn check(stored: &Stored) -> Result<()> {
    let message = &stored.message;
    ensure!(stored.recipients == ["user@example.test"], "{stored:?}");
    ensure!(stored.contains("before") && stored.contains("Subject: smuggled"), "the data was cut");
    let bare = message.iter().enumerate().find(|(at, octet)| match octet {
        b'\n' => at.checked_sub(1).and_then(|before| message.get(before)) != Some(&b'\r'),
        b'\r' => message.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    ensure!(
        bare.is_none(),
        "a bare line end at {bare:?} in {}",
        String::from_utf8_lossy(message).escape_debug()
    );
    Ok(())
}
