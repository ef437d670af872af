//! Next hops that refuse, lie, hang or break, at every point of a transaction.

use super::hop::{At, Do, Hop, MODERN, PIPELINING};
use super::*;

fn is_at(at: &At, wanted: &At) -> bool {
    std::mem::discriminant(at) == std::mem::discriminant(wanted)
}

/// The points that a hop with these keywords comes to.
fn points_of(keywords: &[&str]) -> impl Iterator<Item = At> {
    let chunks = keywords.contains(&"CHUNKING");
    points().into_iter().filter(move |point| !(chunks && *point == At::Data))
}

fn points() -> [At; 6] {
    [At::Greeting, At::Ehlo, At::Mail, At::Rcpt(String::new()), At::Data, At::Message(String::new())]
}

/// What one recipient's client hears when the hop does `what` at `point`.
async fn told(point: At, keywords: &'static [&'static str], what: Do) -> (String, Hop) {
    let hop = Hop::start(keywords, move |at| is_at(at, &point).then(|| what.clone())).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let delivered = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    (overall(&delivered), hop)
}

/// Whether a reply at that point is about the message, and not about the connection.
fn concerns_message(point: &At) -> bool {
    !matches!(point, At::Greeting | At::Ehlo)
}

#[tokio::test]
async fn refusals_for_now_become_451_at_every_point() {
    for keywords in [PIPELINING, &[]] {
        for point in points() {
            let wanted = if concerns_message(&point) { "451 4.7.1 later" } else { LOST };
            let (reply, _hop) = told(point.clone(), keywords, Do::Say("450 4.7.1 later")).await;
            assert_eq!(reply, wanted, "{point:?}");
        }
    }
}

#[tokio::test]
async fn refusals_for_good_are_passed_on_at_every_point() {
    for keywords in [PIPELINING, &[]] {
        for point in points().into_iter().filter(concerns_message) {
            let (reply, _hop) = told(point.clone(), keywords, Do::Say("550 5.7.1 never")).await;
            assert_eq!(reply, "550 5.7.1 never", "{point:?}");
        }
        // A hop that does not want us says nothing about the message.
        let (reply, _hop) = told(At::Greeting, keywords, Do::Say("554 5.7.1 go away")).await;
        assert_eq!(reply, LOST);
    }
}

#[tokio::test]
async fn a_421_is_a_loss_at_every_point() {
    for keywords in [MODERN, PIPELINING, &[]] {
        for point in points_of(keywords) {
            let (reply, _hop) = told(point.clone(), keywords, Do::SayAndClose("421 4.3.2 closing")).await;
            assert_eq!(reply, LOST, "{point:?}");
        }
    }
}

#[tokio::test]
async fn a_close_is_a_loss_at_every_point() {
    for keywords in [MODERN, PIPELINING, &[]] {
        for point in points_of(keywords) {
            let (reply, _hop) = told(point.clone(), keywords, Do::Close).await;
            assert_eq!(reply, LOST, "{point:?}");
        }
    }
}

#[tokio::test]
async fn garbage_is_a_loss_at_every_point() {
    for garbage in ["HTTP/1.1 400 Bad Request", "\u{0}\u{1}\u{2}", "250-one\r\n550 two", "25", "", "2500 ok"]
    {
        for point in points() {
            let (reply, _hop) = told(point.clone(), PIPELINING, Do::SayAndClose(garbage)).await;
            assert_eq!(reply, LOST, "{point:?} {garbage:?}");
        }
    }
}

#[tokio::test]
async fn a_malformed_refusal_is_a_refusal() {
    for point in points().into_iter().filter(concerns_message) {
        let (reply, _hop) = told(point.clone(), PIPELINING, Do::SayAndClose("5no way")).await;
        assert_eq!(reply, "554 5.0.0 Transaction failed", "{point:?}");
    }
}

#[tokio::test]
async fn endless_replies_are_cut_off() {
    static ENDLESS: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| "250-x\r\n".repeat(100_000));
    let (reply, _hop) = told(At::Ehlo, PIPELINING, Do::Say(&ENDLESS)).await;
    assert_eq!(reply, LOST);
}

#[tokio::test]
async fn a_hang_is_a_loss_after_the_time_of_its_point() {
    for (point, limit) in [
        (At::Greeting, 30),
        (At::Ehlo, 30),
        (At::Mail, 30),
        (At::Rcpt(String::new()), 30),
        (At::Data, 30),
        (At::Message(String::new()), 300),
    ] {
        let started = Instant::now();
        let (reply, _hop) = told(point.clone(), PIPELINING, Do::Hang).await;
        tokio::time::resume();
        assert_eq!(reply, LOST, "{point:?}");
        let took = started.elapsed().as_secs();
        assert!((limit..limit + 2).contains(&took), "{point:?} took {took} s");
    }
}

#[tokio::test]
async fn a_slow_reply_counts_when_it_is_whole_in_time() {
    let slow = Do::Drip("250 ok", Duration::from_secs(1));
    let (reply, _hop) = told(At::Mail, PIPELINING, slow).await;
    assert_eq!(reply, OK);
}

#[tokio::test]
async fn a_reply_that_drips_does_not_stretch_the_time() {
    let started = Instant::now();
    let endless = Do::Drip("250 this goes on and on and on", Duration::from_secs(5));
    let (reply, _hop) = told(At::Mail, PIPELINING, endless).await;
    assert_eq!((reply.as_str(), started.elapsed().as_secs()), (LOST, 30));
}

