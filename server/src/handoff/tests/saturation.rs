//! Messages that need several connections, and more of them than there are.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::hop::{At, Do, Hop, MODERN};
use super::*;

const A: &str = "a@example.com";
const B: &str = "b@example.com";

/// A delivery of two messages, as a Sieve `redirect` makes it.
async fn twice(first: &Arc<Route>, second: &Arc<Route>) -> Delivery {
    let mut delivery = delivery(&[(A, first)]).await;
    delivery.mailings.extend(super::delivery(&[(B, second)]).await.mailings);
    delivery
}

fn narrow(hop: &Hop, max_connections: u32) -> Relay {
    let mut relay = relay(&[hop.port]);
    relay.pool.max_connections = max_connections;
    relay
}

#[tokio::test]
async fn a_message_in_more_parts_than_the_pool_has_connections_is_delivered() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", narrow(&hop, 1)));
    for _ in 0..2 {
        assert_eq!(overall(&hand_off.deliver(twice(&route, &route).await).await), OK);
    }
    assert_eq!(hop.seen().messages.len(), 4);
    assert_eq!(hop.seen().connections, 3, "one of the pool, and one beside it for each message");
}

#[tokio::test]
async fn the_parts_of_a_message_are_all_or_none_in_a_pool_of_more() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", narrow(&hop, 2)));
    let all = futures::future::join_all((0..5).map(|_| async {
        let delivery = twice(&route, &route).await;
        overall(&hand_off.deliver(delivery).await)
    }));
    assert_eq!(all.await, [OK; 5]);
    assert_eq!((hop.seen().messages.len(), hop.seen().connections), (10, 2));
}

#[tokio::test]
async fn messages_to_the_same_hops_do_not_wait_for_each_other_for_ever() {
    // Each hop holds its first message back, so that both pools are taken when the others come.
    let go_on = Arc::new(Notify::new());
    let hold_once = || {
        let (count, go_on) = (AtomicUsize::new(0), Arc::clone(&go_on));
        move |at: &At| {
            let first = matches!(at, At::Message(_)) && count.fetch_add(1, Ordering::Relaxed) == 0;
            first.then(|| Do::Await(Arc::clone(&go_on), "250 2.0.0 taken"))
        }
    };
    let (one, two) = (Hop::start(MODERN, hold_once()).await, Hop::start(MODERN, hold_once()).await);
    let (hand_off, first, second) = (hand_off(), route("1", narrow(&one, 1)), route("2", narrow(&two, 1)));
    let holding = [&first, &second].map(|route| {
        let (hand_off, route) = (hand_off.clone(), Arc::clone(route));
        tokio::spawn(async move { overall(&hand_off.deliver(delivery(&[(A, &route)]).await).await) })
    });
    one.until(|seen| seen.messages.len() == 1).await;
    two.until(|seen| seen.messages.len() == 1).await;
    let (there, back) = (twice(&first, &second).await, twice(&second, &first).await);
    let started = Instant::now();
    // Both wait before any goes on.
    let release = async { go_on.notify_waiters() };
    let (there, back, ()) = tokio::join!(biased; hand_off.deliver(there), hand_off.deliver(back), release);
    assert_eq!((overall(&there), overall(&back)), (OK.into(), OK.into()));
    assert!(started.elapsed() < RelayTimeouts::default().command);
    for held in holding {
        assert_eq!(held.await.unwrap(), OK);
    }
}

#[tokio::test]
async fn a_message_whose_connection_was_stale_does_not_queue_again() {
    let count = AtomicUsize::new(0);
    let script = move |at: &At| {
        let second = *at == At::Mail && count.fetch_add(1, Ordering::Relaxed) == 1;
        second.then_some(Do::Close)
    };
    let hop = Hop::start(MODERN, script).await;
    let (hand_off, route) = (hand_off(), route("r", narrow(&hop, 1)));
    let send = |text: &'static [u8]| async {
        let delivery = delivery_of(text, &[(A, &route)]).await;
        overall(&hand_off.deliver(delivery).await)
    };
    assert_eq!(send(b"Subject: 1\r\n\r\n").await, OK);
    skip(Duration::from_secs(5)).await;
    let both = tokio::join!(biased; send(b"Subject: 2\r\n\r\n"), send(b"Subject: 3\r\n\r\n"));
    assert_eq!(both, (OK.into(), OK.into()));
    assert_eq!(hop.seen().messages, [1, 2, 3].map(|n| format!("Subject: {n}\r\n\r\n").into_bytes()));
}

#[tokio::test]
async fn idle_connections_under_another_name_make_room() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", narrow(&hop, 2)));
    for (name, opened) in [("one", 1), ("two", 2), ("three", 3), ("one", 4), ("three", 4)] {
        let delivery = Delivery { hostname: name.into(), ..delivery(&[(A, &route)]).await };
        assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
        assert_eq!(hop.seen().connections, opened, "{name}");
    }
    hop.until(|seen| seen.commands.iter().filter(|line| *line == "QUIT").count() == 2).await;
}
