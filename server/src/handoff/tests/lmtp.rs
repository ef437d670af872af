//! LMTP hops, which answer for each recipient, and LMTP clients, which want to hear it.

use super::hop::{At, Do, Hop, MODERN, PIPELINING};
use super::*;

fn over_quota(at: &At) -> Option<Do> {
    (*at == At::Message("b@example.com".into())).then_some(Do::Say("452 4.2.2 over quota"))
}

fn three(route: &Arc<Route>) -> [(&'static str, &Arc<Route>); 3] {
    [("a@example.com", route), ("b@example.com", route), ("c@example.com", route)]
}

#[tokio::test]
async fn each_recipient_has_its_own_answer_after_the_dot() {
    for keywords in [MODERN, PIPELINING, &[]] {
        let hop = Hop::start(keywords, over_quota).await;
        let (hand_off, route) = (hand_off(), route("r", lmtp(&[hop.port])));
        let delivered = hand_off.deliver(delivery(&three(&route)).await).await;
        assert_eq!(codes(&delivered), [250, 451, 250]);
        assert_eq!(overall(&delivered), "451 4.2.2 over quota");
        assert_eq!(hop.commands()[0], "LHLO gate.example");
    }
}

#[tokio::test]
async fn what_was_delivered_is_skipped_when_the_client_tries_again() {
    let full = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_full = Arc::clone(&full);
    let script = move |at: &At| over_quota(at).filter(|_| is_full.load(std::sync::atomic::Ordering::Relaxed));
    let hop = Hop::start(MODERN, script).await;
    let (hand_off, route) = (hand_off(), route("r", lmtp(&[hop.port])));
    for _ in 0..3 {
        let delivered = hand_off.deliver(delivery(&three(&route)).await).await;
        assert_eq!(overall(&delivered), "451 4.2.2 over quota");
    }
    full.store(false, std::sync::atomic::Ordering::Relaxed);
    let delivered = hand_off.deliver(delivery(&three(&route)).await).await;
    assert_eq!((overall(&delivered).as_str(), codes(&delivered)), (OK, vec![250, 250, 250]));
    let put = |to: &str| hop.commands().iter().filter(|line| line.contains(to)).count();
    assert_eq!([put("<a@"), put("<b@"), put("<c@")], [1, 4, 1], "one copy for each, four tries for one");
}

#[tokio::test]
async fn another_message_between_the_same_people_is_not_skipped() {
    let hop = Hop::start(MODERN, over_quota).await;
    let (hand_off, route) = (hand_off(), route("r", lmtp(&[hop.port])));
    hand_off.deliver(delivery(&three(&route)).await).await;
    hand_off.deliver(delivery_of(b"Subject: another\r\n\r\nx\r\n", &three(&route)).await).await;
    let put = hop.commands().iter().filter(|line| line.contains("<a@")).count();
    assert_eq!(put, 2);
}

#[tokio::test]
async fn answers_before_a_break_stand() {
    let script = |at: &At| (*at == At::Message("b@example.com".into())).then_some(Do::Close);
    let hop = Hop::start(MODERN, script).await;
    let (hand_off, route) = (hand_off(), route("r", lmtp(&[hop.port])));
    let delivered = hand_off.deliver(delivery(&three(&route)).await).await;
    assert_eq!((codes(&delivered), overall(&delivered).as_str()), (vec![250, 451, 451], LOST));
    hand_off.deliver(delivery(&three(&route)).await).await;
    assert_eq!(hop.commands().iter().filter(|line| line.contains("<a@")).count(), 1);
}

#[tokio::test]
async fn an_lmtp_client_hears_of_each_and_the_willing_get_the_message() {
    let unknown = |at: &At| (*at == At::Rcpt("b@example.com".into())).then_some(Do::Say("550 5.1.1 unknown"));
    for keywords in [MODERN, PIPELINING, &[]] {
        let hop = Hop::start(keywords, unknown).await;
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let (hand_off, good, bad) =
            (hand_off(), route("r", lmtp(&[hop.port])), route("down", relay(&[closed])));
        let mut delivery = delivery(&[three(&good)[0], three(&good)[1], ("d@example.net", &bad)]).await;
        delivery.answers = Answers::PerRecipient;
        let delivered = hand_off.deliver(delivery).await;
        assert_eq!(codes(&delivered), [250, 550, 451]);
        assert_eq!(hop.seen().messages.len(), 1);
    }
}

#[tokio::test]
async fn an_lmtp_client_s_second_copy_is_a_second_copy() {
    let hop = Hop::start(MODERN, over_quota).await;
    let (hand_off, route) = (hand_off(), route("r", lmtp(&[hop.port])));
    for _ in 0..2 {
        let mut delivery = delivery(&three(&route)).await;
        delivery.answers = Answers::PerRecipient;
        assert_eq!(codes(&hand_off.deliver(delivery).await), [250, 451, 250]);
    }
    assert_eq!(hop.commands().iter().filter(|line| line.contains("<a@")).count(), 2);
}
