//! SMTP smuggling, outwards: no hop, strict or lax, sees another message than the one that was sent.

use super::hop::{Hop, MODERN, PIPELINING};
use super::*;

/// What follows the header section in the published attacks (SEC Consult, December 2023).
const ATTACKS: &[&[u8]] = &[
    b"\n.\nMAIL FROM:<evil@x>\r\n",
    b"\n.\r\nMAIL FROM:<evil@x>\r\n",
    b"\r.\rMAIL FROM:<evil@x>\r\n",
    b"\r.\r\nMAIL FROM:<evil@x>\r\n",
    b"\r\n.\nMAIL FROM:<evil@x>\r\n",
    b"\r\n.\rMAIL FROM:<evil@x>\r\n",
    b"\r\r\n.\r\r\nMAIL FROM:<evil@x>\r\n",
    b"\r\n\0.\r\nMAIL FROM:<evil@x>\r\n",
    b"\r\n.\r\nMAIL FROM:<evil@x>\r\n",
    b".\r\nMAIL FROM:<evil@x>\r\n",
    b".",
    b"\r\n.",
    b"\r\n.\r",
    b"no line end",
    b"ends with cr\r",
    b"ends with lf\n",
];

/// How many messages a reader of DATA finds that takes CR, LF and CRLF for line ends alike.
fn messages_of_a_lax_reader(wire: &[u8]) -> usize {
    let text = String::from_utf8_lossy(wire).replace("\r\n", "\n").replace('\r', "\n");
    text.split('\n').filter(|line| *line == ".").count()
}

async fn sent(keywords: &'static [&'static str], attack: &[u8]) -> (String, Vec<Vec<u8>>, usize) {
    let hop = Hop::friendly(keywords).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let octets = [b"Subject: x\r\n\r\ntext", attack].concat();
    let delivered = hand_off.deliver(delivery_of(&octets, &[("a@example.com", &route)]).await).await;
    let seen = hop.seen();
    let envelopes = seen.commands.iter().filter(|line| line.starts_with("MAIL")).count();
    (overall(&delivered), seen.messages, envelopes)
}

#[tokio::test]
async fn a_strict_hop_sees_one_message_and_one_envelope() {
    for attack in ATTACKS {
        for keywords in [MODERN, PIPELINING, &[]] {
            let (reply, messages, envelopes) = sent(keywords, attack).await;
            assert_eq!((reply.as_str(), messages.len(), envelopes), (OK, 1, 1), "{attack:?}");
        }
    }
}

#[tokio::test]
async fn a_lax_hop_finds_no_lone_dot_within_data() {
    for attack in ATTACKS {
        let (_, messages, _) = sent(PIPELINING, attack).await;
        assert_eq!(messages_of_a_lax_reader(&messages[0]), 0, "{attack:?}");
        assert!(messages[0].ends_with(b"\r\n"));
    }
}

#[tokio::test]
async fn bare_line_ends_do_not_travel_in_chunks() {
    for attack in ATTACKS {
        let (_, messages, _) = sent(MODERN, attack).await;
        assert!(crate::message::Survey::of(&messages[0]).is_whole_lines_of_crlf(), "{attack:?}");
    }
}

#[tokio::test]
async fn dots_survive_the_way_there() {
    for keywords in [MODERN, PIPELINING] {
        let (_, messages, _) = sent(keywords, b"\r\n.\r\n..\r\n.x\r\n").await;
        let unstuffed = match keywords.contains(&"CHUNKING") {
            true => messages[0].clone(),
            false => String::from_utf8(messages[0].clone()).unwrap().replace("\r\n.", "\r\n").into_bytes(),
        };
        assert_eq!(unstuffed, b"Subject: x\r\n\r\ntext\r\n.\r\n..\r\n.x\r\n");
    }
}

#[tokio::test]
async fn a_hostname_cannot_smuggle_a_command() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let mut delivery = delivery(&[("a@example.com", &route)]).await;
    delivery.hostname = "gate\r\nQUIT".into();
    hand_off.deliver(delivery).await;
    assert_eq!(hop.commands()[0], "EHLO gateQUIT");
}
