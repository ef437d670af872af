//! Which connections are used again, and which are not.

use postern_core::policy::route::Routes;

use super::hop::{At, Do, Hop, MODERN, PIPELINING};
use super::*;

async fn send(hand_off: &HandOff, route: &Arc<Route>) -> String {
    overall(&hand_off.deliver(delivery(&[("a@example.com", route)]).await).await)
}

fn routes(route: &Arc<Route>) -> Routes {
    Routes::new([Route::clone(route)])
}

#[tokio::test]
async fn one_connection_serves_message_after_message() {
    for keywords in [MODERN, PIPELINING, &[]] {
        let hop = Hop::friendly(keywords).await;
        let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
        for _ in 0..5 {
            assert_eq!(send(&hand_off, &route).await, OK);
        }
        assert_eq!((hop.seen().connections, hop.seen().messages.len()), (1, 5));
    }
}

#[tokio::test]
async fn a_connection_is_closed_after_its_share_of_messages() {
    let hop = Hop::friendly(MODERN).await;
    let mut relay = relay(&[hop.port]);
    relay.pool.max_messages = 2;
    let (hand_off, route) = (hand_off(), route("r", relay));
    for _ in 0..4 {
        assert_eq!(send(&hand_off, &route).await, OK);
    }
    assert_eq!(hop.seen().connections, 2);
}

#[tokio::test]
async fn a_connection_with_ten_refusals_is_closed() {
    let hop =
        Hop::start(MODERN, |at| matches!(at, At::Rcpt(_)).then_some(Do::Say("550 5.1.1 unknown"))).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    for tried in 1..=11 {
        assert_eq!(send(&hand_off, &route).await, "550 5.1.1 unknown");
        assert_eq!(hop.seen().connections, if tried <= 10 { 1 } else { 2 });
    }
}

#[tokio::test]
async fn an_unfinished_message_is_never_ended_by_the_next_one() {
    // The hop takes the DATA of a refused envelope; the connection must not be used again.
    let script = |at: &At| (*at == At::Rcpt("b@example.com".into())).then_some(Do::Say("550 5.1.1 unknown"));
    let hop = Hop::start(PIPELINING, script).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    let two = delivery(&[("a@example.com", &route), ("b@example.com", &route)]).await;
    assert_eq!(hand_off.deliver(two).await.overall.code(), 550);
    assert_eq!(send(&hand_off, &route).await, OK);
    assert_eq!((hop.seen().connections, hop.seen().messages.len()), (2, 1));
}

#[tokio::test]
async fn a_connection_that_the_hop_has_closed_is_replaced_without_a_word() {
    let hop =
        Hop::start(MODERN, |at| matches!(at, At::Message(_)).then_some(Do::SayAndClose("250 2.0.0 taken")))
            .await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    for _ in 0..3 {
        assert_eq!(send(&hand_off, &route).await, OK);
        // Lets the close arrive; the socket then shows it.
        tokio::task::yield_now().await;
    }
    assert_eq!((hop.seen().connections, hop.seen().messages.len()), (3, 3));
}

#[tokio::test]
async fn a_421_in_answer_to_mail_moves_the_message_to_a_new_connection() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let script = move |at: &At| {
        let second = *at == At::Mail && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1;
        second.then_some(Do::SayAndClose("421 4.7.0 too many messages"))
    };
    let hop = Hop::start(MODERN, script).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    for _ in 0..2 {
        assert_eq!(send(&hand_off, &route).await, OK);
    }
    assert_eq!((hop.seen().connections, hop.seen().messages.len()), (2, 2));
}

#[tokio::test]
async fn a_close_at_mail_after_a_pause_moves_the_message_to_a_new_connection() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let script = move |at: &At| {
        let second = *at == At::Mail && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1;
        second.then_some(Do::Close)
    };
    let hop = Hop::start(MODERN, script).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    assert_eq!(send(&hand_off, &route).await, OK);
    skip(Duration::from_secs(5)).await;
    assert_eq!(send(&hand_off, &route).await, OK);
    assert_eq!((hop.seen().connections, hop.seen().messages.len()), (2, 2));
    assert!(!hop.seen().reads.iter().any(|read| read == "MAIL RCPT BDAT"), "no message went ahead");
}

#[tokio::test]
async fn idle_connections_are_closed_in_time_by_one_task() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    assert_eq!(send(&hand_off, &route).await, OK);
    skip(Duration::from_secs(29)).await;
    assert_eq!(send(&hand_off, &route).await, OK);
    assert_eq!(hop.seen().connections, 1, "used again, and idle from now on");
    skip(Duration::from_secs(31)).await;
    hop.until(|seen| seen.commands.last().is_some_and(|line| line == "QUIT")).await;
    assert_eq!(send(&hand_off, &route).await, OK);
    assert_eq!(hop.seen().connections, 2);
}

#[tokio::test]
async fn who_finds_all_connections_taken_waits_and_then_gives_up() {
    let hop = Hop::start(MODERN, |at| matches!(at, At::Message(_)).then_some(Do::Hang)).await;
    let mut relay = relay(&[hop.port]);
    relay.pool.max_connections = 1;
    let (hand_off, route) = (hand_off(), route("r", relay));
    let first = tokio::spawn({
        let (hand_off, delivery) = (hand_off.clone(), delivery(&[("a@example.com", &route)]).await);
        async move { hand_off.deliver(delivery).await }
    });
    hop.until(|seen| seen.messages.len() == 1).await;
    let started = Instant::now();
    assert_eq!(send(&hand_off, &route).await, LOST);
    assert_eq!(started.elapsed().as_secs(), 30);
    assert_eq!(hop.seen().connections, 1);
    first.abort();
}

#[tokio::test]
async fn a_reload_that_leaves_the_route_alone_keeps_its_connections() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, route) = (hand_off(), route("r", relay(&[hop.port])));
    hand_off.in_force(&routes(&route));
    assert_eq!(send(&hand_off, &route).await, OK);
    let reloaded = routes(&route);
    hand_off.in_force(&reloaded);
    assert_eq!(send(&hand_off, reloaded.get("r").unwrap()).await, OK);
    assert_eq!(hop.seen().connections, 1);
}

#[tokio::test]
async fn a_reload_that_changes_the_route_closes_its_connections() {
    let hop = Hop::friendly(MODERN).await;
    let (hand_off, old) = (hand_off(), route("r", relay(&[hop.port])));
    hand_off.in_force(&routes(&old));
    assert_eq!(send(&hand_off, &old).await, OK);
    let new = route("r", Relay { verify_recipients: false, ..relay(&[hop.port]) });
    hand_off.in_force(&routes(&new));
    assert_eq!(send(&hand_off, &new).await, OK);
    assert_eq!(hop.seen().connections, 2);
    // A session with the old policy still gets its mail through, on a connection of its own.
    assert_eq!(send(&hand_off, &old).await, OK);
    assert_eq!(send(&hand_off, &old).await, OK);
    assert_eq!(hop.seen().connections, 4);
}

#[tokio::test]
async fn balance_spreads_messages_over_all_addresses() {
    let (one, two) = (Hop::friendly(MODERN).await, Hop::friendly(MODERN).await);
    let (hand_off, route) = (hand_off(), route("r", Relay { balance: true, ..relay(&[one.port, two.port]) }));
    for _ in 0..4 {
        assert_eq!(send(&hand_off, &route).await, OK);
    }
    assert_eq!((one.seen().messages.len(), two.seen().messages.len()), (2, 2));
}
