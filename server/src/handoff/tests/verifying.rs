//! `verifyRecipients`.

use super::hop::{At, Do, Hop, MODERN, PIPELINING};
use super::*;

fn unknown(at: &At) -> Option<Do> {
    (*at == At::Rcpt("bad@example.com".into())).then_some(Do::Say("550 5.1.1 unknown"))
}

#[tokio::test]
async fn a_recipient_is_asked_about_once_in_ten_minutes() {
    for keywords in [MODERN, &[]] {
        let hop = Hop::start(keywords, unknown).await;
        let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
        let asked = || hop.commands().iter().filter(|line| line.starts_with("RCPT")).count();
        for _ in 0..3 {
            assert_eq!(verify(&hand_off, &route, "Good@example.com").await, Verification::Accepted);
            assert!(matches!(verify(&hand_off, &route, "bad@example.com").await, Verification::Refused(_)));
        }
        assert_eq!(asked(), 2);
        skip(Duration::from_secs(61)).await;
        verify(&hand_off, &route, "good@example.com").await;
        verify(&hand_off, &route, "bad@example.com").await;
        assert_eq!(asked(), 3, "a refusal is asked about again after a minute");
        skip(Duration::from_secs(600)).await;
        verify(&hand_off, &route, "good@example.com").await;
        assert_eq!(asked(), 4);
    }
}

#[tokio::test]
async fn asking_takes_one_round_trip_and_leaves_no_transaction() {
    let hop = Hop::friendly(PIPELINING).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    assert_eq!(verify(&hand_off, &route, "a@example.com").await, Verification::Accepted);
    assert_eq!(hop.seen().reads[1], "MAIL RCPT RSET");
    assert_eq!(overall(&hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await), OK);
    assert_eq!(hop.seen().connections, 1);
}

#[tokio::test]
async fn a_refusal_is_the_hop_s_own_reply() {
    let hop = Hop::start(MODERN, unknown).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let Verification::Refused(reply) = verify(&hand_off, &route, "bad@example.com").await else {
        panic!("not refused")
    };
    assert_eq!(reply.to_string(), "550 5.1.1 unknown");
}

#[tokio::test]
async fn trouble_is_451_and_is_not_kept() {
    for what in [Do::Say("450 4.2.1 later"), Do::SayAndClose("421 4.3.2 bye"), Do::Close] {
        let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let is_broken = Arc::clone(&broken);
        let hop = Hop::start(MODERN, move |at| {
            let fails = matches!(at, At::Rcpt(_)) && is_broken.load(std::sync::atomic::Ordering::Relaxed);
            fails.then(|| what.clone())
        })
        .await;
        let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
        let Verification::Unreachable(reply) = verify(&hand_off, &route, "a@example.com").await else {
            panic!("reached")
        };
        assert_eq!(reply.code(), 451);
        broken.store(false, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(verify(&hand_off, &route, "a@example.com").await, Verification::Accepted);
    }
}

#[tokio::test]
async fn a_refused_sender_does_not_spoil_the_recipient() {
    let hop = Hop::start(MODERN, |at| (*at == At::Mail).then_some(Do::Say("550 5.7.1 not you"))).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    for asked in 1..=2 {
        assert!(matches!(verify(&hand_off, &route, "a@example.com").await, Verification::Refused(_)));
        assert_eq!(hop.commands().iter().filter(|line| line.starts_with("MAIL")).count(), asked);
    }
}

#[tokio::test]
async fn a_route_that_does_not_verify_is_not_asked() {
    let route = route("r", Relay { verify_recipients: false, ..relay(&[1]) });
    assert_eq!(verify(&hand_off(), &route, "a@example.com").await, Verification::Accepted);
}

#[tokio::test]
async fn a_refusal_at_delivery_is_remembered_for_the_next_rcpt() {
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let hop = Hop::start(MODERN, move |at| {
        let refused = matches!(at, At::Rcpt(_)) && is_gone.load(std::sync::atomic::Ordering::Relaxed);
        refused.then_some(Do::Say("550 5.1.1 gone"))
    })
    .await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    assert_eq!(verify(&hand_off, &route, "a@example.com").await, Verification::Accepted);
    gone.store(true, std::sync::atomic::Ordering::Relaxed);
    hand_off.deliver(delivery(&[("a@example.com", &route)]).await).await;
    assert!(matches!(verify(&hand_off, &route, "a@example.com").await, Verification::Refused(_)));
}

#[tokio::test]
async fn a_client_does_not_wait_forever_for_the_answer_about_a_recipient() {
    let hop = Hop::start(MODERN, |at| (*at == At::Mail).then_some(Do::Hang)).await;
    let mut relay = relay(&[hop.port]);
    relay.timeouts.command = Duration::from_secs(250);
    let (hand_off, route) = (hand_off(), route("r", relay));
    let started = Instant::now();
    let answer = verify(&hand_off, &route, "a@example.com").await;
    assert!(matches!(answer, Verification::Unreachable(_)));
    assert_eq!(started.elapsed().as_secs(), 120);
}
