//! The course of a transaction that goes well, and what is passed on.

use postern_core::policy::route::RouteTarget;
use postern_core::smtp::parameters::{BodyType, DsnReturn, Notify, OriginalRecipient};

use super::hop::{At, Do, Hop, MODERN, PIPELINING};
use super::*;

#[tokio::test]
async fn one_recipient_takes_one_round_trip_with_chunking() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let delivered = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert_eq!(overall(&delivered), OK);
    let seen = hop.seen();
    assert_eq!(
        seen.commands,
        [
            "EHLO gate.example",
            "MAIL FROM:<sender@example.org> SIZE=26",
            "RCPT TO:<a@example.com>",
            "BDAT 26 LAST"
        ]
    );
    assert!(seen.reads[1].starts_with("MAIL RCPT BDAT"), "{:?}", seen.reads);
    assert_eq!(seen.messages, [TEXT]);
}

#[tokio::test]
async fn several_recipients_wait_before_chunks() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let delivery = delivery(&[("a@example.com", &route), ("b@example.com", &route)]).await;
    assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
    assert_eq!(hop.seen().reads[1], "MAIL RCPT RCPT");
    assert_eq!(hop.seen().messages, [TEXT]);
}

#[tokio::test]
async fn data_goes_out_with_the_envelope() {
    let hop = Hop::friendly(PIPELINING).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let delivery = delivery(&[("a@example.com", &route), ("b@example.com", &route)]).await;
    assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
    assert_eq!(hop.seen().reads[1], "MAIL RCPT RCPT DATA");
    assert_eq!(hop.seen().messages, [TEXT]);
}

#[tokio::test]
async fn without_pipelining_each_command_waits() {
    let hop = Hop::friendly(&[]).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let delivery = delivery(&[("a@example.com", &route), ("b@example.com", &route)]).await;
    assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
    assert_eq!(&hop.seen().reads[1..], ["MAIL", "RCPT", "RCPT", "DATA"]);
}

#[tokio::test]
async fn a_hop_without_ehlo_is_greeted_with_helo() {
    let hop = Hop::start(&[], |at| (*at == At::Ehlo).then_some(Do::Say("502 5.5.1 what"))).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let delivered = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert_eq!(overall(&delivered), OK);
    assert_eq!(hop.commands()[1], "HELO gate.example");
}

#[tokio::test]
async fn more_recipients_than_a_batch_are_put_in_order() {
    let hop = Hop::friendly(PIPELINING).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let names: Vec<String> = (0..250).map(|n| format!("r{n}@example.com")).collect();
    let copies: Vec<_> = names.iter().map(|name| (name.as_str(), &route)).collect();
    let delivered = hand_off.deliver(delivery(&copies).await).await;
    assert_eq!((overall(&delivered).as_str(), delivered.outcomes.len()), (OK, 250));
    let put: Vec<_> = hop.commands().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(put, names.iter().map(|name| format!("RCPT TO:<{name}>")).collect::<Vec<_>>());
}

#[tokio::test]
async fn large_messages_stream_from_their_file() {
    let octets = large_message();
    for keywords in [MODERN, PIPELINING] {
        let hop = Hop::friendly(keywords).await;
        let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
        let delivered = hand_off.deliver(delivery_of(&octets, &[("a@example.com", &route)]).await).await;
        assert_eq!(overall(&delivered), OK);
        let expected = match keywords.contains(&"CHUNKING") {
            true => octets.clone(),
            false => String::from_utf8(octets.clone()).unwrap().replace("\r\n.", "\r\n..").into_bytes(),
        };
        assert!(hop.seen().messages == [expected]);
    }
}

