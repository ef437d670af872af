//! One message to several next hops: all agree before any gets it.

use postern_core::policy::route::Maildir;

use super::hop::{At, Do, Hop, MODERN, PIPELINING};
use super::*;

const A: &str = "a@example.com";
const B: &str = "b@example.net";

#[tokio::test]
async fn every_hop_gets_its_recipients_and_the_whole_message() {
    let (one, two) = (Hop::friendly(MODERN).await, Hop::friendly(PIPELINING).await);
    let (hand_off, first, second) =
        (hand_off(), route("1", relay(&[one.port])), route("2", relay(&[two.port])));
    let delivery = delivery(&[(A, &first), (B, &second), ("c@example.com", &first)]).await;
    assert_eq!(overall(&hand_off.deliver(delivery).await), OK);
    for (hop, recipients) in [(&one, vec![A, "c@example.com"]), (&two, vec![B])] {
        let put: Vec<_> = hop.commands().into_iter().filter(|line| line.starts_with("RCPT")).collect();
        assert_eq!(put, recipients.iter().map(|to| format!("RCPT TO:<{to}>")).collect::<Vec<_>>());
        assert_eq!(hop.seen().messages, [TEXT]);
    }
}

#[tokio::test]
async fn nothing_is_sent_to_anybody_when_one_hop_is_unwilling() {
    for (at, what, wanted) in [
        (At::Rcpt(B.into()), Do::Say("550 5.1.1 unknown"), "550 5.1.1 <b@example.net>: unknown"),
        (At::Mail, Do::Say("450 4.7.1 later"), "451 4.7.1 later"),
        (At::Greeting, Do::Close, LOST),
        (At::Mail, Do::Close, LOST),
    ] {
        let one = Hop::friendly(MODERN).await;
        let two = Hop::start(MODERN, move |point| (*point == at).then(|| what.clone())).await;
        let (hand_off, first, second) =
            (hand_off(), route("1", relay(&[one.port])), route("2", relay(&[two.port])));
        let delivered = hand_off.deliver(delivery(&[(A, &first), (B, &second)]).await).await;
        assert_eq!(overall(&delivered), wanted);
        assert!(one.seen().messages.is_empty() && two.seen().messages.is_empty());
        assert_eq!(one.commands().last().unwrap(), "RSET", "the willing hop is told");
    }
}

#[tokio::test]
async fn a_hop_that_fails_at_the_last_step_costs_no_second_copy_elsewhere() {
    let one = Hop::friendly(MODERN).await;
    let count = std::sync::atomic::AtomicUsize::new(0);
    let two = Hop::start(MODERN, move |at| {
        let first =
            matches!(at, At::Message(_)) && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        first.then_some(Do::Say("451 4.3.0 disk"))
    })
    .await;
    let (hand_off, first, second) =
        (hand_off(), route("1", relay(&[one.port])), route("2", relay(&[two.port])));
    let delivered = hand_off.deliver(delivery(&[(A, &first), (B, &second)]).await).await;
    assert_eq!((overall(&delivered).as_str(), codes(&delivered)), ("451 4.3.0 disk", vec![250, 451]));
    let delivered = hand_off.deliver(delivery(&[(A, &first), (B, &second)]).await).await;
    assert_eq!(overall(&delivered), OK);
    assert_eq!((one.seen().messages.len(), two.seen().messages.len()), (1, 2));
}

#[tokio::test]
async fn an_unwilling_hop_leaves_no_file_in_a_maildir() {
    let folder = tempfile::tempdir().unwrap();
    let two = Hop::start(MODERN, |at| (*at == At::Mail).then_some(Do::Say("550 5.7.1 no"))).await;
    let base = format!("{}/box", folder.path().display());
    let target = RouteTarget::Maildir(Maildir { base: base.as_str().into(), pattern: Vec::new() });
    let files = Arc::new(Route { name: "files".into(), target });
    let (hand_off, second) = (hand_off(), route("2", relay(&[two.port])));
    let delivered = hand_off.deliver(delivery(&[(A, &files), (B, &second)]).await).await;
    assert_eq!(overall(&delivered), "550 5.7.1 <b@example.net>: no");
    for part in ["new", "tmp"] {
        assert_eq!(std::fs::read_dir(format!("{base}/{part}")).unwrap().count(), 0, "{part}");
    }
}