#[tokio::test]
async fn the_client_s_patience_ends_everything() {
    let hop = Hop::start(PIPELINING, |at| matches!(at, At::Message(_)).then_some(Do::Hang)).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let mut delivery = delivery(&[("a@example.com", &route)]).await;
    let started = Instant::now();
    delivery.deadline = started + Duration::from_secs(7);
    assert_eq!(overall(&hand_off.deliver(delivery).await), LOST);
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn a_hop_that_stops_reading_is_given_up() {
    // Nothing reads behind this listener's backlog.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hop = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"220 hi\r\n").await.unwrap();
        let mut room = [0; 100];
        let _: usize = socket.read(&mut room).await.unwrap();
        socket.write_all(b"250-hop\r\n250 PIPELINING\r\n").await.unwrap();
        let _: usize = socket.read(&mut room).await.unwrap();
        socket.write_all(b"250 a\r\n250 b\r\n354 c\r\n").await.unwrap();
        tokio::time::pause();
        let () = std::future::pending().await;
    });
    let (hand_off, route) = (hand_off(), route("r", relay(&[port])));
    let octets =
        b"Subject: x\r\n\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 30 << 20)).collect::<Vec<_>>();
    let delivered = hand_off.deliver(delivery_of(&octets, &[("a@example.com", &route)]).await).await;
    assert_eq!(overall(&delivered), LOST);
    hop.abort();
}

#[tokio::test]
async fn one_refused_recipient_keeps_the_message_from_all_of_them() {
    for keywords in [MODERN, PIPELINING, &[]] {
        let script =
            |at: &At| (*at == At::Rcpt("b@example.com".into())).then_some(Do::Say("550 5.1.1 unknown"));
        let hop = Hop::start(keywords, script).await;
        let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
        let delivery = delivery(&[("a@example.com", &route), ("b@example.com", &route)]).await;
        let delivered = hand_off.deliver(delivery).await;
        assert_eq!(overall(&delivered), "550 5.1.1 <b@example.com>: unknown");
        let seen = hop.seen();
        assert!(seen.messages.is_empty(), "{keywords:?}");
        assert!(seen.unfinished.iter().all(Vec::is_empty), "not an octet of it left");
    }
}

#[tokio::test]
async fn a_refused_single_recipient_gets_nothing_although_the_message_went_ahead() {
    let hop =
        Hop::start(MODERN, |at| matches!(at, At::Rcpt(_)).then_some(Do::Say("550 5.1.1 unknown"))).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let delivered = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert_eq!(overall(&delivered), "550 5.1.1 unknown");
    assert!(hop.seen().messages.is_empty());
    assert_eq!(hop.commands().last().unwrap(), "RSET");
    let again = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert_eq!((overall(&again).as_str(), hop.seen().connections), ("550 5.1.1 unknown", 1));
}

#[tokio::test]
async fn a_hop_that_hangs_up_in_the_message_is_heard_first() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hop = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"220 hi\r\n").await.unwrap();
        let mut room = vec![0; 1 << 20];
        let _: usize = socket.read(&mut room).await.unwrap();
        socket.write_all(b"250-hop\r\n250 PIPELINING\r\n").await.unwrap();
        let _: usize = socket.read(&mut room).await.unwrap();
        socket.write_all(b"250 a\r\n250 b\r\n354 c\r\n").await.unwrap();
        let _: usize = socket.read(&mut room).await.unwrap();
        socket.write_all(b"552 5.3.4 that is enough\r\n").await.unwrap();
        // Reading on for a while lets the reply arrive before the reset.
        while socket.read(&mut room).await.is_ok_and(|read| read > 0) {}
    });
    let (hand_off, route) = (hand_off(), route("r", relay(&[port])));
    let delivered = hand_off.deliver(delivery_of(&large_message(), &[("a@example.com", &route)]).await).await;
    assert_eq!(overall(&delivered), "552 5.3.4 that is enough");
    hop.abort();
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let rude = Hop::start(MODERN, |at| (*at == At::Greeting).then_some(Do::Say("554 no"))).await;
    let busy = Hop::start(MODERN, |at| (*at == At::Mail).then_some(Do::SayAndClose("421 busy"))).await;
    let good = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[closed, rude.port, busy.port, good.port])));
    for _ in 0..2 {
        let delivered = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
        assert_eq!(overall(&delivered), OK);
    }
    assert_eq!(good.seen().messages.len(), 2);
    assert_eq!(rude.seen().connections, 1, "what failed a moment ago is asked last");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_no_reason_to_try_elsewhere() {
    let first = Hop::start(MODERN, |at| (*at == At::Mail).then_some(Do::Say("450 4.7.1 later"))).await;
    let second = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[first.port, second.port])));
    let delivered = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert_eq!(overall(&delivered), "451 4.7.1 later");
    assert_eq!(second.seen().connections, 0);
}

#[tokio::test]
async fn no_answer_to_a_whole_message_is_never_tried_elsewhere() {
    let first = Hop::start(MODERN, |at| (*at == At::Mail).then_some(Do::Close)).await;
    let second = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[first.port, second.port])));
    let delivered = hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert_eq!((overall(&delivered).as_str(), second.seen().connections), (LOST, 0));
}