#[tokio::test]
async fn what_the_client_asked_for_reaches_a_hop_that_offers_it() {
    const ALL: &[&str] =
        &["PIPELINING", "8BITMIME", "SIZE", "DSN", "MT-PRIORITY", "DELIVERBY", "FUTURERELEASE"];
    for (keywords, mail, rcpt) in [
        (
            ALL,
            " SIZE=26 BODY=7BIT RET=HDRS ENVID=id+2B1 MT-PRIORITY=3",
            " NOTIFY=FAILURE ORCPT=rfc822;old@x.org",
        ),
        (PIPELINING, " BODY=7BIT", ""),
    ] {
        let hop = Hop::friendly(keywords).await;
        let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
        let mut delivery = delivery(&[("a@example.com", &route)]).await;
        delivery.mailings[0].parameters.body = Some(BodyType::EightBitMime);
        delivery.mailings[0].parameters.ret = Some(DsnReturn::Headers);
        delivery.mailings[0].parameters.envid = Some("id+1".into());
        delivery.mailings[0].parameters.mt_priority = Some(3);
        delivery.mailings[0].parameters.auth = Some("somebody@else".into());
        let parameters = &mut delivery.mailings[0].copies[0].recipient.parameters;
        parameters.notify = Some(Notify { failure: true, ..Notify::default() });
        parameters.orcpt = Some(OriginalRecipient { kind: "rfc822".into(), address: "old@x.org".into() });
        assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
        assert_eq!(hop.commands()[1], format!("MAIL FROM:<sender@example.org>{mail}"));
        assert_eq!(hop.commands()[2], format!("RCPT TO:<a@example.com>{rcpt}"));
    }
}

#[tokio::test]
async fn what_a_message_cannot_do_without_is_refused_before_anything_is_sent() {
    let eight_bit = "Subject: x\r\n\r\ncaf\u{e9}\r\n".as_bytes();
    let utf8_header = "Subject: caf\u{e9}\r\n\r\nx\r\n".as_bytes();
    let big = b"Subject: x\r\n\r\n123456789012345678901234567890\r\n";
    type Change = fn(&mut Delivery);
    let cases: [(&[u8], &'static [&'static str], Change, &str); 6] = [
        (eight_bit, &["PIPELINING"], |_| (), "554 5.6.3"),
        (utf8_header, &["8BITMIME"], |delivery| delivery.mailings[0].parameters.smtputf8 = true, "550 5.6.7"),
        (
            TEXT,
            &["8BITMIME"],
            |delivery| delivery.mailings[0].sender = address("\u{e9}@example.org").into(),
            "550 5.6.7",
        ),
        (TEXT, MODERN, |delivery| delivery.mailings[0].parameters.require_tls = true, "550 5.7.10"),
        (
            b"A: b\r\n\r\nbare\nline\0",
            MODERN,
            |delivery| delivery.mailings[0].parameters.body = Some(BodyType::BinaryMime),
            "554 5.6.3",
        ),
        (big, &["SIZE 40"], |_| (), "552 5.3.4"),
    ];
    for (octets, keywords, change, wanted) in cases {
        let hop = Hop::friendly(keywords).await;
        let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
        let mut delivery = delivery_of(octets, &[("a@example.com", &route)]).await;
        change(&mut delivery);
        let delivered = hand_off.deliver(delivery).await;
        assert!(overall(&delivered).starts_with(wanted), "{wanted}: {}", overall(&delivered));
        assert_eq!(hop.commands(), ["EHLO gate.example"]);
    }
}

#[tokio::test]
async fn what_a_message_makes_no_use_of_is_not_demanded() {
    let hop = Hop::friendly(PIPELINING).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let mut delivery = delivery(&[("a@example.com", &route)]).await;
    delivery.mailings[0].parameters.smtputf8 = true;
    delivery.mailings[0].parameters.body = Some(BodyType::BinaryMime);
    assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
}

#[tokio::test]
async fn delivered_to_stands_in_copies_with_one_recipient_where_the_route_says_so() {
    type Make = fn(&[u16]) -> Relay;
    let marked: Make = |ports| Relay { add_delivered_to: true, ..relay(ports) };
    for (make, recipients, wanted) in [
        (relay as Make, 1, false),
        (marked, 1, true),
        (marked, 2, false),
        (lmtp as Make, 1, true),
        (lmtp as Make, 2, false),
    ] {
        let hop = Hop::friendly(MODERN).await;
        let (hand_off, route) = (hand_off(), route("r", make(&[hop.port])));
        let copies = [("a@example.com", &route), ("b@example.com", &route)];
        let mut delivery = delivery(&copies[..recipients]).await;
        delivery.delivered_to = true;
        assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
        let message = hop.seen().messages.remove(0);
        assert_eq!(message.starts_with(b"Delivered-To: a@example.com\r\nSubject:"), wanted);
    }
}

#[tokio::test]
async fn a_discarded_message_is_delivered_to_nobody_and_accepted() {
    let nowhere = Arc::new(Route { name: "null".into(), target: RouteTarget::Discard });
    let delivered = hand_off().deliver(delivery(&[("a@example.com", &nowhere)]).await).await;
    assert_eq!(overall(&delivered), OK);
}
